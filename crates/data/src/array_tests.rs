//! Arrays of every type, order and range, and archives of them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use super::Dataset;
use super::{DataError, DatasetSpec, LoadOptions, LoadedDataset, Part, Split, Subset, ValueRange, Values, load};

/// A `.npy` file as numpy writes it.
fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

fn read(bytes: &[u8], options: LoadOptions) -> Result<LoadedDataset, DataError> {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.npy");
    fs::write(&path, bytes).unwrap();
    load(&DatasetSpec::Npy(path), &options)
}

fn plain(bytes: &[u8]) -> LoadedDataset {
    read(bytes, LoadOptions::default()).unwrap()
}

fn ranged(bytes: &[u8], range: &str) -> Result<LoadedDataset, DataError> {
    read(bytes, LoadOptions { range: Some(range.parse::<ValueRange>().unwrap()), ..LoadOptions::default() })
}

fn bytes(data: &LoadedDataset) -> Vec<u8> {
    match data.values() {
        Values::U8(values) => values.to_vec(),
        Values::F32(values) => panic!("expected bytes, found {values:?}"),
    }
}

fn floats(data: &LoadedDataset) -> Vec<f32> {
    match data.values() {
        Values::F32(values) => values.to_vec(),
        Values::U8(values) => panic!("expected floats, found {values:?}"),
    }
}

#[test]
fn every_type_of_number_is_read() {
    let pictures = [2, 1, 1, 3];
    let ints: [i64; 6] = [0, 1, 2, 100, 254, 255];
    let levels = ints.map(|i| i as u8).to_vec();
    for (descr, data) in [
        ("<i8", ints.iter().flat_map(|i| i.to_le_bytes()).collect::<Vec<u8>>()),
        (">i8", ints.iter().flat_map(|i| i.to_be_bytes()).collect()),
        ("<i4", ints.iter().flat_map(|i| (*i as i32).to_le_bytes()).collect()),
        (">u2", ints.iter().flat_map(|i| (*i as u16).to_be_bytes()).collect()),
        ("<u4", ints.iter().flat_map(|i| (*i as u32).to_le_bytes()).collect()),
    ] {
        let data = plain(&npy(descr, false, &[2, 1, 3], &data));
        assert_eq!(bytes(&data), levels, "{descr}");
        assert!(data.notes()[0].contains("range 0..255"), "{:?}", data.notes());
    }
    let wide: Vec<u8> = [0u16, 257, 514, 25_700, 65_278, 65_535].iter().flat_map(|i| i.to_le_bytes()).collect();
    let data = plain(&npy("<u2", false, &[2, 1, 3], &wide));
    assert_eq!(bytes(&data), levels);
    assert!(data.notes()[0].contains("range 0..65535"), "{:?}", data.notes());
    assert_eq!(bytes(&plain(&npy("|b1", false, &[2, 1, 3], &[0, 1, 1, 0, 0, 1]))), [0, 255, 255, 0, 0, 255]);
    let unit = [-1.0f32, -0.5, 0.0, 0.25, 0.5, 1.0];
    for (descr, data) in [
        ("<f4", f32s(unit)),
        (">f4", unit.iter().flat_map(|x| x.to_be_bytes()).collect()),
        ("<f8", unit.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect()),
        ("<f2", [0xbc00u16, 0xb800, 0, 0x3400, 0x3800, 0x3c00].iter().flat_map(|h| h.to_le_bytes()).collect()),
    ] {
        let data = plain(&npy(descr, false, &[2, 1, 3], &data));
        assert_eq!(
            (floats(&data), data.shape(), data.notes().len()),
            (unit.to_vec(), &[1usize, 1, 3][..], 0),
            "{descr}"
        );
    }
    assert!(read(&npy("|O", false, &pictures, &[0; 6]), LoadOptions::default()).is_err());
}

#[test]
fn the_axes_are_told_where_they_can_be() {
    let count = |n: usize| (0..n).map(|k| k as u8).collect::<Vec<_>>();
    for (shape, example) in [
        (&[4, 5, 6, 3][..], Some([3, 5, 6])),
        (&[4, 3, 5, 6], Some([3, 5, 6])),
        (&[4, 5, 6, 1], Some([1, 5, 6])),
        (&[4, 5, 6], Some([1, 5, 6])),
        (&[4, 1, 1, 1], Some([1, 1, 1])),
        (&[4, 3, 6, 3], None),
        (&[4, 1, 6, 3], None),
        (&[4, 3, 6, 1], None),
        (&[4, 6, 6, 4], None),
        (&[4, 2, 6, 6], None),
        (&[4, 5, 6, 7], None),
        (&[4, 5], None),
        (&[4], None),
        (&[4, 1, 1, 5, 5], None),
    ] {
        let array = npy("|u1", false, shape, &count(shape.iter().product()));
        match (read(&array, LoadOptions::default()), example) {
            (Ok(data), Some(example)) => assert_eq!(data.shape(), example, "{shape:?}"),
            (Err(error), None) => assert!(error.to_string().contains("data.npy"), "{error}"),
            (found, _) => panic!("{shape:?}: {found:?}"),
        }
    }
    for (shape, example) in [
        (&[4, 5, 6, 3][..], Some(&[3, 5, 6][..])),
        (&[4, 5, 6, 2], Some(&[2, 5, 6])),
        (&[4, 2, 5, 6], Some(&[2, 5, 6])),
        (&[4, 4, 5, 6], Some(&[4, 5, 6])),
        (&[4, 8, 5, 6], Some(&[8, 5, 6])),
        (&[4, 5, 6], Some(&[1, 5, 6])),
        (&[4, 7], Some(&[7])),
        (&[4, 3, 5, 3], None),
        (&[4], None),
    ] {
        let n = shape.iter().product::<usize>();
        let array = npy("<f4", false, shape, &f32s((0..n).map(|k| k as f32 / n as f32 - 0.5)));
        match (read(&array, LoadOptions::default()), example) {
            (Ok(data), Some(example)) => assert_eq!(data.shape(), example, "{shape:?}"),
            (Err(error), None) => assert!(error.to_string().contains("data.npy"), "{error}"),
            (found, _) => panic!("{shape:?}: {found:?}"),
        }
    }
    // Channels last become planes: pixel (x, y) = 10 y + x with channel c in hundreds.
    let last: Vec<u8> = (0..2 * 3).flat_map(|p| (0..2).map(move |c| (100 * c + 10 * (p / 3) + p % 3) as u8)).collect();
    let data = plain(&npy("<f4", false, &[1, 2, 6, 2], &f32s(last.iter().chain(&last).map(|&b| f32::from(b) / 255.0))));
    assert_eq!(data.shape(), [2, 6, 2], "a second axis of 2 goes first");
    for array in [npy("|u1", false, &[0, 3, 4, 4], &[]), npy("<f4", false, &[], &f32s([1.0]))] {
        assert!(matches!(read(&array, LoadOptions::default()), Err(DataError::BadSize { .. })));
    }
}

#[test]
fn fortran_order_gives_the_same_pictures() {
    // a[n, y, x, c] = 100 n + 20 y + 3 x + c, once row by row and once column by column.
    let value = |n: usize, y: usize, x: usize, c: usize| (100 * n + 20 * y + 3 * x + c) as u8;
    let mut rows = Vec::new();
    let mut columns = Vec::new();
    for i in 0..2 * 4 * 5 * 3 {
        rows.push(value(i / 60, i / 15 % 4, i / 3 % 5, i % 3));
        columns.push(value(i % 2, i / 2 % 4, i / 8 % 5, i / 40));
    }
    let shape = [2, 4, 5, 3];
    let (c, fortran) = (plain(&npy("|u1", false, &shape, &rows)), plain(&npy("|u1", true, &shape, &columns)));
    assert_eq!((c.shape(), c.sha256()), (fortran.shape(), fortran.sha256()));
    let points = plain(&npy("<f4", true, &[2, 2], &f32s([1.0, 3.0, 2.0, 4.0])));
    assert_eq!(floats(&points), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn floats_of_another_range_are_noted_refused_and_read_when_asked() {
    let tenths = npy("<f4", false, &[1, 2, 3], &f32s([0.0, 0.15, 0.2, 0.55, 0.9, 1.0]));
    let data = plain(&tenths);
    assert!(data.notes()[0].contains("--range 0..1") && data.notes()[0].contains("[0, 1]"), "{:?}", data.notes());
    assert!(!data.is_discrete());
    let data = ranged(&tenths, "0..1").unwrap();
    let close = floats(&data).iter().zip([-1.0, -0.7, -0.6, 0.1, 0.8, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close && data.notes().is_empty(), "{:?}", data.values());
    // Bytes that someone divided by 255 are bytes again, whatever they are divided by.
    let levels = [0u8, 1, 77, 128, 254, 255];
    for (divisor, range) in [(255.0, "0..1"), (1.0, "0..255")] {
        let array = npy("<f4", false, &[1, 2, 3], &f32s(levels.map(|k| f32::from(k) / divisor)));
        let data = ranged(&array, range).unwrap();
        assert_eq!((bytes(&data), data.is_discrete()), (levels.to_vec(), true));
        assert!(data.notes()[0].contains("256 levels"), "{:?}", data.notes());
    }
    let array = npy("<f4", false, &[1, 2, 3], &f32s([0.0, 1.0, 2.0, 3.0, 4.0, 255.0]));
    let message = read(&array, LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("value 2 at [0, 0, 2]") && message.contains("--range BLACK..WHITE"), "{message}");
    for bad in [f32::NAN, f32::INFINITY] {
        let array = npy("<f4", false, &[1, 2, 3], &f32s([0.0, 1.0, bad, 0.0, 0.0, 0.0]));
        let message = ranged(&array, "0..1").unwrap_err().to_string();
        assert!(message.contains("at [0, 0, 2]") && message.contains("clean"), "{message}");
    }
    // Masks of bytes.
    let mask = npy("|u1", false, &[1, 2, 3], &[0, 1, 1, 0, 0, 1]);
    assert!(plain(&mask).notes()[0].contains("--range 0..1"));
    assert_eq!(bytes(&ranged(&mask, "0..1").unwrap()), [0, 255, 255, 0, 0, 255]);
    assert!(ranged(&npy("|u1", false, &[1, 2, 3], &[0, 1, 1, 0, 0, 2]), "0..1").is_err());
    assert!(ranged(&npy("<f4", false, &[2, 2], &f32s([0.0; 4])), "0..1").unwrap_err().to_string().contains("points"));
    let message = read(&npy("<i4", false, &[1, 1, 1], &(-3i32).to_le_bytes()), LoadOptions::default()).unwrap_err();
    assert!(message.to_string().contains("value -3"), "{message}");
}

/// An archive as `np.savez` or `np.savez_compressed` writes it.
fn npz(arrays: &[(&str, Vec<u8>)], compressed: bool) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.npz");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    let method = if compressed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (dir, path)
}

fn pictures(count: usize, level: u8) -> Vec<u8> {
    npy("|u1", false, &[count, 2, 2, 3], &vec![level; count * 12])
}

fn labels(values: &[i64]) -> Vec<u8> {
    npy("<i8", false, &[values.len()], &values.iter().flat_map(|i| i.to_le_bytes()).collect::<Vec<_>>())
}

fn open(path: &Path, split: Split) -> Result<LoadedDataset, DataError> {
    load(&DatasetSpec::Npy(path.to_owned()), &LoadOptions { split, ..LoadOptions::default() })
}

#[test]
fn archives_are_read_as_those_who_publish_them_name_their_arrays() {
    let wide = npy("|u1", false, &[3, 1], &[5, 4, 5]);
    for compressed in [false, true] {
        // improved-diffusion's samples, Keras's data sets, MedMNIST.
        for (names, split_names) in [(["arr_0", "arr_1"], false), (["images", "labels"], false), (["x", "y"], false)] {
            let (_dir, path) = npz(&[(names[0], pictures(3, 7)), (names[1], labels(&[10, 2, 10]))], compressed);
            let data = open(&path, Split::Train).unwrap();
            assert_eq!(
                (data.labels(), data.class_names()),
                (Some(&[1, 0, 1][..]), &["2".to_owned(), "10".to_owned()][..])
            );
            assert_eq!((bytes(&data)[0], data.shape()), (7, &[3usize, 2, 2][..]));
            let note = "used as the test split";
            assert!(
                open(&path, Split::Test).unwrap().notes().iter().any(|n| n.contains(note)),
                "{names:?} {split_names}"
            );
        }
        let (_dir, path) = npz(
            &[
                ("x_train", pictures(2, 1)),
                ("y_train", labels(&[0, 1])),
                ("x_test", pictures(1, 9)),
                ("y_test", labels(&[1])),
            ],
            compressed,
        );
        let (train, test) = (open(&path, Split::Train).unwrap(), open(&path, Split::Test).unwrap());
        assert_eq!((train.len(), bytes(&train)[0], train.classes()), (2, 1, Some(2)));
        assert_eq!((test.len(), bytes(&test)[0], test.class_names()), (1, 9, &["1".to_owned()][..]));
        assert!(test.notes()[0].contains("the test split is x_test"), "{:?}", test.notes());
        let (_dir, path) = npz(
            &[("train_images", pictures(2, 1)), ("val_images", pictures(3, 8)), ("val_labels", wide.clone())],
            compressed,
        );
        let test = open(&path, Split::Test).unwrap();
        assert_eq!((bytes(&test)[0], test.labels()), (8, Some(&[1, 0, 1][..])));
    }
}

#[test]
fn archives_that_leave_a_choice_are_asked_about() {
    let (_dir, path) = npz(&[("cats", pictures(2, 1)), ("dogs", pictures(1, 2))], true);
    let message = open(&path, Split::Train).unwrap_err().to_string();
    assert!(message.contains("cats [2, 2, 2, 3], dogs [1, 2, 2, 3]") && message.contains("#NAME"), "{message}");
    let named = PathBuf::from(format!("{}#dogs", path.display()));
    assert_eq!(bytes(&open(&named, Split::Train).unwrap())[0], 2);
    let wrong = PathBuf::from(format!("{}#cows", path.display()));
    assert!(open(&wrong, Split::Train).unwrap_err().to_string().contains("no array cows"));
    let (_dir, path) = npz(&[("x_train", pictures(2, 1))], false);
    assert!(matches!(open(&path, Split::Test), Err(DataError::NoTestSplit { .. })));
    // Labels that are none are said.
    let one_hot = npy("<f4", false, &[2, 2], &f32s([0.0, 1.0, 1.0, 0.0]));
    let (_dir, path) = npz(&[("images", pictures(2, 1)), ("labels", one_hot)], false);
    let data = open(&path, Split::Train).unwrap();
    assert!(data.classes().is_none() && data.notes()[0].contains("labels [2, 2]"), "{:?}", data.notes());
    let (_dir, path) = npz(&[], false);
    assert!(open(&path, Split::Train).unwrap_err().to_string().contains("no arrays"));
    let (_dir, path) = npz(&[("x", pictures(2, 1)[..40].to_vec())], false);
    assert!(open(&path, Split::Train).unwrap_err().to_string().contains("x.npy"));
    let (dir, _) = npz(&[], false);
    assert!(open(dir.path(), Split::Train).unwrap_err().to_string().contains("is no file"));
}

/// The same examples, numbers and checksum as of the whole, with no more in memory than was asked for.
#[test]
fn a_part_is_that_of_the_whole() {
    let values: Vec<u8> = (0..60 * 12).map(|i| (i * 7 % 251) as u8).collect();
    let unit: Vec<f32> = values.iter().map(|&level| f32::from(level) / 400.0).collect();
    let spread: Vec<u8> = values.iter().flat_map(|&level| (i16::from(level)).to_le_bytes()).collect();
    for (file, options) in [
        (npy("|u1", false, &[60, 2, 2, 3], &values), LoadOptions::default()),
        (npy("|u1", true, &[60, 2, 2, 3], &values), LoadOptions::default()),
        (npy("|u1", false, &[60, 3, 2, 2], &values), LoadOptions { channels: Some(1), ..LoadOptions::default() }),
        (npy("<i2", false, &[60, 2, 2, 3], &spread), LoadOptions::default()),
        (npy("<f4", false, &[60, 2, 2, 3], &f32s(unit.clone())), LoadOptions::default()),
        (npy("<f4", false, &[60, 12], &f32s(unit)), LoadOptions::default()),
    ] {
        let whole = read(&file, options.clone()).unwrap();
        for seed in [None, Some(5)] {
            let part = Part { num: 7, seed, checksum: true };
            let data = read(&file, LoadOptions { part: Some(part), ..options.clone() }).unwrap();
            same_part(&data, &whole, seed);
        }
    }
}

fn same_part(data: &LoadedDataset, whole: &LoadedDataset, seed: Option<u64>) {
    let ids: Vec<usize> = (0..7).map(|i| seed.map_or(i, |seed| Subset::new(seed, 60).index(i))).collect();
    assert_eq!((data.part(), data.len(), data.shape()), (Some(&ids[..]), 60, whole.shape()));
    assert_eq!((data.values().len(), data.sha256()), (7 * data.example_len(), whole.sha256()));
    assert_eq!((data.notes().len(), data.labels()), (whole.notes().len(), whole.labels()));
    for i in ids {
        let (mut a, mut b) = (vec![0.0; data.example_len()], vec![0.0; data.example_len()]);
        data.write(i, &mut a);
        whole.write(i, &mut b);
        assert_eq!(a, b);
    }
}

#[test]
fn a_part_of_an_archive_keeps_the_labels_of_all() {
    let values: Vec<u8> = (0..60 * 4).map(|i| i as u8).collect();
    let classes: Vec<i64> = (0..60).map(|i| i % 3).collect();
    for compressed in [false, true] {
        let arrays = [("images", npy("|u1", false, &[60, 2, 2], &values)), ("labels", labels(&classes))];
        let (_dir, path) = npz(&arrays, compressed);
        let spec = DatasetSpec::Npy(path);
        let whole = load(&spec, &LoadOptions::default()).unwrap();
        let part = Some(Part { num: 7, seed: Some(2), checksum: true });
        same_part(&load(&spec, &LoadOptions { part, ..LoadOptions::default() }).unwrap(), &whole, Some(2));
    }
}

#[test]
fn an_archive_that_announces_more_than_it_can_hold_is_refused() {
    let announced = npy("|u1", false, &[1_000_000, 30, 30], &[0; 100]);
    let length = (announced.len() - 100 + 900_000_000) as u32;
    let (_dir, path) = npz(&[("images", announced)], true);
    let mut bytes = fs::read(&path).unwrap();
    // The uncompressed size, in the entry and in the directory.
    let directory = bytes.windows(4).position(|part| part == b"PK\x01\x02").unwrap();
    bytes[22..26].copy_from_slice(&length.to_le_bytes());
    bytes[directory + 24..directory + 28].copy_from_slice(&length.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let message = open(&path, Split::Train).unwrap_err().to_string();
    assert!(message.contains("data.npz") && message.contains("cannot hold"), "{message}");
}
