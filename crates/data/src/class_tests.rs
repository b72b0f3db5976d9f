//! Classes of pictures, from folders, from names and from files of labels; and transparency.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgba, RgbaImage};
use tempfile::{TempDir, tempdir};

use super::Dataset;
use super::{DataError, DatasetSpec, LabelsFrom, LoadOptions, LoadedDataset, Values, load};

fn folder(paths: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    for path in paths {
        add(&dir, path);
    }
    dir
}

fn add(dir: &TempDir, path: &str) {
    let path = dir.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(2, 2, Luma([7])).save(path).unwrap();
}

fn labelled(dir: &Path, labels: LabelsFrom) -> Result<LoadedDataset, DataError> {
    load(&DatasetSpec::Folder(dir.to_owned()), &LoadOptions { labels, ..LoadOptions::default() })
}

fn names(data: &LoadedDataset) -> Vec<&str> {
    data.class_names().iter().map(String::as_str).collect()
}

#[test]
fn numbered_folders_are_in_the_order_of_their_numbers() {
    let dir = folder(&["1/a.png", "2/a.png", "10/a.png"]);
    let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
    // The examples stay in the order of their paths: 1, 10, 2.
    assert_eq!((names(&data), data.labels()), (vec!["1", "2", "10"], Some(&[0, 2, 1][..])));
}

#[test]
fn folders_of_other_programs_are_no_classes_and_empty_ones_are_said() {
    let dir = folder(&[
        "cat/a.png",
        "dog/a.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "__MACOSX/cat/a.png",
        "cat/.hidden.png",
    ]);
    fs::write(dir.path().join("Thumbs.db"), b"x").unwrap();
    fs::create_dir(dir.path().join("eel")).unwrap();
    fs::write(dir.path().join("cat/notes.txt"), b"x").unwrap();
    let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
    assert_eq!((names(&data), data.len()), (vec!["cat", "dog"], 2));
    let said = data.notes().join("\n");
    assert!(said.contains("holds no picture and is no class: eel"), "{said}");
    assert!(said.contains("ignored 2 pictures in hidden folders"), "{said}");
    // A class of nothing but broken pictures is none either.
    fs::create_dir(dir.path().join("fox")).unwrap();
    fs::write(dir.path().join("fox/a.png"), b"broken").unwrap();
    let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
    assert_eq!(names(&data), ["cat", "dog"]);
    assert!(data.notes().join("\n").contains("no class: fox"), "{:?}", data.notes());
}

#[test]
fn names_of_files_are_classes_where_that_is_asked_for() {
    let dir = folder(&["cat_001.png", "cat_002.png", "dog_1_x.png", "sub/ant_9.png"]);
    assert_eq!(labelled(dir.path(), LabelsFrom::Auto).unwrap().classes(), None);
    let data = labelled(dir.path(), LabelsFrom::FileNames).unwrap();
    assert_eq!((names(&data), data.labels()), (vec!["ant", "cat", "dog"], Some(&[1, 1, 2, 0][..])));
    add(&dir, "plain.png");
    let message = labelled(dir.path(), LabelsFrom::FileNames).unwrap_err().to_string();
    assert!(message.contains("plain.png") && message.contains("CLASS_ANYTHING"), "{message}");
}

#[test]
fn a_file_of_labels_beside_the_pictures_decides() {
    let paths = ["00000/a.png", "00000/b.png", "00001/c.png"];
    for (file, text, expected) in [
        (
            "dataset.json",
            r#"{"labels": [["00000/a.png", 10], ["00000/b.png", 2], ["00001/c.png", 10]]}"#,
            vec!["2", "10"],
        ),
        ("labels.csv", "file,label\n00000/a.png,cat\n00000/b.png,ant\n00001/c.png,cat\n", vec!["ant", "cat"]),
        ("labels.csv", "00000/a,cat\n00000/b,ant\n./00001/c,cat\n", vec!["ant", "cat"]),
        (
            "metadata.jsonl",
            "{\"file_name\":\"00000/a.png\",\"label\":\"y\"}\n{\"file_name\":\"00000/b.png\",\"label\":\"x\"}\n{\"file_name\":\"00001/c.png\",\"label\":\"y\"}",
            vec!["x", "y"],
        ),
    ] {
        let dir = folder(&paths);
        fs::write(dir.path().join(file), text).unwrap();
        let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
        assert_eq!((names(&data), data.labels()), (expected, Some(&[1, 0, 1][..])), "{file}");
        assert!(data.notes()[0].contains(file), "{:?}", data.notes());
        let data = labelled(dir.path(), LabelsFrom::Folders).unwrap();
        assert_eq!(names(&data), ["00000", "00001"]);
        assert_eq!(labelled(dir.path(), LabelsFrom::None).unwrap().classes(), None);
    }
    // EDM's archives without labels: their folders are no classes.
    let dir = folder(&paths);
    fs::write(dir.path().join("dataset.json"), r#"{"labels": null}"#).unwrap();
    assert_eq!(labelled(dir.path(), LabelsFrom::Auto).unwrap().classes(), None);
    // Captions are no labels, and say so.
    let dir = folder(&["ant/a.png", "bee/b.png"]);
    fs::write(dir.path().join("metadata.csv"), "file_name,text\nant/a.png,an ant\n").unwrap();
    let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
    assert_eq!(names(&data), ["ant", "bee"]);
    assert!(data.notes()[0].contains("metadata.csv") && data.notes()[0].contains("not used"), "{:?}", data.notes());
}

#[test]
fn labels_that_are_missing_or_contradict_each_other_are_refused() {
    let dir = folder(&["a.png", "b.png"]);
    for (text, parts) in [
        ("a.png,cat\n", &["labels.csv", "1 of 2 pictures", "b.png"][..]),
        ("a.png,cat\na.png,dog\nb.png,cat\n", &["labels.csv", "a.png two labels"]),
        ("a.png,cat\nb.png\n", &["labels.csv", "line 2"]),
    ] {
        fs::write(dir.path().join("labels.csv"), text).unwrap();
        let message = labelled(dir.path(), LabelsFrom::Auto).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)) && message.contains("--labels none"), "{message}");
    }
}

#[test]
fn labels_of_a_split_lie_in_it_or_above_it() {
    for (place, key) in [("", "train/"), ("train/", "")] {
        let dir = folder(&["train/a.png", "train/b.png", "val/a.png"]);
        let text = format!("{key}a.png,x\n{key}b.png,y\n");
        fs::write(dir.path().join(place).join("labels.csv"), text).unwrap();
        let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
        assert_eq!(names(&data), ["x", "y"], "{place}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_read_and_told_apart() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempdir().unwrap();
    for folder in [&b"\xff"[..], b"\xfe", b"a"] {
        let path = dir.path().join(std::ffi::OsStr::from_bytes(folder));
        fs::create_dir(&path).unwrap();
        GrayImage::from_pixel(2, 2, Luma([7])).save(path.join("x.png")).unwrap();
        fs::copy(path.join("x.png"), path.join(std::ffi::OsStr::from_bytes(b"\xff.png"))).unwrap();
    }
    let data = labelled(dir.path(), LabelsFrom::Auto).unwrap();
    assert_eq!((data.len(), data.classes()), (6, Some(3)), "{:?}", data.class_names());
}

fn transparent(dir: &TempDir, background: &str) -> LoadedDataset {
    let background = background.parse().unwrap();
    load(&DatasetSpec::Folder(dir.path().to_owned()), &LoadOptions { background, ..LoadOptions::default() }).unwrap()
}

#[test]
fn white_on_nothing_is_said_and_shown_on_another_background() {
    let dir = tempdir().unwrap();
    let glyph = RgbaImage::from_fn(4, 4, |x, _| Rgba(if x < 2 { [255; 4] } else { [255, 255, 255, 0] }));
    for name in ["a.png", "b.png"] {
        glyph.save(dir.path().join(name)).unwrap();
    }
    // Opaque, in spite of its alpha channel; and of one colour before too.
    RgbaImage::from_pixel(4, 4, Rgba([9, 9, 9, 255])).save(dir.path().join("c.png")).unwrap();
    RgbaImage::from_pixel(4, 4, Rgba([255, 255, 255, 0])).save(dir.path().join("d.png")).unwrap();
    let data = transparent(&dir, "white");
    assert!(data.notes()[0].contains("3 pictures are transparent in places and laid on white"), "{:?}", data.notes());
    assert!(data.warnings()[0].contains("2 transparent pictures are nothing but white"), "{:?}", data.warnings());
    let data = transparent(&dir, "black");
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    assert_eq!((data.shape(), &values[..4]), (&[1usize, 4, 4][..], &[255, 255, 0, 0][..]));
    assert!(data.notes()[0].contains("laid on black") && data.warnings().is_empty(), "{:?}", data.warnings());
    let data = transparent(&dir, "#102030");
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    assert_eq!((data.shape(), values[3], values[16 + 3], values[32 + 3]), (&[3usize, 4, 4][..], 0x10, 0x20, 0x30));
}
