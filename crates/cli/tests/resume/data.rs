//! Going on with data that has changed.

use std::fs;

use crate::{
    common::{fail, run, stderr, stdout, succeed, train_tiny},
    tools::{QUIET, contains_all, picture, pictures, train_on},
};

#[test]
fn changed_data_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("f");
    pictures(&folder, (0..8).map(|i| 30 * i));
    let root = train_on(dir.path(), "x", "folder:f", &[&["--steps", "2"][..], &QUIET].concat());
    let go_on = |steps: &str| stderr(&succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", steps]));
    assert!(!go_on("3").contains("warning"), "nothing has changed");
    picture(&folder.join("new.png"), 7);
    contains_all(
        &go_on("4"),
        &["warning: the data has changed: 8 examples then, 9 now", "not as if it had never stopped"],
    );
    assert!(!go_on("5").contains("the data has changed"), "from then on it is the run's data");
    picture(&folder.join("new.png"), 99);
    contains_all(&go_on("6"), &["warning: the data has changed: 9 examples then and now, but not the same ones"]);
    // An older checkpoint, which knows the checksum alone.
    fs::remove_file(root.join("checkpoints/step-0000006/training/data.json")).unwrap();
    fs::remove_file(folder.join("new.png")).unwrap();
    contains_all(&go_on("7"), &["warning: the data has changed"]);
    // Moved elsewhere: what was looked for where, and a way to name the new place.
    fs::rename(&folder, dir.path().join("g")).unwrap();
    let said = fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "8"]);
    contains_all(&said, &["f is not in", "relative paths are looked for", "--dataset"]);
    let moved = ["train", "--resume", "runs/x", "--steps", "8", "--dataset", "folder:g"];
    let said = stderr(&succeed(dir.path(), &moved));
    assert!(!said.contains("the data has changed") && !said.contains("not those of"), "the same pictures:\n{said}");
}

#[test]
fn changed_classes_are_refused_as_classes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("f");
    pictures(&folder.join("ant"), [0, 10]);
    pictures(&folder.join("bee"), [100, 110]);
    train_on(dir.path(), "x", "folder:f", &[&["--steps", "2", "--class-conditional"][..], &QUIET].concat());
    train_on(dir.path(), "without", "folder:f", &[&["--steps", "2"][..], &QUIET].concat());
    let resume = || fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "4"]);
    pictures(&folder.join("cat"), [200, 210]);
    let said = resume();
    contains_all(&said, &["folder:f has 3 classes, the run was started with 2", "ant, bee"]);
    assert!(!said.contains("class_embedding"), "{said}");
    // A model that learns no classes does not mind.
    succeed(dir.path(), &["train", "--resume", "runs/without", "--steps", "4"]);
    fs::remove_dir_all(folder.join("bee")).unwrap();
    contains_all(&resume(), &["2 classes (ant, cat), the run was started with 2 classes (ant, bee)"]);
    assert_eq!(stdout(&run(dir.path(), &["train", "--resume", "runs/x"])).trim(), "runs/x", "all steps are done");
}

#[test]
fn data_of_another_shape_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("f"), [0, 100]);
    train_tiny(dir.path(), "x", &[&["--dataset", "folder:f", "--steps", "2"][..], &QUIET].concat());
    fs::remove_dir_all(dir.path().join("f")).unwrap();
    fs::create_dir(dir.path().join("f")).unwrap();
    for i in 0..2 {
        image::GrayImage::from_pixel(32, 32, image::Luma([i])).save(dir.path().join(format!("f/{i}.png"))).unwrap();
    }
    let said = fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "4"]);
    contains_all(&said, &["[1, 32, 32]", "started with examples of [1, 16, 16]"]);
}
