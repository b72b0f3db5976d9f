//! `npy:FILE`: a NumPy array of pictures or of points.

mod values;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sfumato_files::{NpyReader, NpyType};

use super::classes::sorted_names;
use super::content::Value;
use super::fit::{Enlarge, Fit};
use super::kept::Kept;
use super::loaded::{LoadedDataset, Values};
use super::passes::{Element, Passes, Source};
use super::{DataError, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, Resizing};
use values::{Meaning, bytes, floats, index_of, integers};

impl Source for PathBuf {
    fn open(&mut self) -> Result<NpyReader<'_>, DataError> {
        Ok(NpyReader::open(self)?)
    }
}

/// A data set from an array and the names of its examples' classes.
pub(super) fn assemble(
    source: &mut dyn Source,
    class_of: Option<Vec<String>>,
    spec: &Path,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let name = DatasetSpec::Npy(spec.to_owned()).to_string();
    let class_of = class_of.filter(|_| options.labels != LabelsFrom::None);
    let class_names = class_of.as_ref().map(|names| sorted_names(names.iter())).unwrap_or_default();
    let index: std::collections::HashMap<&str, u32> = class_names.iter().map(String::as_str).zip(0..).collect();
    let labels: Option<Vec<u32>> =
        class_of.as_ref().map(|names| names.iter().map(|name| index[name.as_str()]).collect());
    let array = read(source, &name, labels.as_deref(), options)?;
    let Array { shape, values, part, notes, resizing } = array;
    let split = options.split;
    let mut data = match part {
        None => LoadedDataset::new(name, split, shape, values, labels, class_names.clone()),
        Some(Loaded { count, kept, sha256 }) => {
            LoadedDataset::partial(name, split, shape, values, labels, class_names.clone(), (count, kept), sha256)
        }
    };
    data.notes = notes;
    Ok(data.resized(resizing))
}

/// What is made of an array.
struct Array {
    shape: Vec<usize>,
    values: Values,
    /// Which part of it, if not all.
    part: Option<Loaded>,
    notes: Vec<String>,
    resizing: Option<Resizing>,
}

/// A part that is in memory, of so many examples.
struct Loaded {
    count: usize,
    kept: Kept,
    sha256: String,
}

/// How an array's axes are read.
enum Layout {
    /// N×D.
    Points,
    /// `[channels, height, width]`, and whether the channels come last.
    Pictures([usize; 3], bool),
}

fn read(
    source: &mut dyn Source,
    name: &str,
    labels: Option<&[u32]>,
    options: &LoadOptions,
) -> Result<Array, DataError> {
    let reader = source.open()?;
    let path = reader.path().to_owned();
    let (dtype, shape) = (reader.dtype().to_owned(), reader.shape().to_vec());
    let npy_type = reader.npy_type();
    drop(reader);
    let layout_error =
        |reason| DataError::NpyLayout { path: path.clone(), dtype: dtype.clone(), shape: shape.clone(), reason };
    let Some(npy_type) = npy_type else {
        return Err(layout_error(
            "its elements are no numbers that are read; convert it with .astype(np.uint8) or .astype(np.float32)",
        ));
    };
    if shape.contains(&0) || shape.is_empty() {
        return Err(DataError::BadSize { path: path.clone(), shape: shape.clone() });
    }
    let dimensions: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let float = matches!(npy_type, NpyType::Float { .. });
    let layout = layout(&dimensions, float).map_err(layout_error)?;
    let (count, example) = (dimensions[0], &dimensions[1..]);
    let given = Given { path: &path, example, name, labels, options };
    let size = example.iter().product();
    match (layout, npy_type) {
        (Layout::Points, _) => points(Passes::new(source, size, count)?, &given),
        (Layout::Pictures(shape, last), NpyType::U8 | NpyType::Bool) => {
            let mut passes = Passes::new(source, size, count)?;
            let (level, notes) = bytes(&mut passes, npy_type, &given)?;
            pictures(passes, &level, Planes { shape, last }, notes, &given)
        }
        (Layout::Pictures(shape, last), NpyType::Int { bytes, signed }) => {
            let mut passes = Passes::new(source, size, count)?;
            let (level, notes) = integers(&mut passes, bytes, signed, &given)?;
            pictures(passes, &level, Planes { shape, last }, notes, &given)
        }
        (Layout::Pictures(shape, last), NpyType::Float { .. }) => {
            let mut passes = Passes::new(source, size, count)?;
            match floats(&mut passes, &given)? {
                (Meaning::Levels(level), notes) => pictures(passes, &level, Planes { shape, last }, notes, &given),
                (Meaning::Numbers(number), notes) => numbers(passes, &number, Planes { shape, last }, notes, &given),
            }
        }
    }
}

/// What is known of an array before its values are read.
struct Given<'a> {
    path: &'a Path,
    /// Shape of an example.
    example: &'a [usize],
    /// The data set.
    name: &'a str,
    labels: Option<&'a [u32]>,
    options: &'a LoadOptions,
}

/// Pictures of `[channels, height, width]`, and whether the channels come last in the array.
#[derive(Clone, Copy)]
struct Planes {
    shape: [usize; 3],
    last: bool,
}

impl Planes {
    /// Puts the planes of each picture one after the other.
    fn arrange<T: Copy>(self, values: &mut [T]) {
        if self.last && self.shape[0] > 1 {
            planar(values, self.shape);
        }
    }
}

/// Pictures of 256 levels.
fn pictures<T: Element>(
    passes: Passes<'_, T>,
    level: &dyn Fn(T) -> u8,
    planes: Planes,
    mut notes: Vec<String>,
    given: &Given<'_>,
) -> Result<Array, DataError> {
    let fit = Fit::new(planes.shape, given.name, given.options, Enlarge::Resize)?;
    let make = |values: &[T], out: &mut Vec<u8>| {
        let mut levels: Vec<u8> = values.iter().map(|&value| level(value)).collect();
        planes.arrange(&mut levels);
        fit.extend(&levels, out);
    };
    let resizing = fit.resizing(passes.count());
    notes.extend(resizing.as_ref().and_then(Resizing::cut_note));
    let (values, part) = gather(passes, &fit.shape(), &make, given)?;
    Ok(Array { shape: fit.shape().to_vec(), values: Values::U8(values.into()), part, notes, resizing })
}

/// Pictures of numbers in [-1, 1].
fn numbers(
    passes: Passes<'_, f32>,
    number: &dyn Fn(f32) -> f32,
    planes: Planes,
    notes: Vec<String>,
    given: &Given<'_>,
) -> Result<Array, DataError> {
    let ([c, height, width], options, dataset) = (planes.shape, given.options, given.name.to_owned());
    let reason = "pictures of floats are used as they are; convert the array, or store it as uint8";
    if let Some(size) = options.image_size.filter(|&size| size != ImageSize { height, width }) {
        return Err(DataError::ImageSize { dataset, size, reason });
    }
    if let Some(channels) = options.channels.filter(|&channels| channels != c) {
        return Err(DataError::Channels { dataset, channels, reason });
    }
    let make = |values: &[f32], out: &mut Vec<f32>| {
        let start = out.len();
        out.extend(values.iter().map(|&value| number(value)));
        planes.arrange(&mut out[start..]);
    };
    let (values, part) = gather(passes, &planes.shape, &make, given)?;
    Ok(Array { shape: planes.shape.to_vec(), values: Values::F32(values.into()), part, notes, resizing: None })
}

/// The values that are kept, and which they are, if not all.
fn gather<T: Element, O: Value>(
    mut passes: Passes<'_, T>,
    shape: &[usize],
    make: &dyn Fn(&[T], &mut Vec<O>),
    given: &Given<'_>,
) -> Result<(Vec<O>, Option<Loaded>), DataError> {
    let count = passes.count();
    let part = given.options.part.filter(|part| part.num < count);
    let kept = part.map(|part| Kept::new(part.order(count).take(part.num).collect()));
    let values = passes.gather(kept.as_ref(), shape.iter().product(), make)?;
    let sha256 = match part {
        Some(part) if part.checksum => passes.checksum(shape, given.labels, make)?,
        _ => String::new(),
    };
    Ok((values, kept.map(|kept| Loaded { count, kept, sha256 })))
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
fn planar<T: Copy>(values: &mut [T], [c, h, w]: [usize; 3]) {
    let mut planes = values[..c * h * w].to_vec();
    for picture in values.chunks_exact_mut(c * h * w) {
        for (i, pixel) in picture.chunks_exact(c).enumerate() {
            for channel in 0..c {
                planes[channel * h * w + i] = pixel[channel];
            }
        }
        picture.copy_from_slice(&planes);
    }
}

fn points(mut passes: Passes<'_, f32>, given: &Given<'_>) -> Result<Array, DataError> {
    let (dataset, reason) = (given.name.to_owned(), "an N×D array holds points, not pictures");
    let options = given.options;
    if let Some(size) = options.image_size {
        return Err(DataError::ImageSize { dataset, size, reason });
    }
    if let Some(channels) = options.channels {
        return Err(DataError::Channels { dataset, channels, reason });
    }
    if options.range.is_some() {
        return Err(DataError::Option { option: "--range", dataset, reason });
    }
    passes.all(&mut |start, values| match values.iter().position(|x| !x.is_finite()) {
        None => Ok(ControlFlow::Continue(())),
        Some(i) => Err(DataError::BadValue {
            path: given.path.to_owned(),
            index: index_of(start + i, given.example),
            value: values[i],
            expected: "a finite number".to_owned(),
            hint: "; clean the array first",
        }),
    })?;
    let make = |values: &[f32], out: &mut Vec<f32>| out.extend(values);
    let (values, part) = gather(passes, given.example, &make, given)?;
    let (shape, values) = (given.example.to_vec(), Values::F32(values.into()));
    Ok(Array { shape, values, part, notes: Vec::new(), resizing: None })
}
