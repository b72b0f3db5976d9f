//! Numbers on the command line: what may stand there, said in a sentence.
//!
//! A parser of this module answers a wrong value with `--steps must be at least 1 (found -5)` and the usage of the
//! command that was called. Use it as `#[arg(value_parser = values::count::<u64>())]`.

use std::{
    ffi::{OsStr, OsString},
    marker::PhantomData,
    num::{ParseFloatError, ParseIntError},
};

use clap::{
    Arg, Command, ValueEnum,
    builder::{PossibleValue, TypedValueParser},
    error::{Error, ErrorKind},
};

/// A whole number of at least 1: steps, examples, pictures.
pub(crate) fn count<T>() -> Whole<T> {
    at_least(1)
}

/// A whole number of at least `min`.
pub(crate) fn at_least<T>(min: u64) -> Whole<T> {
    Whole { min, number: PhantomData }
}

/// A whole number from 0: the seed of random numbers.
pub(crate) fn seed() -> Whole<u64> {
    at_least(0)
}

/// A number above 0: learning rates.
pub(crate) fn above_zero() -> Real {
    real("a number above 0", |x| x > 0.0)
}

/// 0 or a number above it: minutes, weights.
pub(crate) fn not_negative() -> Real {
    real("0 or a number above it", |x| x >= 0.0)
}

/// A share of the data that can be held out.
pub(crate) fn share() -> Real {
    real("a number from 0 to 0.5", |x| (0.0..=0.5).contains(&x))
}

/// A finite number for which `valid` holds; `expected` completes the sentence "--name must be …".
pub(crate) fn real(expected: &'static str, valid: fn(f64) -> bool) -> Real {
    Real { expected, valid }
}

/// Parses whole numbers; see [`count`].
#[derive(Clone, Debug)]
pub(crate) struct Whole<T> {
    min: u64,
    number: PhantomData<T>,
}

impl<T> Whole<T> {
    fn expected(&self) -> String {
        format!("at least {}", self.min)
    }
}

impl<T: TryFrom<u64> + Clone + Send + Sync + 'static> TypedValueParser for Whole<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let wrong = |expected: &str| wrong(command, arg, expected, value);
        let text = value.to_string_lossy();
        let text = text.trim();
        match text.parse::<u64>() {
            Ok(number) if number >= self.min => T::try_from(number).map_err(|_| wrong("a smaller number")),
            Ok(_) => Err(wrong(&self.expected())),
            // A number, but not one of ours: below 0, too large or with a fraction.
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.fract() == 0.0 && number < 0.0 => Err(wrong(&self.expected())),
                Ok(number) if number.fract() == 0.0 && !text.contains(['e', 'E', '.']) => {
                    Err(wrong("a smaller number"))
                }
                _ => Err(wrong(&format!("a whole number, {}", self.expected()))),
            },
        }
    }
}

/// Parses numbers with a fraction; see [`real`].
#[derive(Clone, Debug)]
pub(crate) struct Real {
    expected: &'static str,
    valid: fn(f64) -> bool,
}

impl TypedValueParser for Real {
    type Value = f64;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<f64, Error> {
        let number = value.to_string_lossy().trim().parse::<f64>().ok();
        number
            .filter(|number| number.is_finite() && (self.valid)(*number))
            .ok_or_else(|| wrong(command, arg, self.expected, value))
    }
}

/// One of the names of `E`, in any case; `meant` says which names stand for other words that people use.
pub(crate) fn named<E>(meant: &'static [(&'static str, &'static str)]) -> Named<E> {
    Named { meant, names: PhantomData }
}

/// Parses names; see [`named`].
#[derive(Clone, Debug)]
pub(crate) struct Named<E> {
    meant: &'static [(&'static str, &'static str)],
    names: PhantomData<E>,
}

impl<E: ValueEnum + Clone + Send + Sync + 'static> TypedValueParser for Named<E> {
    type Value = E;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<E, Error> {
        let text = value.to_string_lossy();
        if let Ok(found) = E::from_str(&text, true) {
            return Ok(found);
        }
        let values: Vec<PossibleValue> = E::value_variants().iter().filter_map(E::to_possible_value).collect();
        let names: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
        let meant = self.meant.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)).map(|(_, names)| *names);
        let hint = meant.or_else(|| sfumato_schedule::nearest(&text, &names));
        let hint = hint.map_or_else(String::new, |names| format!(": did you mean {names}?"));
        Err(wrong_with(command, arg, &format!("one of {}", names.join(", ")), value, &hint))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(E::value_variants().iter().filter_map(E::to_possible_value)))
    }
}

/// The usage error for `value`, with the usage of `command`.
pub(super) fn wrong(command: &Command, arg: Option<&Arg>, expected: &str, value: &OsStr) -> Error {
    wrong_with(command, arg, expected, value, "")
}

/// The same with a `hint` behind it.
fn wrong_with(command: &Command, arg: Option<&Arg>, expected: &str, value: &OsStr, hint: &str) -> Error {
    let value = value.to_string_lossy();
    let found = if value.trim().is_empty() { "nothing" } else { value.as_ref() };
    let name = arg.map_or_else(|| "the value".to_owned(), name);
    let message = format!("{name} must be {expected} (found {found}){hint}");
    Error::raw(ErrorKind::ValueValidation, message).format(&mut command.clone())
}

/// The argument as it is typed.
fn name(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some([name, ..])) => name.to_string(),
        (None, _) => arg.get_id().to_string(),
    }
}

/// What was expected, where Rust's or clap's own parser of a number found something else.
pub(super) fn expectation(cause: &(dyn std::error::Error + 'static), found: &str) -> Option<String> {
    if cause.is::<ParseIntError>() {
        return Some("a whole number, at least 0".to_owned());
    }
    if cause.is::<ParseFloatError>() {
        return Some("a number".to_owned());
    }
    // clap's ranges: "0 is not in 1..", "4 is not in 1..=3".
    let said = cause.to_string();
    let (_, range) = said.split_once(" is not in ")?;
    let (min, max) = range.split_once("..")?;
    // Too small for a range that ends with its type: that end is of no interest.
    let too_small = found.parse::<i128>().is_ok_and(|found| min.parse().is_ok_and(|min: i128| found < min));
    Some(match max.strip_prefix('=') {
        Some(max) if !(too_small && max.len() > 4) => format!("from {min} to {max}"),
        _ => format!("at least {min}"),
    })
}

/// Ties a number that begins with a minus to the flag before it, as in `--seed=-1`: it is a wrong number, not an unknown flag.
pub(super) fn tie_negative_numbers(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut tied: Vec<OsString> = Vec::new();
    let is_flag = |word: &OsString| {
        word.to_str().is_some_and(|word| word.len() > 2 && word.starts_with("--") && !word.contains('='))
    };
    let is_number =
        |word: &OsString| word.to_str().is_some_and(|word| word.starts_with('-') && word.parse::<f64>().is_ok());
    for word in words {
        match tied.last_mut() {
            Some(flag) if is_flag(flag) && is_number(&word) => {
                flag.push("=");
                flag.push(word);
            }
            _ => tied.push(word),
        }
    }
    tied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<P: TypedValueParser>(parser: P, value: &str) -> Result<P::Value, String> {
        let arg = Arg::new("x").long("number");
        parser.parse_ref(&Command::new("test"), Some(&arg), OsStr::new(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_numbers_are_held_against_their_range() {
        assert_eq!(said(count::<u64>(), "7"), Ok(7));
        assert_eq!(said(count::<usize>(), " 12 "), Ok(12));
        assert_eq!(said(seed(), "18446744073709551615"), Ok(u64::MAX));
        for (text, expected) in [
            ("0", "--number must be at least 1 (found 0)"),
            ("-5", "--number must be at least 1 (found -5)"),
            ("2.5", "--number must be a whole number, at least 1 (found 2.5)"),
            ("many", "--number must be a whole number, at least 1 (found many)"),
            ("", "--number must be a whole number, at least 1 (found nothing)"),
            ("NaN", "--number must be a whole number, at least 1 (found NaN)"),
            ("1e3", "--number must be a whole number, at least 1 (found 1e3)"),
            ("99999999999999999999", "--number must be a smaller number (found 99999999999999999999)"),
        ] {
            let error = said(count::<u32>(), text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.contains("Usage: test"), "{error}");
        }
        assert!(said(count::<u16>(), "65536").unwrap_err().contains("a smaller number"));
        assert!(said(seed(), "-1").unwrap_err().contains("must be at least 0 (found -1)"));
    }

    #[test]
    fn numbers_below_zero_belong_to_the_flag_before_them() {
        let tied = |words: &str| {
            let words = tie_negative_numbers(words.split(' ').map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tied("train --steps -5 --learning-rate -1e-4"), "train --steps=-5 --learning-rate=-1e-4");
        assert_eq!(tied("sample --eta -inf --num -.5"), "sample --eta=-inf --num=-.5");
        for same in
            ["train --steps --out x", "train -V", "show -- -5", "train --seed=1 -5", "show -5", "train --set -a=1"]
        {
            assert_eq!(tied(same), same);
        }
    }

    #[test]
    fn numbers_with_a_fraction_are_finite_and_in_their_range() {
        assert_eq!(said(above_zero(), "1e-4"), Ok(1e-4));
        assert_eq!(said(not_negative(), "0"), Ok(0.0));
        for (parser, text) in [
            (above_zero(), "0"),
            (above_zero(), "-1e-4"),
            (above_zero(), "inf"),
            (above_zero(), "fast"),
            (not_negative(), "-0.5"),
            (not_negative(), "NaN"),
            (not_negative(), ""),
        ] {
            let error = said(parser.clone(), text).unwrap_err();
            assert!(error.contains(&format!("--number must be {}", parser.expected)), "{error}");
        }
    }
}
