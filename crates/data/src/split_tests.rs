//! Splits by folder, of folders and of archives.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma};
use tempfile::{TempDir, tempdir};

use super::Dataset;
use super::{DataError, DatasetSpec, LoadOptions, LoadedDataset, Split, Values, load};

/// A folder with a grey picture of 2×2 pixels at each path, whose level is its place in the list, from 1.
fn folder(paths: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    for (path, level) in paths.iter().zip(1..) {
        let path = dir.path().join(path);
        if path.extension().is_none() {
            fs::create_dir_all(path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(2, 2, Luma([level])).save(path).unwrap();
    }
    dir
}

/// The same as a zip archive.
fn archive(dir: &TempDir, paths: &[&str]) -> std::path::PathBuf {
    let file = dir.path().join("archive.zip");
    let mut zip = zip::ZipWriter::new(File::create(&file).unwrap());
    for (path, level) in paths.iter().zip(1..) {
        let options = zip::write::SimpleFileOptions::default();
        let options = options
            .compression_method([zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][level as usize % 2]);
        if Path::new(path).extension().is_none() {
            zip.add_directory(*path, options).unwrap();
            continue;
        }
        zip.start_file(*path, options).unwrap();
        let mut bytes = std::io::Cursor::new(Vec::new());
        GrayImage::from_pixel(2, 2, Luma([level])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        zip.write_all(bytes.get_ref()).unwrap();
    }
    zip.finish().unwrap();
    file
}

fn levels(data: &LoadedDataset) -> Vec<u8> {
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    values.chunks(4).map(|picture| picture[0]).collect()
}

type Result<T> = std::result::Result<T, DataError>;

/// Loads a split of both the folder and the archive, which must agree.
fn both(paths: &[&str], split: Split) -> Result<LoadedDataset> {
    let dir = folder(paths);
    let options = LoadOptions { split, ..LoadOptions::default() };
    let from_folder = load(&DatasetSpec::Folder(dir.path().to_owned()), &options);
    let from_zip = load(&DatasetSpec::Zip(archive(&dir, paths)), &options);
    match (&from_folder, &from_zip) {
        (Ok(a), Ok(b)) => {
            assert_eq!(
                (a.sha256(), a.class_names(), a.notes().len()),
                (b.sha256(), b.class_names(), b.notes().len()),
                "{paths:?}"
            );
        }
        (Err(a), Err(b)) => assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b), "{paths:?}"),
        (a, b) => panic!("{paths:?}: {a:?} and {b:?}"),
    }
    from_folder
}

#[test]
fn folders_that_are_held_out_are_not_trained_on_and_are_scored() {
    for (train, held) in [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("train", "valid"),
        ("train", "validation"),
        ("train", "dev"),
        ("train", "eval"),
        ("Training", "Validation"),
        ("train2017", "val2017"),
        ("train_64x64", "valid_64x64"),
        ("train_images", "test_images"),
        ("trainset", "testset"),
        ("train-set", "val set"),
        ("trainA", "testA"),
        ("train_hr", "test_hr"),
        ("DIV2K_train_HR", "DIV2K_valid_HR"),
        ("seg_train", "seg_test"),
        ("data_train", "data_test"),
        ("train_v2", "test_v2"),
    ] {
        let path = |part: &str, file: &str| format!("{part}/{file}");
        // With classes, without, and in a folder that wraps it all.
        for wrap in ["", "data/"] {
            let (a, b) = (format!("{wrap}{train}"), format!("{wrap}{held}"));
            let all = [path(&a, "cat/1.png"), path(&a, "dog/1.png"), path(&b, "cat/1.png"), path(&b, "dog/1.png")];
            let all = all.each_ref().map(String::as_str);
            let data = both(&all, Split::Train).unwrap();
            assert_eq!(
                (levels(&data), data.class_names()),
                (vec![1, 2], &["cat", "dog"].map(String::from)[..]),
                "{train}"
            );
            assert!(data.notes().iter().any(|note| note.contains(held)), "{:?}", data.notes());
            let data = both(&all, Split::Test).unwrap();
            assert_eq!((levels(&data), data.labels()), (vec![3, 4], Some(&[0, 1][..])), "{held}");
            assert!(data.notes()[0].contains("test split") && data.notes()[0].contains(held), "{:?}", data.notes());
            let flat = [path(&a, "1.png"), path(&b, "1.png"), path(&b, "2.png")];
            let flat = flat.each_ref().map(String::as_str);
            let data = both(&flat, Split::Train).unwrap();
            assert_eq!((levels(&data), data.classes()), (vec![1], None), "{train}");
            assert_eq!(levels(&both(&flat, Split::Test).unwrap()), [2, 3]);
        }
    }
}

#[test]
fn several_pairs_of_parts_are_classes_with_one_name_in_both() {
    let paths = ["testA/a.png", "testB/a.png", "trainA/a.png", "trainB/a.png", "trainB/b.png", "trainC", "testC"];
    let data = both(&paths, Split::Train).unwrap();
    assert_eq!((levels(&data), data.labels()), (vec![3, 4, 5], Some(&[0, 1, 1][..])));
    assert_eq!(data.class_names(), ["A", "B"]);
    let said = data.notes().join("\n");
    assert!(said.contains("trainA and ") && said.contains("held out, not trained on: testA, testB"), "{said}");
    let data = both(&paths, Split::Test).unwrap();
    assert_eq!((levels(&data), data.class_names()), (vec![1, 2], &["A", "B"].map(String::from)[..]));
    // What is left of the names does not tell these apart.
    let alike = ["A_train/a.png", "A_test/a.png", "trainA/a.png", "testA/a.png"];
    for split in [Split::Train, Split::Test] {
        assert!(matches!(both(&alike, split), Err(DataError::SeveralSplits { .. })));
    }
}

#[test]
fn a_name_is_a_part_by_its_partner_only() {
    let vehicles = ["car/a.png", "freight_train/a.png", "plane/a.png"];
    let data = both(&vehicles, Split::Train).unwrap();
    assert_eq!((levels(&data), data.classes(), data.notes().len()), (vec![1, 2, 3], Some(3), 0));
    // They come behind those that need none.
    let paths = ["train/a.png", "test/a.png", "seg_train/a.png", "seg_test/a.png", "train_images/a.png"];
    assert_eq!(levels(&both(&paths, Split::Train).unwrap()), [1]);
    assert_eq!(levels(&both(&paths, Split::Test).unwrap()), [2]);
    assert_eq!(levels(&both(&paths[2..], Split::Train).unwrap()), [3]);
    // As Intel's scenes are packed.
    let nested = ["seg_train/seg_train/sea/a.png", "seg_train/seg_train/ice/a.png", "seg_test/seg_test/sea/a.png"];
    let data = both(&nested, Split::Train).unwrap();
    assert_eq!((levels(&data), data.class_names()), (vec![2, 1], &["ice", "sea"].map(String::from)[..]));
    let below = ["data_train/train/a.png", "data_test/test/a.png"];
    assert_eq!(levels(&both(&below, Split::Test).unwrap()), [2]);
}

#[test]
fn with_test_and_validation_test_is_the_test_split() {
    let paths = ["train/a.png", "test/a.png", "val/a.png", "extra/a.png", "b.png"];
    let data = both(&paths, Split::Train).unwrap();
    assert_eq!(levels(&data), [1]);
    let said = data.notes().join("\n");
    assert!(
        said.contains("held out, not trained on: test, val") && said.contains("not used") && said.contains("extra"),
        "{said}"
    );
    assert!(said.contains("1 pictures beside them"), "{said}");
    assert_eq!(levels(&both(&paths, Split::Test).unwrap()), [2]);
}

#[test]
fn a_training_folder_without_a_partner_is_not_read_whole_without_a_word() {
    let data = both(&["train/a.png", "holdout/a.png"], Split::Train).unwrap();
    assert_eq!(levels(&data), [1]);
    assert!(
        data.notes().join("\n").contains("not used, neither for training nor for testing: holdout"),
        "{:?}",
        data.notes()
    );
    for paths in [&["train/a.png", "holdout/a.png"][..], &["train/a.png"], &["train/a.png", "b.png"]] {
        let message = both(paths, Split::Test).unwrap_err().to_string();
        assert!(message.contains("no test split") && message.contains("--split train"), "{message}");
        assert_eq!(levels(&both(paths, Split::Train).unwrap()), [1]);
    }
    let data = both(&["train/cat/a.png", "train/dog/a.png", "x/cat/a.png", "y/dog/a.png"], Split::Train).unwrap();
    assert_eq!((levels(&data), data.classes()), (vec![1, 2], Some(2)));
    // Trains among other vehicles.
    let vehicles = ["car/a.png", "plane/a.png", "train/a.png"];
    for split in [Split::Train, Split::Test] {
        let data = both(&vehicles, split).unwrap();
        assert_eq!((levels(&data), data.classes()), (vec![1, 2, 3], Some(3)));
        assert!(data.notes()[0].contains("the folder train is read as a class"), "{:?}", data.notes());
    }
}

#[test]
fn what_is_held_out_beside_unnamed_pictures_is_not_trained_on() {
    let paths = ["a.png", "val/b.png"];
    let data = both(&paths, Split::Train).unwrap();
    assert_eq!(levels(&data), [1]);
    assert!(data.notes()[0].contains("held out, not trained on: val"), "{:?}", data.notes());
    assert_eq!(levels(&both(&paths, Split::Test).unwrap()), [2]);
    let data = both(&["cat/a.png", "dog/a.png", "test/cat/a.png"], Split::Train).unwrap();
    assert_eq!((levels(&data), data.classes()), (vec![1, 2], Some(2)));
    let message = both(&["test/a.png", "val/a.png"], Split::Train).unwrap_err().to_string();
    assert!(message.contains("no training pictures, only test, val"), "{message}");
}

#[test]
fn splits_can_lie_below_the_classes() {
    let paths = ["cat/train/a.png", "cat/val/a.png", "dog/train/a.png", "dog/val/a.png"];
    let data = both(&paths, Split::Train).unwrap();
    assert_eq!((levels(&data), data.class_names()), (vec![1, 3], &["cat", "dog"].map(String::from)[..]));
    let data = both(&paths, Split::Test).unwrap();
    assert_eq!((levels(&data), data.labels()), (vec![2, 4], Some(&[0, 1][..])));
    assert!(both(&["cat/train/a.png", "dog/train/a.png"], Split::Test).is_err());
}

#[test]
fn what_cannot_be_decided_is_asked() {
    for paths in [["train2014/a.png", "train2017/a.png", "val/a.png"], ["Train/a.png", "train/a.png", "test/a.png"]] {
        let message = both(&paths, Split::Train).unwrap_err().to_string();
        assert!(message.contains("the same split: "), "{message}");
    }
    // A name without an addition goes first, and the other is said not to be used.
    let data = both(&["train/a.png", "train2/a.png", "val/a.png"], Split::Train).unwrap();
    assert_eq!(levels(&data), [1]);
    assert!(data.notes().join("\n").contains("train2"), "{:?}", data.notes());
    let message = both(&["train/a.png", "val"], Split::Test).unwrap_err().to_string();
    assert!(message.contains("no picture in") && message.contains("val"), "{message}");
    for paths in [&["x"][..], &["train", "test"]] {
        assert!(matches!(both(paths, Split::Train), Err(DataError::EmptyFolder { .. })));
    }
}

#[test]
fn a_folder_without_splits_is_both() {
    for paths in [&["a.png", "b.png"][..], &["cat/a.png", "dog/a.png"], &["all/cat/a.png", "all/dog/a.png"]] {
        assert!(both(paths, Split::Train).unwrap().notes().is_empty());
        let data = both(paths, Split::Test).unwrap();
        assert_eq!(levels(&data), [1, 2]);
        assert!(data.notes()[0].contains("used as the test split"), "{:?}", data.notes());
    }
}

#[test]
fn what_is_no_archive_of_pictures_is_explained() {
    let dir = tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        fs::write(dir.path().join(name), bytes).unwrap();
        load(&DatasetSpec::Zip(dir.path().join(name)), &LoadOptions::default()).unwrap_err().to_string()
    };
    assert!(at("x.zip", b"no archive").contains("x.zip"));
    assert!(at("empty.zip", b"").contains("empty.zip"));
    let whole = fs::read(archive(&folder(&[]), &["a/1.png", "b/2.png"])).unwrap();
    assert!(at("half.zip", &whole[..whole.len() / 2]).contains("half.zip"));
    let message = load(&DatasetSpec::Zip(dir.path().to_owned()), &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("is no file"), "{message}");
    // A picture that is damaged in the archive is one that is left out.
    let mut damaged = whole.clone();
    let data = damaged.windows(4).position(|w| w == b"IDAT").unwrap();
    damaged[data + 6] ^= 0xff;
    fs::write(dir.path().join("bad.zip"), damaged).unwrap();
    let data = load(&DatasetSpec::Zip(dir.path().join("bad.zip")), &LoadOptions::default()).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (1, 1), "{:?}", data.skipped());
}

#[test]
fn what_a_mac_adds_to_an_archive_is_ignored() {
    let dir = tempdir().unwrap();
    let file = archive(
        &dir,
        &["pets/cat/1.png", "pets/dog/2.png", "__MACOSX/pets/cat/._1.png", "pets/.DS_Store", "pets/.cache/3.png"],
    );
    let data = load(&DatasetSpec::Zip(file), &LoadOptions::default()).unwrap();
    assert_eq!((levels(&data), data.classes()), (vec![1, 2], Some(2)));
    assert!(data.notes()[0].contains("ignored 1 picture in hidden folders"), "{:?}", data.notes());
}
