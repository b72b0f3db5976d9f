//! Arrays that another implementation of the format has written.

use std::fs;
use std::path::PathBuf;

use npyz::WriterBuilder;

use super::Dataset;
use super::arrays::load;
use super::{DataError, ImageSize, LoadOptions, LoadedDataset, Split, Values};

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

    fn load<T: npyz::AutoSerialize + Copy>(&self, shape: &[u64], values: &[T]) -> Result<LoadedDataset, DataError> {
        load(&self.write(shape, values), &LoadOptions::default())
    }
}

fn dir() -> Dir {
    Dir(tempfile::tempdir().unwrap())
}

fn u8s(data: &LoadedDataset) -> Vec<u8> {
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
    let options = LoadOptions {
        image_size: Some(ImageSize::square(8)),
        channels: Some(1),
        split: Split::Test,
        ..LoadOptions::default()
    };
    let data = load(&path, &options).unwrap();
    assert_eq!((data.shape(), u8s(&data)), (&[1usize, 8, 8][..], vec![7; 64]));
    assert!(data.notes().iter().any(|note| note.contains("one array")), "{:?}", data.notes());
}

#[test]
fn floats_in_range_and_points_are_read_as_they_are() {
    let dir = dir();
    let values: Vec<f32> = (0..24).map(|k| k as f32 / 11.5 - 1.0).collect();
    let data = dir.load(&[2, 3, 2, 2], &values).unwrap();
    let mut out = [0.0; 12];
    data.write(1, &mut out);
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
fn float_pictures_cannot_be_resized() {
    let dir = dir();
    let path = dir.write(&[1, 1, 4, 4], &[0f32; 16]);
    let at = |image_size: Option<usize>, channels| {
        load(&path, &LoadOptions { image_size: image_size.map(ImageSize::square), channels, ..LoadOptions::default() })
    };
    assert!(at(Some(4), Some(1)).is_ok());
    assert!(matches!(at(Some(8), None), Err(DataError::ImageSize { .. })));
    assert!(matches!(at(None, Some(3)), Err(DataError::Channels { channels: 3, .. })));
}
