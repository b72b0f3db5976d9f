//! What the values of an array stand for: levels, or numbers in a range.

use std::ops::ControlFlow;

use sfumato_files::NpyType;

use super::super::passes::{Element, Passes};
use super::super::{DataError, ValueRange};
use super::Given;

/// A function of a value.
pub(super) type Map<T, O> = Box<dyn Fn(T) -> O>;

/// What a value stands for, and what is to be said about it.
pub(super) type Read<M> = (M, Vec<String>);

/// The first value of an array that is not `inside` is an error.
fn check_range<T: Element>(
    passes: &mut Passes<'_, T>,
    range: ValueRange,
    number: fn(T) -> f32,
    given: &Given<'_>,
) -> Result<(), DataError> {
    passes.all(&mut |start, values| match values.iter().position(|&value| !range.holds(number(value))) {
        Some(i) => Err(bad_value(number(values[i]), start + i, given, range)),
        None => Ok(ControlFlow::Continue(())),
    })
}

/// `uint8` and `bool`.
pub(super) fn bytes(
    passes: &mut Passes<'_, u8>,
    npy_type: NpyType,
    given: &Given<'_>,
) -> Result<Read<Map<u8, u8>>, DataError> {
    let own = if npy_type == NpyType::Bool { Some(ValueRange { low: 0.0, high: 1.0 }) } else { None };
    if let Some(range) = given.options.range.or(own) {
        check_range(passes, range, f32::from, given)?;
        let table: Vec<u8> = (0..=255).map(|level| level_of(f64::from(level), range)).collect();
        return Ok((Box::new(move |level| table[usize::from(level)]), Vec::new()));
    }
    let mut largest = 0;
    passes.all(&mut |_, values| {
        largest = values.iter().copied().fold(largest, u8::max);
        Ok(if largest > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let dark = (largest == 1).then(|| {
        format!(
            "no value of {} is above 1, so that its pictures are all but black; if 1 is white, add --range 0..1",
            given.path.display()
        )
    });
    Ok((Box::new(|level| level), dark.into_iter().collect()))
}

/// Integers of more than a byte, and signed ones.
pub(super) fn integers(
    passes: &mut Passes<'_, f32>,
    bytes: usize,
    signed: bool,
    given: &Given<'_>,
) -> Result<Read<Map<f32, u8>>, DataError> {
    let (range, note) = match given.options.range {
        Some(range) => (range, None),
        None => {
            let mut largest = f32::NEG_INFINITY;
            passes.all(&mut |_, values| {
                largest = values.iter().copied().fold(largest, f32::max);
                Ok(ControlFlow::Continue(()))
            })?;
            let wide = (bytes, signed) == (2, false) && largest > 255.0;
            let range = ValueRange { low: 0.0, high: if wide { 65_535.0 } else { 255.0 } };
            let note = format!(
                "the integers of {} are read in the range {range}, the largest is {largest}; --range gives another",
                given.path.display()
            );
            (range, Some(note))
        }
    };
    check_range(passes, range, |value| value, given)?;
    Ok((Box::new(move |value| level_of(f64::from(value), range)), note.into_iter().collect()))
}

/// What the floats of pictures stand for.
pub(super) enum Meaning {
    Levels(Map<f32, u8>),
    Numbers(Map<f32, f32>),
}

/// Floats: as they are in [-1, 1], or in another range that was asked for.
pub(super) fn floats(passes: &mut Passes<'_, f32>, given: &Given<'_>) -> Result<Read<Meaning>, DataError> {
    let range = given.options.range.unwrap_or(ValueRange::UNIT);
    let scaled = move |x: f32| 255.0 * (f64::from(x) - range.low) / (range.high - range.low);
    let (mut smallest, mut largest, mut levels) = (f32::INFINITY, f32::NEG_INFINITY, range != ValueRange::UNIT);
    passes.all(&mut |start, values| {
        if let Some(i) = values.iter().position(|&x| !range.holds(x)) {
            return Err(bad_value(values[i], start + i, given, range));
        }
        smallest = values.iter().copied().fold(smallest, f32::min);
        largest = values.iter().copied().fold(largest, f32::max);
        levels = levels && values.iter().all(|&x| (scaled(x) - scaled(x).round()).abs() < 1e-3);
        Ok(ControlFlow::Continue(()))
    })?;
    let path = given.path.display();
    let mut notes = Vec::new();
    if given.options.range.is_none() && smallest >= 0.0 && smallest < largest {
        notes.push(format!(
            "the values of {path} lie in [{smallest}, {largest}], and they are taken as numbers in [-1, 1], so that 0 is grey; if 0 \
             is black, add --range 0..1"
        ));
    }
    if range == ValueRange::UNIT {
        return Ok((Meaning::Numbers(Box::new(|x| x)), notes));
    }
    // What was bytes before someone divided by 255 is bytes again, and has bits/dim.
    if levels {
        notes.push(format!("the values of {path} are 256 levels of the range {range}, and are kept as bytes"));
        return Ok((Meaning::Levels(Box::new(move |x| scaled(x).round() as u8)), notes));
    }
    Ok((Meaning::Numbers(Box::new(move |x| (scaled(x) / 127.5 - 1.0).clamp(-1.0, 1.0) as f32)), notes))
}

/// The nearest of 256 levels to a number of a range.
fn level_of(x: f64, range: ValueRange) -> u8 {
    (255.0 * (x - range.low) / (range.high - range.low)).round() as u8
}

/// The error of a value outside of the range.
fn bad_value(value: f32, position: usize, given: &Given<'_>, range: ValueRange) -> DataError {
    let hint = if value.is_finite() {
        "; --range BLACK..WHITE says which numbers are black and white, as in 0..1 or 0..255"
    } else {
        "; clean the array first"
    };
    let expected = format!("a number in [{}, {}]", range.low, range.high);
    DataError::BadValue { path: given.path.to_owned(), index: index_of(position, given.example), value, expected, hint }
}

/// The index along every axis of the value at a position, in C order.
pub(super) fn index_of(position: usize, example: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index: Vec<usize> = example
        .iter()
        .rev()
        .map(|n| {
            let i = rest % n;
            rest /= n;
            i
        })
        .collect();
    index.push(rest);
    index.reverse();
    index
}
