//! `npy:FILE`: one NumPy array of pictures or of points.

use std::path::Path;

use super::dataset::{Dataset, Values};
use super::fit::{Enlarge, Pictures, fit};
use super::{DataError, DatasetSpec, LoadOptions, Split};
use crate::output::{NpyReader, NpyType};

/// Reads an array: uint8 N×H×W, N×H×W×C or N×C×H×W; float32 N×C×H×W in [-1, 1]; float32 N×D.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let spec = DatasetSpec::Npy(path.to_owned());
    let reader = NpyReader::open(path)?;
    let dtype = reader.dtype().to_string();
    let shape = reader.shape().to_vec();
    let layout =
        |reason| DataError::NpyLayout { path: path.to_owned(), dtype: dtype.clone(), shape: shape.clone(), reason };
    if shape.contains(&0) || shape.is_empty() {
        return Err(DataError::BadSize { path: path.to_owned(), shape: shape.clone() });
    }
    let dimensions: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let (example, values) = match (reader.npy_type(), &dimensions[..]) {
        (Some(NpyType::U8), [_, h, w]) => load_u8(reader, [1, *h, *w], false, &spec, options)?,
        (Some(NpyType::U8), [_, a, b, c]) => {
            let (picture, interleaved) = match channel_axis(*a, *c) {
                Some(Axis::First) => ([*a, *b, *c], false),
                Some(Axis::Last) => ([*c, *a, *b], true),
                None => {
                    return Err(layout(
                        "it cannot be told which axis is the channels (neither or both of the second and the last have length 1 or 3)",
                    ));
                }
            };
            load_u8(reader, picture, interleaved, &spec, options)?
        }
        (Some(NpyType::F32), [_, _]) => load_points(reader, &spec, options)?,
        (Some(NpyType::F32), [_, a, _, c]) => {
            if matches!(channel_axis(*a, *c), Some(Axis::Last)) && ![2, 4].contains(a) {
                return Err(layout(
                    "the channels are the last axis; make them the second with x.transpose(0, 3, 1, 2).copy()",
                ));
            }
            load_f32(reader, &spec, options)?
        }
        (Some(_), _) => return Err(layout("there is no reading of so many axes")),
        (None, _) => {
            return Err(layout("the element type is not read; convert with .astype(np.uint8) or .astype(np.float32)"));
        }
    };
    let note = (options.split == Split::Test)
        .then(|| format!("{} is one array: all of it is used as the test split", path.display()));
    Ok(Dataset::new(spec.to_string(), options.split, example, values, None, Vec::new()).note(note))
}

enum Axis {
    First,
    Last,
}

/// Which of the outer axes of a picture is its channels.
fn channel_axis(first: usize, last: usize) -> Option<Axis> {
    match ([1, 3].contains(&first), [1, 3].contains(&last)) {
        (true, false) => Some(Axis::First),
        (false, true) => Some(Axis::Last),
        _ => None,
    }
}

fn load_u8(
    reader: NpyReader,
    shape: [usize; 3],
    interleaved: bool,
    spec: &DatasetSpec,
    options: &LoadOptions,
) -> Result<(Vec<usize>, Values), DataError> {
    let [c, h, w] = shape;
    let mut values = reader.read_u8()?;
    if interleaved && c > 1 {
        let mut planar = vec![0; c * h * w];
        for picture in values.chunks_exact_mut(c * h * w) {
            for (i, pixel) in picture.chunks_exact(c).enumerate() {
                for channel in 0..c {
                    planar[channel * h * w + i] = pixel[channel];
                }
            }
            picture.copy_from_slice(&planar);
        }
    }
    let fitted = fit(Pictures { values, shape }, &spec.to_string(), options, Enlarge::Resize)?;
    Ok((fitted.shape.to_vec(), Values::U8(fitted.values.into())))
}

fn load_f32(reader: NpyReader, spec: &DatasetSpec, options: &LoadOptions) -> Result<(Vec<usize>, Values), DataError> {
    let path = reader.path().to_owned();
    let example: Vec<usize> = reader.shape()[1..].iter().map(|&n| n as usize).collect();
    let reason = "float32 pictures are used as they are; convert the array, or store it as uint8";
    if let Some(size) = options.image_size.filter(|&size| example[1..] != [size, size]) {
        return Err(DataError::ImageSize { dataset: spec.to_string(), size, reason });
    }
    if let Some(channels) = options.channels.filter(|&channels| channels != example[0]) {
        return Err(DataError::Channels { dataset: spec.to_string(), channels, reason });
    }
    let values = reader.read_f32()?;
    check(&values, &example, &path, "a number in [-1, 1]", |x| (-1.0..=1.0).contains(&x))?;
    Ok((example, Values::F32(values.into())))
}

fn load_points(
    reader: NpyReader,
    spec: &DatasetSpec,
    options: &LoadOptions,
) -> Result<(Vec<usize>, Values), DataError> {
    let path = reader.path().to_owned();
    let example = vec![reader.shape()[1] as usize];
    let reason = "an N×D array holds points, not pictures";
    if let Some(size) = options.image_size {
        return Err(DataError::ImageSize { dataset: spec.to_string(), size, reason });
    }
    if let Some(channels) = options.channels {
        return Err(DataError::Channels { dataset: spec.to_string(), channels, reason });
    }
    let values = reader.read_f32()?;
    check(&values, &example, &path, "a finite number", f32::is_finite)?;
    Ok((example, Values::F32(values.into())))
}

/// The first value that is not `ok` is an error with its index along every axis.
fn check(
    values: &[f32],
    example: &[usize],
    path: &Path,
    expected: &'static str,
    ok: impl Fn(f32) -> bool,
) -> Result<(), DataError> {
    let Some(position) = values.iter().position(|&x| !ok(x)) else { return Ok(()) };
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
    Err(DataError::BadValue { path: path.to_owned(), index, value: values[position], expected })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use npyz::WriterBuilder;

    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        /// A file written by another implementation of the format.
        fn write<T: npyz::AutoSerialize + Copy>(&self, shape: &[u64], values: &[T]) -> PathBuf {
            let path = self.0.path().join("data.npy");
            let file = fs::File::create(&path).unwrap();
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(file).begin_nd().unwrap();
            writer.extend(values.iter().copied()).unwrap();
            writer.finish().unwrap();
            path
        }

        fn load<T: npyz::AutoSerialize + Copy>(&self, shape: &[u64], values: &[T]) -> Result<Dataset, DataError> {
            load(&self.write(shape, values), &LoadOptions::default())
        }
    }

    fn dir() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn u8s(data: &Dataset) -> Vec<u8> {
        match data.values() {
            Values::U8(values) => values.to_vec(),
            Values::F32(_) => panic!("expected bytes"),
        }
    }

    #[test]
    fn bytes_are_read_in_either_order_of_axes() {
        let dir = dir();
        let counted: Vec<u8> = (0..2 * 2 * 4 * 3).collect();
        let data = dir.load(&[2, 2, 4, 3], &counted).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[3usize, 2, 4][..]));
        let values = u8s(&data);
        for n in 0..2 {
            for (c, y, x) in (0..24).map(|i| (i / 8, i / 4 % 2, i % 4)) {
                assert_eq!(values[n * 24 + c * 8 + y * 4 + x], counted[n * 24 + (y * 4 + x) * 3 + c]);
            }
        }
        let data = dir.load(&[2, 3, 2, 4], &counted).unwrap();
        assert_eq!((data.shape(), u8s(&data)), (&[3usize, 2, 4][..], counted.clone()));
        let data = dir.load(&[3, 4, 4, 1], &counted).unwrap();
        assert_eq!((data.shape(), u8s(&data)), (&[1usize, 4, 4][..], counted.clone()));
        let data = dir.load(&[6, 2, 4], &counted).unwrap();
        assert_eq!((data.len(), data.shape(), u8s(&data)), (6, &[1usize, 2, 4][..], counted));
    }

    #[test]
    fn bytes_can_be_fitted_and_the_test_split_is_noted() {
        let dir = dir();
        let path = dir.write(&[1, 4, 6, 3], &[7u8; 72]);
        let options =
            LoadOptions { image_size: Some(8), channels: Some(1), split: Split::Test, ..LoadOptions::default() };
        let data = load(&path, &options).unwrap();
        assert_eq!((data.shape(), u8s(&data)), (&[1usize, 8, 8][..], vec![7; 64]));
        assert!(data.notes()[0].contains("one array"));
    }

    #[test]
    fn floats_in_range_and_points_are_read_as_they_are() {
        let dir = dir();
        let values: Vec<f32> = (0..24).map(|k| k as f32 / 11.5 - 1.0).collect();
        let data = dir.load(&[2, 3, 2, 2], &values).unwrap();
        let mut out = [0.0; 12];
        data.write_example(1, false, &mut out);
        assert_eq!((data.shape(), &out[..]), (&[3usize, 2, 2][..], &values[12..]));
        let data = dir.load(&[8, 3], &values.iter().map(|x| 100.0 * x).collect::<Vec<f32>>()).unwrap();
        assert_eq!((data.len(), data.shape()), (8, &[3usize][..]));
    }

    #[test]
    fn a_bad_value_is_named_with_its_index() {
        let dir = dir();
        for (bad, shown) in [(f32::NAN, "NaN"), (1.5, "1.5"), (f32::NEG_INFINITY, "-inf"), (255.0, "255")] {
            let mut values = vec![0.0f32; 2 * 3 * 2 * 2];
            values[12 + 2 * 4 + 3] = bad;
            let message = dir.load(&[2, 3, 2, 2], &values).unwrap_err().to_string();
            assert!(
                message.contains(&format!("value {shown} at [1, 2, 1, 1]")) && message.contains("[-1, 1]"),
                "{message}"
            );
        }
        let mut values = vec![3.0f32; 8];
        values[5] = f32::INFINITY;
        let message = dir.load(&[4, 2], &values).unwrap_err().to_string();
        assert!(message.contains("inf at [2, 1]") && message.contains("finite"), "{message}");
    }

    #[test]
    fn other_types_and_shapes_are_refused_with_the_accepted_ones() {
        let dir = dir();
        let messages = [
            dir.load(&[4, 2], &[0i64; 8]),
            dir.load(&[1, 1, 2, 2], &[0f64; 4]),
            dir.load(&[4], &[0f32; 4]),
            dir.load(&[1, 1, 1, 2, 2], &[0f32; 4]),
            dir.load(&[4, 2], &[0u8; 8]),
            dir.load(&[1, 3, 5, 3], &[0u8; 45]),
            dir.load(&[1, 5, 5, 2], &[0u8; 50]),
            dir.load(&[1, 8, 8, 3], &[0f32; 192]),
        ]
        .map(|result| result.unwrap_err().to_string());
        for (message, reason) in messages.iter().zip([
            "astype",
            "astype",
            "so many axes",
            "so many axes",
            "so many axes",
            "cannot be told",
            "cannot be told",
            "transpose",
        ]) {
            assert!(
                message.contains(reason) && message.contains("float32 N×D") && message.contains("data.npy"),
                "{message}"
            );
        }
        assert!(messages[0].contains("<i8") && messages[0].contains("[4, 2]"), "{}", messages[0]);
        assert!(matches!(dir.load::<f32>(&[0, 2], &[]), Err(DataError::BadSize { .. })));
    }

    #[test]
    fn float_pictures_cannot_be_resized() {
        let dir = dir();
        let path = dir.write(&[1, 1, 4, 4], &[0f32; 16]);
        let at = |image_size, channels| load(&path, &LoadOptions { image_size, channels, ..LoadOptions::default() });
        assert!(at(Some(4), Some(1)).is_ok());
        assert!(matches!(at(Some(8), None), Err(DataError::ImageSize { size: 8, .. })));
        assert!(matches!(at(None, Some(3)), Err(DataError::Channels { channels: 3, .. })));
    }
}
