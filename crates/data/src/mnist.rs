//! Fashion-MNIST and MNIST: IDX files of grey 28×28 pictures with a label from 0 to 9.

use std::path::Path;

use sfumato_files::hex;
use sha2::{Digest, Sha256};

use super::fit::{Enlarge, Pictures, fit};
use super::idx::{self, Idx};
use super::loaded::{LoadedDataset, Values};
use super::mnist_files::{FASHION_DEBIAN, Files, fashion, find, mnist};
use super::{DataError, DatasetSpec, LoadOptions, Split};

const FASHION_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The embedded first 10,000 training images of Fashion-MNIST.
pub(super) fn load_mini(options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    if options.split == Split::Test {
        return Err(DataError::MiniHasNoTestSplit);
    }
    let images = idx::read_gz_bytes(
        include_bytes!("../data/fashion-mnist-mini/images-idx3-ubyte.gz"),
        Path::new("embedded fashion-mnist-mini/images-idx3-ubyte.gz"),
    )?;
    let labels_path = Path::new("embedded fashion-mnist-mini/labels-idx1-ubyte.gz");
    let labels = idx::read_gz_bytes(include_bytes!("../data/fashion-mnist-mini/labels-idx1-ubyte.gz"), labels_path)?;
    assemble(&DatasetSpec::FashionMnistMini, images, Some((labels, labels_path)), options)
}

/// The full Fashion-MNIST.
pub(super) fn load_fashion(options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    load(&DatasetSpec::FashionMnist, &fashion(options.split), Some(Path::new(FASHION_DEBIAN)), options)
}

/// MNIST.
pub(super) fn load_mnist(options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    load(&DatasetSpec::Mnist, &mnist(options.split), None, options)
}

fn load(
    spec: &DatasetSpec,
    files: &Files,
    installed: Option<&Path>,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    if let Some(directory) = &options.data_dir {
        return load_directory(spec, files, directory, options);
    }
    let cached = (files.images.cached(options)?, files.labels.cached(options)?);
    let installed = installed.and_then(|dir| Some((find(dir, &files.images)?, find(dir, &files.labels)?)));
    // What comes from the cache or the network is verified by the MD5 of the compressed file.
    let (images_path, labels_path, verified) = match (cached, installed) {
        ((Some(images), Some(labels)), _) => (images, labels, true),
        (_, Some((images, labels))) => (images, labels, false),
        _ => (files.images.obtain(options)?, files.labels.obtain(options)?, true),
    };
    let images: Idx<3> = idx::read(&images_path)?;
    let labels: Idx<1> = idx::read(&labels_path)?;
    if let (false, Some([images_sum, labels_sum])) = (verified, files.content) {
        verify(&images_path, &images, images_sum)?;
        verify(&labels_path, &labels, labels_sum)?;
    }
    assemble(spec, images, Some((labels, &labels_path)), options)
}

/// Files that the user points at: any set of this format will do, so that its relatives can be used too.
fn load_directory(
    spec: &DatasetSpec,
    files: &Files,
    directory: &Path,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let missing = || DataError::MissingFiles {
        dataset: files.images.dataset,
        directory: directory.to_owned(),
        missing: files.images.file.to_owned(),
    };
    let images_path = find(directory, &files.images).ok_or_else(missing)?;
    let images: Idx<3> = idx::read(&images_path)?;
    let labels_path = find(directory, &files.labels);
    let labels = labels_path.as_deref().map(|path| idx::read::<1>(path).map(|labels| (labels, path))).transpose()?;
    let other = files.content.is_some_and(|[sum, _]| content_sum(&images) != sum);
    let other = other.then(|| format!("{} is not the published {spec}; it is used as it is", images_path.display()));
    let unlabelled = labels.is_none().then(|| format!("no labels beside {}: no classes", images_path.display()));
    Ok(assemble(spec, images, labels, options)?.note(other).note(unlabelled))
}

fn content_sum<const D: usize>(idx: &Idx<D>) -> String {
    hex(&Sha256::new().chain_update(&idx.header).chain_update(&idx.values).finalize())
}

fn verify<const D: usize>(path: &Path, idx: &Idx<D>, expected: &str) -> Result<(), DataError> {
    let found = content_sum(idx);
    if found == expected {
        return Ok(());
    }
    let (path, algorithm) = (path.to_owned(), "SHA-256 (uncompressed)");
    Err(DataError::Checksum { path, algorithm, expected: expected.to_owned(), found })
}

fn assemble(
    spec: &DatasetSpec,
    images: Idx<3>,
    labels: Option<(Idx<1>, &Path)>,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let [count, height, width] = images.dimensions;
    let class_names: Vec<String> = match spec {
        DatasetSpec::Mnist => (0..10).map(|digit| digit.to_string()).collect(),
        _ => FASHION_CLASSES.map(str::to_owned).to_vec(),
    };
    let labels = labels
        .map(|(labels, path)| {
            if labels.values.len() != count {
                return Err(DataError::LabelCount {
                    path: path.to_owned(),
                    images: count,
                    labels: labels.values.len(),
                });
            }
            checked_labels(&labels.values, class_names.len(), path)
        })
        .transpose()?;
    let name = spec.to_string();
    let pictures = Pictures { values: images.values, shape: [1, height, width] };
    let (Pictures { values, shape }, resizing) = fit(pictures, &name, options, Enlarge::Pad)?;
    let class_names = if labels.is_some() { class_names } else { Vec::new() };
    let values = Values::U8(values.into());
    Ok(LoadedDataset::new(name, options.split, shape.to_vec(), values, labels, class_names).resized(resizing))
}

/// Labels as `u32`, each below `classes`.
pub(super) fn checked_labels(labels: &[u8], classes: usize, path: &Path) -> Result<Vec<u32>, DataError> {
    let checked = labels.iter().enumerate().map(|(index, &label)| match usize::from(label) < classes {
        true => Ok(u32::from(label)),
        false => Err(DataError::Label { path: path.to_owned(), index, label: label.into(), classes }),
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::idx::tests::{gz, idx};
    use super::*;
    use crate::Dataset;

    fn options(dir: &Path) -> LoadOptions {
        LoadOptions { data_dir: Some(dir.to_owned()), ..LoadOptions::default() }
    }

    #[test]
    fn the_mini_set_is_the_first_10000_training_images() {
        let data = load_mini(&LoadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape(), data.classes()), (10_000, &[1usize, 28, 28][..], Some(10)));
        // The first label of the published set is 9, an ankle boot; the counts are those of its first 10,000 labels.
        let labels = data.labels().unwrap();
        assert_eq!(labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        assert_eq!(data.class_names()[9], "Ankle boot");
        let mut counts = [0; 10];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, [942, 1027, 1016, 1019, 974, 989, 1021, 1022, 990, 1000]);
        assert!(data.notes().is_empty() && data.skipped().is_empty());
    }

    #[test]
    fn the_mini_set_padded_to_32_keeps_its_pixels_and_its_test_split_is_refused() {
        let options = LoadOptions { image_size: Some(crate::ImageSize::square(32)), ..LoadOptions::default() };
        let (padded, plain) = (load_mini(&options).unwrap(), load_mini(&LoadOptions::default()).unwrap());
        assert_eq!(padded.shape(), [1, 32, 32]);
        let (mut a, mut b) = (vec![0.0; 32 * 32], vec![0.0; 28 * 28]);
        padded.write(123, &mut a);
        plain.write(123, &mut b);
        for (y, row) in a.chunks(32).enumerate() {
            for (x, value) in row.iter().enumerate() {
                let inside = (2..30).contains(&y) && (2..30).contains(&x);
                assert_eq!(*value, if inside { b[(y - 2) * 28 + x - 2] } else { -1.0 });
            }
        }
        let test = LoadOptions { split: Split::Test, ..LoadOptions::default() };
        let message = load_mini(&test).unwrap_err().to_string();
        assert!(message.contains("`fashion-mnist`") && message.contains("dataset-fashion-mnist"), "{message}");
    }

    #[test]
    fn a_directory_is_read_in_every_spelling_with_or_without_labels() {
        let images = idx(&[2, 3, 3], &(0..18).collect::<Vec<u8>>());
        let labels = idx(&[2], &[3, 9]);
        for (folder, image_name, label_name) in [
            ("", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            ("", "train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
            ("MNIST/raw", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let bytes = |name: &str, bytes: &[u8]| if name.ends_with("gz") { gz(bytes) } else { bytes.to_vec() };
            fs::write(folder.join(image_name), bytes(image_name, &images)).unwrap();
            let unlabelled = load_mnist(&options(dir.path())).unwrap();
            assert_eq!((unlabelled.labels(), unlabelled.classes(), unlabelled.notes().len()), (None, None, 1));
            fs::write(folder.join(label_name), bytes(label_name, &labels)).unwrap();
            let data = load_mnist(&options(dir.path())).unwrap();
            assert_eq!((data.len(), data.shape(), data.labels()), (2, &[1usize, 3, 3][..], Some(&[3u32, 9][..])));
        }
    }

    #[test]
    fn the_two_sets_are_told_apart_in_a_common_directory() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, level) in [("FashionMNIST/raw", 1), ("MNIST/raw", 2)] {
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("train-images-idx3-ubyte"), idx(&[1, 1, 1], &[level])).unwrap();
        }
        let level = |data: LoadedDataset| match data.values() {
            Values::U8(values) => values[0],
            Values::F32(_) => panic!("pictures are bytes"),
        };
        let options = options(dir.path());
        assert_eq!((level(load_fashion(&options).unwrap()), level(load_mnist(&options).unwrap())), (1, 2));
    }

    #[test]
    fn bad_directories_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let message = |options: &LoadOptions| load_fashion(options).unwrap_err().to_string();
        let missing = message(&options(dir.path()));
        assert!(
            missing.contains("train-images-idx3-ubyte.gz") && missing.contains("leave the directory out"),
            "{missing}"
        );
        fs::write(dir.path().join("train-images-idx3-ubyte"), idx(&[2, 1, 1], &[1, 2])).unwrap();
        let labels = dir.path().join("train-labels-idx1-ubyte");
        fs::write(&labels, idx(&[3], &[1, 2, 3])).unwrap();
        assert!(message(&options(dir.path())).contains("3 labels for 2 images"));
        fs::write(&labels, idx(&[2], &[1, 10])).unwrap();
        assert!(message(&options(dir.path())).contains("label 10 of image 1"));
        fs::write(&labels, idx(&[2], &[1, 9])).unwrap();
        let data = load_fashion(&options(dir.path())).unwrap();
        assert!(data.notes()[0].contains("not the published fashion-mnist"), "{:?}", data.notes());
        let test = LoadOptions { split: Split::Test, ..options(dir.path()) };
        assert!(message(&test).contains("t10k-images"));
    }

    #[test]
    fn without_files_or_downloads_the_error_says_where_it_looked() {
        let cache = tempfile::tempdir().unwrap();
        let offline =
            LoadOptions { cache_dir: Some(cache.path().to_owned()), download: false, ..LoadOptions::default() };
        assert!(matches!(load_mnist(&offline), Err(DataError::DownloadOff { dataset: "mnist", .. })));
    }

    #[test]
    fn the_full_set_of_the_debian_package_is_verified_and_begins_with_the_mini_set() {
        let cache = tempfile::tempdir().unwrap();
        let offline =
            LoadOptions { cache_dir: Some(cache.path().to_owned()), download: false, ..LoadOptions::default() };
        if !Path::new(FASHION_DEBIAN).exists() {
            eprintln!("skipped: Debian's package dataset-fashion-mnist is not installed");
            return;
        }
        let full = load_fashion(&offline).unwrap();
        let test = load_fashion(&LoadOptions { split: Split::Test, ..offline }).unwrap();
        assert_eq!((full.len(), test.len()), (60_000, 10_000));
        let mini = load_mini(&LoadOptions::default()).unwrap();
        let (Values::U8(full_values), Values::U8(mini_values)) = (full.values(), mini.values()) else {
            panic!("pictures are bytes");
        };
        assert_eq!(full_values[..mini_values.len()], mini_values[..]);
        assert_eq!(full.labels().unwrap()[..10_000], *mini.labels().unwrap());
    }
}
