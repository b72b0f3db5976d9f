//! Which samples are meant: ranges of indices, lists of seeds, lists of weights.
//!
//! A range is half-open, as in Rust: `16..32` are the numbers from 16 to 31.

use std::{ffi::OsStr, ops::Range};

use clap::{Arg, Command, builder::TypedValueParser, error::Error};
use serde::{Deserialize, Serialize};

use super::values::wrong;

/// Most seeds of one call: more is a slip of the finger.
const MOST_SEEDS: u64 = 1 << 20;

/// A value, or several of which each has a row of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a value, or a list of values, of another kind than was expected")]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them, at least one.
    pub(crate) fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Whether the values stand in a list, if only of one.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::Many(_))
    }
}

/// Consecutive samples of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indices {
    /// Index of the first one.
    pub(crate) first: usize,
    /// How many there are, at least 1.
    pub(crate) num: usize,
}

impl std::fmt::Display for Indices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.first {
            0 => write!(f, "{}", self.num),
            first => write!(f, "{first}..{}", first + self.num),
        }
    }
}

/// Parses `16` or `16..32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndicesParser;

impl TypedValueParser for IndicesParser {
    type Value = Indices;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Indices, Error> {
        let text = value.to_string_lossy();
        let wrong = |expected: &str| wrong(command, arg, expected, value);
        let range = match range(&text) {
            Some(range) => range,
            None => match text.trim().parse::<u64>() {
                Ok(num) => 0..num,
                Err(_) => return Err(wrong("a whole number, at least 1, or a range such as 16..32")),
            },
        };
        if range.is_empty() {
            return Err(wrong("at least 1, or a range that ends above its first number, such as 16..32"));
        }
        match u32::try_from(range.end) {
            Ok(end) => Ok(Indices { first: range.start as usize, num: end as usize - range.start as usize }),
            Err(_) => Err(wrong("a smaller number")),
        }
    }
}

/// Parses `1,2,5..9`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeedsParser;

impl TypedValueParser for SeedsParser {
    type Value = OneOrMany<u64>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        let text = value.to_string_lossy();
        let wrong = |expected: &str| wrong(command, arg, expected, value);
        let mut seeds = Vec::new();
        for part in text.split(',') {
            let part = match (range(part), part.trim().parse()) {
                (Some(range), _) if !range.is_empty() => range,
                (None, Ok(seed)) => {
                    seeds.push(seed);
                    continue;
                }
                _ => return Err(wrong("whole numbers and ranges with commas between them, such as 1,2,5..9")),
            };
            if part.end - part.start > MOST_SEEDS || seeds.len() as u64 > MOST_SEEDS {
                return Err(wrong(&format!("at most {MOST_SEEDS} seeds")));
            }
            seeds.extend(part);
        }
        match twice(&seeds, u64::cmp) {
            Some(seed) => Err(wrong(&format!("different seeds, but {seed} is there twice"))),
            None => Ok(OneOrMany::Many(seeds)),
        }
    }
}

/// Parses `2` or `1,2,4`: numbers of at least 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightsParser;

impl TypedValueParser for WeightsParser {
    type Value = OneOrMany<f64>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        let text = value.to_string_lossy();
        let is_list = text.contains(',');
        let weight = |part: &str| part.trim().parse().ok().filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
        match text.split(',').map(weight).collect::<Option<Vec<f64>>>() {
            None if is_list => Err(wrong(command, arg, "numbers of at least 0, such as 1,2,4", value)),
            None => Err(wrong(command, arg, "0 or a number above it", value)),
            Some(weights) => match (twice(&weights, f64::total_cmp), is_list) {
                (Some(weight), _) => {
                    Err(wrong(command, arg, &format!("different numbers, but {weight} is there twice"), value))
                }
                (None, true) => Ok(OneOrMany::Many(weights)),
                (None, false) => Ok(OneOrMany::One(weights[0])),
            },
        }
    }
}

/// The numbers from `a` to before `b` of `a..b`; none for other texts.
fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.trim().split_once("..")?;
    Some(start.trim().parse().ok()?..end.trim().parse().ok()?)
}

/// A value that is there twice.
fn twice<T: Copy>(values: &[T], order: fn(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(order);
    sorted.windows(2).find(|pair| order(&pair[0], &pair[1]).is_eq()).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<P: TypedValueParser>(parser: P, value: &str) -> Result<P::Value, String> {
        let arg = Arg::new("x").long("number");
        parser.parse_ref(&Command::new("test"), Some(&arg), OsStr::new(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn samples_are_a_number_or_a_range() {
        for (text, first, num) in [("16", 0, 16), ("16..32", 16, 16), (" 0..1000 ", 0, 1000), ("7..8", 7, 1)] {
            assert_eq!(said(IndicesParser, text), Ok(Indices { first, num }));
        }
        assert_eq!(Indices { first: 0, num: 3 }.to_string(), "3");
        assert_eq!(Indices { first: 2, num: 3 }.to_string(), "2..5");
        for (text, expected) in [
            ("0", "--number must be at least 1, or a range"),
            ("5..5", "must be at least 1, or a range that ends above its first number"),
            ("5..2", "ends above its first number"),
            ("-4", "must be a whole number, at least 1, or a range such as 16..32 (found -4)"),
            ("..5", "a range such as 16..32"),
            ("1..2..3", "a range such as 16..32"),
            ("", "(found nothing)"),
            ("4294967296", "a smaller number"),
            ("0..99999999999", "a smaller number"),
        ] {
            let error = said(IndicesParser, text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn seeds_are_numbers_and_ranges_and_each_is_there_once() {
        assert_eq!(said(SeedsParser, "1,2,5..9"), Ok(OneOrMany::Many(vec![1, 2, 5, 6, 7, 8])));
        assert_eq!(said(SeedsParser, "18446744073709551615"), Ok(OneOrMany::Many(vec![u64::MAX])));
        for (text, expected) in [
            ("1,,2", "such as 1,2,5..9"),
            ("9..5", "such as 1,2,5..9"),
            ("-1", "such as 1,2,5..9"),
            ("", "such as 1,2,5..9"),
            ("1,0..3", "different seeds, but 1 is there twice"),
            ("0..18446744073709551615", "at most 1048576 seeds"),
        ] {
            let error = said(SeedsParser, text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn weights_are_one_or_several() {
        assert_eq!(said(WeightsParser, "2"), Ok(OneOrMany::One(2.0)));
        assert_eq!(said(WeightsParser, "1, 2,4.5"), Ok(OneOrMany::Many(vec![1.0, 2.0, 4.5])));
        for (text, expected) in [
            ("-1", "--number must be 0 or a number above it (found -1)"),
            ("nan", "0 or a number above it"),
            ("1,x", "numbers of at least 0, such as 1,2,4"),
            ("1,2,1", "different numbers, but 1 is there twice"),
        ] {
            let error = said(WeightsParser, text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
