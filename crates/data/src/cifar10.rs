//! CIFAR-10, binary version: Krizhevsky (2009), "Learning multiple layers of features from tiny images".
//!
//! Records of 3073 bytes: the class, then 32×32 red, green and blue values.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::fetch::Published;
use super::fit::{Enlarge, Pictures, fit};
use super::guard::guarded_or;
use super::loaded::{LoadedDataset, Values};
use super::mnist::checked_labels;
use super::store::regular;
use super::{DataError, DatasetSpec, LoadOptions, Split};

const ARCHIVE: Published = Published {
    dataset: "cifar10",
    file: "cifar-10-binary.tar.gz",
    bytes: 170_052_171,
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    hosts: &["https://www.cs.toronto.edu/~kriz"],
};

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: [&str; 1] = ["test_batch.bin"];

const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
/// Longest batch file that is read: ten times the published one.
const MAX_BATCH: u64 = 100_000 * RECORD as u64;

/// Loads CIFAR-10 from a directory, an archive, the cache or the network.
pub(super) fn load(options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let names: &[&str] = match options.split {
        Split::Train => &TRAIN,
        Split::Test => &TEST,
    };
    let batches = match &options.data_dir {
        Some(directory) => from_directory(directory, names)?,
        None => from_archive(&ARCHIVE.obtain(options)?, names)?,
    };
    let (mut labels, mut values) = (Vec::new(), Vec::new());
    for (path, bytes) in &batches {
        let classes: Vec<u8> = bytes.chunks_exact(RECORD).map(|record| record[0]).collect();
        labels.extend(checked_labels(&classes, CLASSES.len(), path)?);
        bytes.chunks_exact(RECORD).for_each(|record| values.extend_from_slice(&record[1..]));
    }
    let name = DatasetSpec::Cifar10.to_string();
    let pictures = Pictures { values, shape: [3, 32, 32] };
    let (Pictures { values, shape }, resizing) = fit(pictures, &name, options, Enlarge::Resize)?;
    let class_names = CLASSES.map(str::to_owned).to_vec();
    let values = Values::U8(values.into());
    Ok(LoadedDataset::new(name, options.split, shape.to_vec(), values, Some(labels), class_names).resized(resizing))
}

type Batches = Vec<(PathBuf, Vec<u8>)>;

fn from_directory(directory: &Path, names: &[&str]) -> Result<Batches, DataError> {
    let folders = ["", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"];
    let find = |name: &str| folders.iter().map(|folder| directory.join(folder).join(name)).find(|path| path.is_file());
    let paths: Result<Vec<PathBuf>, &str> = names.iter().map(|name| find(name).ok_or(*name)).collect();
    match (paths, find(ARCHIVE.file)) {
        (Ok(paths), _) => paths
            .into_iter()
            .map(|path| {
                let bytes = read_batch(regular(&path)?, &path)?;
                Ok((path, bytes))
            })
            .collect(),
        (Err(_), Some(archive)) => from_archive(&archive, names),
        (Err(name), None) => Err(DataError::MissingFiles {
            dataset: ARCHIVE.dataset,
            directory: directory.to_owned(),
            missing: format!("{name} (or {})", ARCHIVE.file),
        }),
    }
}

/// Reads the batches out of the archive without unpacking it.
fn from_archive(path: &Path, names: &[&str]) -> Result<Batches, DataError> {
    let damaged = |reason| DataError::Gzip { path: path.to_owned(), source: io::Error::other(reason) };
    guarded_or(|| unpack(path, names), damaged)
}

fn unpack(path: &Path, names: &[&str]) -> Result<Batches, DataError> {
    let gzip = |source| DataError::Gzip { path: path.to_owned(), source };
    let file = BufReader::new(regular(path)?);
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut batches: Vec<Option<(PathBuf, Vec<u8>)>> = vec![None; names.len()];
    for entry in archive.entries().map_err(gzip)? {
        let mut entry = entry.map_err(gzip)?;
        let inside = entry.path().map_err(gzip)?.into_owned();
        let position = names.iter().position(|name| inside.file_name().is_some_and(|file| file == *name));
        if let Some(position) = position {
            let shown = path.join(&inside);
            let bytes = read_batch(&mut entry, &shown)?;
            batches[position] = Some((shown, bytes));
        }
    }
    let missing = |name: &&str| DataError::MissingFiles {
        dataset: ARCHIVE.dataset,
        directory: path.to_owned(),
        missing: (*name).to_owned(),
    };
    batches.into_iter().zip(names).map(|(batch, name)| batch.ok_or_else(|| missing(name))).collect()
}

/// Whole records, at least one.
fn read_batch(reader: impl Read, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BATCH + 1).read_to_end(&mut bytes).map_err(DataError::io("read", path))?;
    let found = bytes.len() as u64;
    if bytes.is_empty() || bytes.len() % RECORD != 0 || found > MAX_BATCH {
        let expected = found.div_ceil(RECORD as u64).max(1) * RECORD as u64;
        return Err(DataError::Length { path: path.to_owned(), expected: expected.min(MAX_BATCH), found });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::idx::tests::gz;
    use super::*;
    use crate::Dataset;

    /// `count` records; class and pixels say which.
    fn batch(first: u8, count: u8) -> Vec<u8> {
        (first..first + count)
            .flat_map(|k| {
                let planes = [k, k + 100, k + 200].into_iter().flat_map(|v| [v; 1024]);
                std::iter::once(k % 10).chain(planes)
            })
            .collect()
    }

    fn options(dir: &Path) -> LoadOptions {
        LoadOptions { data_dir: Some(dir.to_owned()), ..LoadOptions::default() }
    }

    fn check(data: &LoadedDataset) {
        assert_eq!((data.len(), data.shape(), data.classes()), (10, &[3usize, 32, 32][..], Some(10)));
        assert_eq!(data.labels().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let mut out = vec![0.0; PIXELS];
        data.write(7, &mut out);
        for (plane, byte) in out.chunks(1024).zip([7.0, 107.0, 207.0f64]) {
            assert!(plane.iter().all(|&x| x == (byte / 127.5 - 1.0) as f32));
        }
    }

    #[test]
    fn batches_are_read_in_order_from_a_directory_and_from_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        for (i, name) in TRAIN.iter().enumerate() {
            fs::write(dir.path().join(name), batch(2 * i as u8, 2)).unwrap();
        }
        check(&load(&options(dir.path())).unwrap());

        let packed = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        // In another order than the names.
        for (i, name) in TRAIN.iter().enumerate().rev() {
            let bytes = batch(2 * i as u8, 2);
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).unwrap();
        }
        let bytes = gz(&archive.into_inner().unwrap());
        let path = packed.path().join(ARCHIVE.file);
        fs::write(&path, &bytes).unwrap();
        check(&load(&options(packed.path())).unwrap());

        let test = LoadOptions { split: Split::Test, ..options(packed.path()) };
        let message = load(&test).unwrap_err().to_string();
        assert!(message.contains("test_batch.bin"), "{message}");
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = load(&options(packed.path())).unwrap_err().to_string();
        assert!(message.contains(ARCHIVE.file), "{message}");
    }

    #[test]
    fn bad_batches_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let test = LoadOptions { split: Split::Test, ..options(dir.path()) };
        let message = |options: &LoadOptions| load(options).unwrap_err().to_string();
        assert!(message(&test).contains("test_batch.bin (or cifar-10-binary.tar.gz)"));
        let path = dir.path().join("test_batch.bin");
        fs::write(&path, &batch(0, 2)[..4000]).unwrap();
        assert!(message(&test).contains("4000 bytes of data where 6146"), "{}", message(&test));
        fs::write(&path, []).unwrap();
        assert!(message(&test).contains("0 bytes of data where 3073"));
        let mut bytes = batch(0, 2);
        bytes[RECORD] = 77;
        fs::write(&path, bytes).unwrap();
        assert!(message(&test).contains("label 77 of image 1"));
    }

    #[test]
    fn a_wrong_archive_from_a_mirror_is_refused() {
        let cache = tempfile::tempdir().unwrap();
        let offline =
            LoadOptions { cache_dir: Some(cache.path().to_owned()), download: false, ..LoadOptions::default() };
        fs::create_dir_all(cache.path().join("cifar10")).unwrap();
        fs::write(cache.path().join("cifar10").join(ARCHIVE.file), b"not it").unwrap();
        assert!(matches!(load(&offline), Err(DataError::Checksum { algorithm: "MD5", .. })));
    }
}
