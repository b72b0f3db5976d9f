//! `npy:FILE`: a NumPy array of pictures or of points.

use std::path::{Path, PathBuf};

use super::classes::sorted_names;
use super::dataset::{Dataset, Values};
use super::fit::{Enlarge, Pictures, fit};
use super::npz::{self, is_zip};
use super::{DataError, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, Resizing, Split, ValueRange};
use crate::output::{NpyReader, NpyType};

/// Reads an array, or an archive of arrays: pictures of integers or floats in any usual order of axes, or points of floats.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let (file, name) = split_name(path);
    if is_zip(&file)? {
        return npz::load(&file, name.as_deref(), path, options);
    }
    if let Some(name) = name {
        let reason = format!("it is a single array, and none of an archive called {name}");
        return Err(DataError::NpzChoice { path: file, reason, arrays: "one array".to_owned() });
    }
    let note = (options.split == Split::Test)
        .then(|| format!("{} is one array: all of it is used as the test split", path.display()));
    Ok(assemble(NpyReader::open(&file)?, None, path, options)?.note(note))
}

/// `FILE#NAME` as the two, unless there is a file of that very name.
fn split_name(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    match text.rsplit_once('#') {
        Some((file, name)) if !path.exists() => (file.into(), Some(name.to_owned())),
        _ => (path.to_owned(), None),
    }
}

/// A data set from an array and the names of its examples' classes.
pub(super) fn assemble(
    reader: NpyReader<'_>,
    class_of: Option<Vec<String>>,
    spec: &Path,
    options: &LoadOptions,
) -> Result<Dataset, DataError> {
    let name = DatasetSpec::Npy(spec.to_owned()).to_string();
    let Array { shape, values, notes, resizing } = read(reader, &name, options)?;
    let class_of = class_of.filter(|_| options.labels != LabelsFrom::None);
    let class_names = class_of.as_ref().map(|names| sorted_names(names.iter())).unwrap_or_default();
    let index: std::collections::HashMap<&str, u32> = class_names.iter().map(String::as_str).zip(0..).collect();
    let labels = class_of.as_ref().map(|names| names.iter().map(|name| index[name.as_str()]).collect());
    let mut data = Dataset::new(name, options.split, shape, values, labels, class_names.clone()).resized(resizing);
    data.notes = notes;
    Ok(data)
}

/// What is made of an array.
struct Array {
    shape: Vec<usize>,
    values: Values,
    notes: Vec<String>,
    resizing: Option<Resizing>,
}

/// How an array's axes are read.
enum Layout {
    /// N×D.
    Points,
    /// `[channels, height, width]`, and whether the channels come last.
    Pictures([usize; 3], bool),
}

fn read(reader: NpyReader<'_>, name: &str, options: &LoadOptions) -> Result<Array, DataError> {
    let path = reader.path().to_owned();
    let (dtype, shape) = (reader.dtype().to_owned(), reader.shape().to_vec());
    let layout_error =
        |reason| DataError::NpyLayout { path: path.clone(), dtype: dtype.clone(), shape: shape.clone(), reason };
    let Some(npy_type) = reader.npy_type() else {
        return Err(layout_error(
            "its elements are no numbers that are read; convert it with .astype(np.uint8) or .astype(np.float32)",
        ));
    };
    if shape.contains(&0) || shape.is_empty() {
        return Err(DataError::BadSize { path: path.clone(), shape: shape.clone() });
    }
    let dimensions: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let float = matches!(npy_type, NpyType::Float { .. });
    let picture = match layout(&dimensions, float).map_err(layout_error)? {
        Layout::Points => return points(reader, name, options),
        Layout::Pictures(shape, last) => (shape, last),
    };
    let mut levels = match npy_type {
        NpyType::U8 | NpyType::Bool => bytes(reader, npy_type, options)?,
        NpyType::Int { bytes, signed } => integers(reader, bytes, signed, options)?,
        NpyType::Float { .. } => floats(reader, options)?,
    };
    let ([c, h, w], last) = picture;
    levels.values = match (levels.values, last && c > 1) {
        (values, false) => values,
        (Values::U8(values), true) => Values::U8(planar(values.to_vec(), [c, h, w]).into()),
        (Values::F32(values), true) => Values::F32(planar(values.to_vec(), [c, h, w]).into()),
    };
    match levels.values {
        Values::U8(values) => {
            let pictures = Pictures { values: values.to_vec(), shape: [c, h, w] };
            let (fitted, resizing) = fit(pictures, name, options, Enlarge::Resize)?;
            let mut notes = levels.notes;
            notes.extend(resizing.as_ref().and_then(Resizing::cut_note));
            Ok(Array { shape: fitted.shape.to_vec(), values: Values::U8(fitted.values.into()), notes, resizing })
        }
        Values::F32(values) => {
            let reason = "pictures of floats are used as they are; convert the array, or store it as uint8";
            if let Some(size) = options.image_size.filter(|&size| size != ImageSize { height: h, width: w }) {
                return Err(DataError::ImageSize { dataset: name.to_owned(), size, reason });
            }
            if let Some(channels) = options.channels.filter(|&channels| channels != c) {
                return Err(DataError::Channels { dataset: name.to_owned(), channels, reason });
            }
            Ok(Array { shape: vec![c, h, w], values: Values::F32(values), notes: levels.notes, resizing: None })
        }
    }
}

/// What the axes are; integers have to be pictures of 1 or 3 channels.
fn layout(shape: &[usize], float: bool) -> Result<Layout, &'static str> {
    let (few, some) = (|n: usize| [1, 3].contains(&n), |n: usize| (1..=4).contains(&n));
    match *shape {
        [_, _] if float => Ok(Layout::Points),
        [_, h, w] => Ok(Layout::Pictures([1, h, w], false)),
        [_, a, b, c] if few(a) && few(c) && (a, b, c) != (1, 1, 1) => {
            Err("it cannot be told which axis is the channels: the second and the last both have length 1 or 3")
        }
        [_, a, b, c] if few(a) => Ok(Layout::Pictures([a, b, c], false)),
        [_, a, b, c] if few(c) && !(float && some(a)) => Ok(Layout::Pictures([c, a, b], true)),
        [_, a, b, c] if float && some(c) && !some(a) => Ok(Layout::Pictures([c, a, b], true)),
        [_, a, b, c] if float => Ok(Layout::Pictures([a, b, c], false)),
        [_, a, _, c] if some(a) || some(c) => {
            Err("pictures have 1 channel (grey) or 3 (RGB); leave out the others, as in x[..., :3]")
        }
        [_, _, _, _] => {
            Err("it cannot be told which axis is the channels: neither the second nor the last has length 1 or 3")
        }
        _ => Err("there is no reading of so many axes"),
    }
}

/// Pixels with their channels side by side, as planes.
fn planar<T: Copy>(mut values: Vec<T>, [c, h, w]: [usize; 3]) -> Vec<T> {
    let mut planes = values[..c * h * w].to_vec();
    for picture in values.chunks_exact_mut(c * h * w) {
        for (i, pixel) in picture.chunks_exact(c).enumerate() {
            for channel in 0..c {
                planes[channel * h * w + i] = pixel[channel];
            }
        }
        picture.copy_from_slice(&planes);
    }
    values
}

/// Values, and what is to be said about them.
struct Levels {
    values: Values,
    notes: Vec<String>,
}

/// `uint8` and `bool`.
fn bytes(reader: NpyReader<'_>, npy_type: NpyType, options: &LoadOptions) -> Result<Levels, DataError> {
    let (path, example) = (reader.path().to_owned(), example(&reader));
    let mut values = reader.read_bytes()?;
    let own = if npy_type == NpyType::Bool { Some(ValueRange { low: 0.0, high: 1.0 }) } else { None };
    let mut notes = Vec::new();
    match options.range.or(own) {
        Some(range) => {
            let inside = |level: u8| (range.low..=range.high).contains(&f64::from(level));
            if let Some(i) = values.iter().position(|&level| !inside(level)) {
                return Err(bad_value(f32::from(values[i]), i, &example, &path, range));
            }
            let table: Vec<u8> = (0..=255).map(|level| level_of(f64::from(level), range)).collect();
            values.iter_mut().for_each(|level| *level = table[usize::from(*level)]);
        }
        None if values.iter().all(|&level| level <= 1) && values.contains(&1) => notes.push(format!(
            "no value of {} is above 1, so that its pictures are all but black; if 1 is white, add --range 0..1",
            path.display()
        )),
        None => {}
    }
    Ok(Levels { values: Values::U8(values.into()), notes })
}

/// Integers of more than a byte, and signed ones.
fn integers(reader: NpyReader<'_>, bytes: usize, signed: bool, options: &LoadOptions) -> Result<Levels, DataError> {
    let (path, example) = (reader.path().to_owned(), example(&reader));
    let values = reader.read_numbers()?;
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let wide = (bytes, signed) == (2, false) && largest > 255.0;
    let own = ValueRange { low: 0.0, high: if wide { 65_535.0 } else { 255.0 } };
    let range = options.range.unwrap_or(own);
    let inside = |x: f32| (range.low..=range.high).contains(&f64::from(x));
    if let Some(i) = values.iter().position(|&x| !inside(x)) {
        return Err(bad_value(values[i], i, &example, &path, range));
    }
    let note = options.range.is_none().then(|| {
        format!(
            "the integers of {} are read in the range {range}, the largest is {largest}; --range gives another",
            path.display()
        )
    });
    let levels: Vec<u8> = values.iter().map(|&x| level_of(f64::from(x), range)).collect();
    Ok(Levels { values: Values::U8(levels.into()), notes: note.into_iter().collect() })
}

/// Floats: as they are in [-1, 1], or in another range that was asked for.
fn floats(reader: NpyReader<'_>, options: &LoadOptions) -> Result<Levels, DataError> {
    let (path, example) = (reader.path().to_owned(), example(&reader));
    let mut values = reader.read_numbers()?;
    let range = options.range.unwrap_or(ValueRange::UNIT);
    let inside = |x: f32| (range.low..=range.high).contains(&f64::from(x));
    if let Some(i) = values.iter().position(|&x| !inside(x)) {
        return Err(bad_value(values[i], i, &example, &path, range));
    }
    let mut notes = Vec::new();
    if options.range.is_none() {
        let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if smallest >= 0.0 && smallest < largest {
            notes.push(format!(
                "the values of {} lie in [{smallest}, {largest}], and they are taken as numbers in [-1, 1], so that 0 is grey; if 0 \
                 is black, add --range 0..1",
                path.display()
            ));
        }
    }
    if range == ValueRange::UNIT {
        return Ok(Levels { values: Values::F32(values.into()), notes });
    }
    let scaled = |x: f32| 255.0 * (f64::from(x) - range.low) / (range.high - range.low);
    // What was bytes before someone divided by 255 is bytes again, and has bits/dim.
    if values.iter().all(|&x| (scaled(x) - scaled(x).round()).abs() < 1e-3) {
        notes.push(format!(
            "the values of {} are 256 levels of the range {range}, and are kept as bytes",
            path.display()
        ));
        let levels: Vec<u8> = values.iter().map(|&x| scaled(x).round() as u8).collect();
        return Ok(Levels { values: Values::U8(levels.into()), notes });
    }
    values.iter_mut().for_each(|x| *x = (scaled(*x) / 127.5 - 1.0).clamp(-1.0, 1.0) as f32);
    Ok(Levels { values: Values::F32(values.into()), notes })
}

/// The nearest of 256 levels to a number of a range.
fn level_of(x: f64, range: ValueRange) -> u8 {
    (255.0 * (x - range.low) / (range.high - range.low)).round() as u8
}

fn example(reader: &NpyReader<'_>) -> Vec<usize> {
    reader.shape()[1..].iter().map(|&n| n as usize).collect()
}

fn points(reader: NpyReader<'_>, name: &str, options: &LoadOptions) -> Result<Array, DataError> {
    let (path, example) = (reader.path().to_owned(), example(&reader));
    let (dataset, reason) = (name.to_owned(), "an N×D array holds points, not pictures");
    if let Some(size) = options.image_size {
        return Err(DataError::ImageSize { dataset, size, reason });
    }
    if let Some(channels) = options.channels {
        return Err(DataError::Channels { dataset, channels, reason });
    }
    if options.range.is_some() {
        return Err(DataError::Option { option: "--range", dataset, reason });
    }
    let values = reader.read_numbers()?;
    if let Some(i) = values.iter().position(|x| !x.is_finite()) {
        let hint = "; clean the array first";
        let (value, index, expected) = (values[i], index_of(i, &example), "a finite number".to_owned());
        return Err(DataError::BadValue { path, index, value, expected, hint });
    }
    Ok(Array { shape: example, values: Values::F32(values.into()), notes: Vec::new(), resizing: None })
}

/// The error of a value outside of the range.
fn bad_value(value: f32, position: usize, example: &[usize], path: &Path, range: ValueRange) -> DataError {
    let hint = if value.is_finite() {
        "; --range BLACK..WHITE says which numbers are black and white, as in 0..1 or 0..255"
    } else {
        "; clean the array first"
    };
    let expected = format!("a number in [{}, {}]", range.low, range.high);
    DataError::BadValue { path: path.to_owned(), index: index_of(position, example), value, expected, hint }
}

/// The index along every axis of the value at a position, in C order.
fn index_of(position: usize, example: &[usize]) -> Vec<usize> {
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
