//! Data that people bring: splits, classes, sizes, transparency, through the program.

mod common;

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use common::{fail, sfumato, stderr, stdout, succeed, train_tiny};
use serde_json::Value;

/// Grey squares of `side` pixels in a folder, one of each level.
fn squares(folder: &Path, levels: &[u8], side: u32) {
    fs::create_dir_all(folder).unwrap();
    for (i, level) in levels.iter().enumerate() {
        let picture = image::GrayImage::from_pixel(side, side, image::Luma([*level]));
        picture.save(folder.join(format!("{i:03}.png"))).unwrap();
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn total(path: &Path) -> f64 {
    json(path)["total"]["bits_per_dim"].as_f64().unwrap()
}

/// Trains on a folder and gives what was said.
fn train(dir: &Path, name: &str, args: &[&str]) -> String {
    let out = format!("runs/{name}");
    let args = [&["train", "--out", &out, "--steps", "1", "--sample-every", "0"], common::TINY, args].concat();
    let output = succeed(dir, &args);
    stdout(&output) + &stderr(&output)
}

fn eval(dir: &Path, name: &str, args: &[&str]) -> Output {
    let model = format!("runs/{name}/model");
    succeed(dir, &[&["eval", "--model", &model, "--json", "e.json"], args].concat())
}

#[test]
fn a_validation_folder_is_held_out_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    for (part, base) in [("train", 0), ("val", 100)] {
        for (k, class) in ["cat", "dog"].into_iter().enumerate() {
            let levels: Vec<u8> = (0..4).map(|i| base + 40 * k as u8 + 10 * i).collect();
            squares(&dir.path().join("d").join(part).join(class), &levels, 8);
            squares(&dir.path().join("d2").join(part), &levels, 8);
        }
    }
    let said = train(dir.path(), "v", &["--dataset", "folder:d", "--class-conditional"]);
    assert!(said.contains(" 8 examples") && said.contains("held out, not trained on: val"), "{said}");
    let info = stdout(&succeed(dir.path(), &["info", "runs/v/model"]));
    assert!(info.contains("cat, dog"), "{info}");
    let flat = train(dir.path(), "f", &["--dataset", "folder:d2"]);
    assert!(flat.contains(" 4 examples"), "{flat}");
    let output = eval(dir.path(), "v", &["--dataset", "folder:d", "--steps", "4"]);
    assert!(stderr(&output).contains("the validation folder d/val is the test split"), "{}", stderr(&output));
    assert!(stdout(&output).contains("8 of 8 examples"), "{}", stdout(&output));
    // A path by itself will do, and a training folder alone is no test split.
    fs::remove_dir_all(dir.path().join("d/val")).unwrap();
    let said = fail(dir.path(), 1, &["eval", "--model", "runs/v/model", "--dataset", "./d"]);
    assert!(said.contains("d has no test split, only train") && said.contains("--split train"), "{said}");
}

#[test]
fn classes_are_matched_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for (i, class) in ["ant", "bee", "cat"].into_iter().enumerate() {
        squares(&at("e/train").join(class), &[i as u8 * 120; 4], 8);
        squares(&at("w/train").join(class), &[i as u8 * 120; 4], 8);
    }
    // The same pictures, once under their names and once under those of others.
    squares(&at("e/test/bee"), &[120; 4], 8);
    squares(&at("e/test/cat"), &[240; 4], 8);
    squares(&at("w/test/ant"), &[120; 4], 8);
    squares(&at("w/test/bee"), &[240; 4], 8);
    let quick = ["--class-conditional", "--set", "optimizer.learning_rate=0.01", "--sample-every", "0"];
    train_tiny(dir.path(), "c", &[&["--dataset", "folder:e", "--steps", "60"][..], &quick].concat());
    let score = |data: &str| {
        let table = stdout(&eval(dir.path(), "c", &["--dataset", data, "--steps", "10"]));
        assert!(table.contains("the examples' labels, matched by name"), "{table}");
        total(&at("e.json"))
    };
    assert!((score("folder:e") - score("folder:w")).abs() > 1e-6);
    assert_eq!(json(&at("e.json"))["classes_matched_by"], "name");
    // A name that the model does not know.
    squares(&at("w/test/dog"), &[9; 2], 8);
    let args = ["eval", "--model", "runs/c/model", "--dataset", "folder:w", "--steps", "4"];
    let said = fail(dir.path(), 1, &args);
    for part in ["does not know: dog", "ant, bee, dog", "ant, bee, cat", "--ignore-labels"] {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    succeed(dir.path(), &[&args[..], &["--ignore-labels"]].concat());

    // Without names of its own, the model's classes are those of as many, by rank, and that is said.
    let config = at("runs/c/model/unet/config.json");
    let mut value = json(&config);
    value["_sfumato"].as_object_mut().unwrap().remove("class_names");
    fs::write(&config, value.to_string()).unwrap();
    let output = succeed(dir.path(), &args);
    assert!(stderr(&output).contains("matched by their rank: ant, bee, dog"), "{}", stderr(&output));
    assert!(stdout(&output).contains("matched by rank"), "{}", stdout(&output));
    let said = fail(dir.path(), 1, &["eval", "--model", "runs/c/model", "--dataset", "folder:e", "--steps", "4"]);
    assert!(
        said.contains("2 classes (bee, cat)") && said.contains("has 3") && said.contains("--ignore-labels"),
        "{said}"
    );
    let said = fail(dir.path(), 1, &["sample", "--model", "runs/c/model", "--class", "bee", "--out", "s"]);
    assert!(said.contains("does not know the names"), "{said}");
}

#[test]
fn a_class_is_drawn_by_its_number_or_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (i, class) in ["1", "2", "Bee"].into_iter().enumerate() {
        squares(&dir.path().join("d").join(class), &[i as u8 * 120; 2], 8);
    }
    // Long enough for the classes to make a difference.
    let learn = ["--steps", "40", "--set", "optimizer.learning_rate=0.01", "--sample-every", "0"];
    train_tiny(dir.path(), "c", &[&["--dataset", "folder:d", "--class-conditional"][..], &learn].concat());
    let draw = |class: &str| {
        let out = format!("out-{}", class.replace(':', "-"));
        let args = ["sample", "--model", "runs/c/model", "--num", "1", "--steps", "2", "--class", class, "--out", &out];
        let output = succeed(dir.path(), &args);
        (fs::read(dir.path().join(out).join("samples.npy")).unwrap(), stderr(&output))
    };
    let classes = ["0", "1", "2"].map(|class| draw(class).0);
    assert!(classes[0] != classes[1] && classes[1] != classes[2]);
    // Numbers win, and it is said; a name that is a number has a spelling of its own.
    let (picture, said) = draw("1");
    assert!(picture == classes[1] && said.contains("it is the class called 2") && said.contains("name:1"), "{said}");
    assert!(draw("name:1").0 == classes[0]);
    for name in ["Bee", "bee", "name:bee"] {
        let (picture, said) = draw(name);
        assert!(picture == classes[2] && !said.contains("taken as a number"), "{name}: {said}");
    }
    for (class, part) in [("wasp", "it knows 1, 2, Bee"), ("7", "0 to 2"), ("-1", "no class of that name")] {
        let said = fail(dir.path(), 1, &["sample", "--model", "runs/c/model", "--class", class, "--out", "x"]);
        assert!(said.contains(part) && said.contains(class), "{said}");
    }
    let info = json_of(&stdout(&succeed(dir.path(), &["info", "runs/c/model", "--json"])));
    assert_eq!(info["class_names"], serde_json::json!(["1", "2", "Bee"]));
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_score_says_that_its_pictures_were_resized() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    squares(&dir.path().join("big"), &[0, 100, 200], 64);
    squares(&dir.path().join("same"), &[0, 100, 200], 28);
    let table = stdout(&eval(dir.path(), "a", &["--dataset", "folder:big", "--steps", "2"]));
    assert!(table.contains("3 of 3 pictures resized from 64x64 to 28x28 (Lanczos"), "{table}");
    let resized = &json(&dir.path().join("e.json"))["resized"];
    assert_eq!((&resized["resized_pictures"], &resized["largest"]), (&3.into(), &serde_json::json!([64, 64])));
    assert!(resized["method"].as_str().unwrap().contains("Lanczos"));
    let table = stdout(&eval(dir.path(), "a", &["--dataset", "folder:same", "--steps", "2"]));
    assert!(!table.contains("resized") && json(&dir.path().join("e.json"))["resized"].is_null(), "{table}");
    // Wide ones are cut as well.
    image::GrayImage::new(64, 32).save(dir.path().join("same/wide.png")).unwrap();
    let output = eval(dir.path(), "a", &["--dataset", "folder:same", "--steps", "2"]);
    assert!(stdout(&output).contains("1 of 4 pictures resized from 32x64 to 28x28"), "{}", stdout(&output));
    assert!(stdout(&output).contains("up to 50 % cut away"), "{}", stdout(&output));
}

#[test]
fn a_part_of_the_data_stands_for_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    squares(&dir.path().join("d/black"), &[0; 50], 8);
    squares(&dir.path().join("d/white"), &[255; 50], 8);
    train(dir.path(), "a", &["--dataset", "folder:d"]);
    let score = |args: &[&str]| {
        let args =
            [&["--dataset", "folder:d", "--steps", "4", "--stride", "1", "--variance", "fixed-large"], args].concat();
        let table = stdout(&eval(dir.path(), "a", &args));
        (total(&dir.path().join("e.json")), table)
    };
    let (all, table) = score(&[]);
    assert!(!table.contains("random part"), "{table}");
    let (first, table) = score(&["--limit", "50", "--in-order"]);
    assert!(table.contains("the first 50 in the order of the data"), "{table}");
    assert_eq!(json(&dir.path().join("e.json"))["order"], "first");
    let (last, table) = score(&["--limit", "50"]);
    assert!(table.contains("a random part of the split, drawn with seed 0"), "{table}");
    assert_eq!(json(&dir.path().join("e.json"))["order"]["random"], 0);
    // One class against the other makes the difference; a random half has both.
    assert!((last - all).abs() < 0.4 * (first - all).abs(), "all {all}, the first {first}, a random half {last}");
    // An example has the same noise in the part and in the whole: all of it in another order is the same.
    let (again, _) = score(&["--in-order"]);
    assert!((again / all - 1.0).abs() < 1e-6, "{again} and {all}");
}

/// What is done when it is stopped is a result: a random part of the data.
#[test]
fn a_signal_leaves_the_examples_that_are_done() {
    let dir = tempfile::tempdir().unwrap();
    squares(&dir.path().join("d"), &[0, 50, 100, 200], 8);
    train(dir.path(), "a", &["--dataset", "folder:d"]);
    let count = 200_000;
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 8, 8), }}\n");
    let mut array = [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    array.resize(array.len() + count * 64, 77);
    fs::write(dir.path().join("many.npy"), array).unwrap();
    // However fast or slow the machine is: longer and longer, until an example was done before the signal.
    for pause in [300, 1000, 4000, 16_000] {
        let child = sfumato(dir.path())
            .args(["eval", "--model", "runs/a/model", "--dataset", "npy:many.npy", "--json", "e.json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            continue;
        }
        let (table, said) = (stdout(&output), stderr(&output));
        let result = json(&dir.path().join("e.json"));
        let done = result["examples"].as_u64().unwrap();
        assert!((1..count as u64).contains(&done), "{done}");
        assert_eq!((&result["stopped"], &result["examples_planned"]), (&true.into(), &count.into()));
        assert!(table.contains(&format!("stopped after {done} of {count}; a random part of the split")), "{table}");
        assert!(said.contains(&format!("stopped after {done} of {count} examples, which are reported")), "{said}");
        assert_eq!(result["total"]["count"], done);
        return;
    }
    panic!("no example was done in 16 seconds");
}

#[test]
fn transparent_pictures_are_said_and_laid_on_any_colour() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("s")).unwrap();
    for i in 0..3u32 {
        let disc = image::RgbaImage::from_fn(8, 8, |x, y| {
            image::Rgba(if x.abs_diff(4).pow(2) + y.abs_diff(4).pow(2) < 4 + i { [255; 4] } else { [255, 255, 255, 0] })
        });
        disc.save(dir.path().join(format!("s/{i}.png"))).unwrap();
    }
    let said = train(dir.path(), "a", &["--dataset", "folder:s"]);
    assert!(said.contains("3 pictures are transparent in places and laid on white"), "{said}");
    assert!(said.contains("warning: 3 transparent pictures are nothing but white"), "{said}");
    let said = train(dir.path(), "b", &["--dataset", "folder:s", "--background", "black"]);
    assert!(said.contains("laid on black") && !said.contains("warning"), "{said}");
    // The colour is part of the run.
    let config = fs::read_to_string(dir.path().join("runs/b/config.toml")).unwrap();
    assert!(config.contains("background = \"black\""), "{config}");
    let said = train(dir.path(), "c", &["--dataset", "folder:s", "--set", "data.background=#ff0000"]);
    assert!(said.contains("laid on #ff0000") && said.contains("[3, 8, 8]"), "{said}");
    let said = fail(dir.path(), 2, &["train", "--dataset", "folder:s", "--background", "sky", "--out", "x"]);
    assert!(said.contains("`sky` is no background; expected white, black"), "{said}");
    let said =
        fail(dir.path(), 1, &["train", "--dataset", "fashion-mnist-mini", "--background", "black", "--out", "x"]);
    assert!(said.contains("--background does nothing for fashion-mnist-mini"), "{said}");
}

#[test]
fn rectangles_keep_their_shape_or_get_the_one_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("r")).unwrap();
    for i in 0..8u8 {
        image::GrayImage::from_pixel(16, 8, image::Luma([i * 20])).save(dir.path().join(format!("r/{i}.png"))).unwrap();
    }
    let said = train(dir.path(), "a", &["--dataset", "folder:r"]);
    assert!(said.contains("8 examples of [1, 8, 16]"), "{said}");
    let said = train(dir.path(), "b", &["--dataset", "folder:r", "--image-size", "8"]);
    assert!(said.contains("[1, 8, 8]") && said.contains("up to 50 % of a picture is cut away"), "{said}");
    let said = train(dir.path(), "c", &["--dataset", "folder:r", "--image-size", "4x8"]);
    assert!(said.contains("[1, 4, 8]") && !said.contains("cut away"), "{said}");
    assert!(
        fs::read_to_string(dir.path().join("runs/c/config.toml"))
            .unwrap()
            .contains("image_size = [\n    4,\n    8,\n]")
    );
    for (value, shape) in [("[8, 4]", "[1, 8, 4]"), ("8", "[1, 8, 8]"), ("\"8x4\"", "[1, 8, 4]"), ("8x4", "[1, 8, 4]")]
    {
        let set = format!("data.image_size={value}");
        let said = train(
            dir.path(),
            &format!("s{}", value.replace(['[', ']', '"', ' ', ','], "")),
            &["--dataset", "r", "--set", &set],
        );
        assert!(said.contains(shape), "{said}");
        fs::remove_dir_all(dir.path().join("runs")).unwrap();
    }
    for size in ["0", "8x0", "5000", "-8", "big", "8x", ""] {
        let said = fail(dir.path(), 2, &["train", "--dataset", "folder:r", "--image-size", size, "--out", "x"]);
        let found = if size.is_empty() { "nothing" } else { size };
        assert!(said.contains("--image-size must be 1 to 4096 pixels as in 64, or height x width"), "{said}");
        assert!(said.contains(&format!("(found {found})")), "{said}");
    }
    let args = ["train", "--dataset", "folder:r", "--set", "data.image_size=0", "--out", "x"];
    let said = fail(dir.path(), 1, &args);
    assert!(said.contains("1 to 4096 pixels a side"), "{said}");
}

#[test]
fn a_broken_picture_is_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    squares(&dir.path().join("d"), &[0, 50, 100, 200], 8);
    fs::write(dir.path().join("d/broken.png"), "no picture").unwrap();
    let said = train(dir.path(), "a", &["--dataset", "folder:d"]);
    assert_eq!(said.matches("broken.png").count(), 1, "{said}");
    assert_eq!(said.matches("left out").count(), 1, "{said}");
    assert!(said.contains("1 unreadable file was left out") && said.contains("no picture but text"), "{said}");
    let args = [&["train", "--dataset", "folder:d", "--strict", "--out", "x"], common::TINY].concat();
    assert!(fail(dir.path(), 1, &args).contains("broken.png"));
}

#[test]
fn arrays_say_which_numbers_are_black_and_white() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..4 * 64).map(|i| (i % 256) as f32 / 255.0).collect();
    sfumato_files::write_npy_f32(&dir.path().join("x.npy"), &[4, 8, 8, 1], &values).unwrap();
    let said = train(dir.path(), "a", &["--dataset", "x.npy"]);
    assert!(said.contains("note: ") && said.contains("add --range 0..1"), "{said}");
    let said = train(dir.path(), "b", &["--dataset", "npy:x.npy", "--range", "0..1"]);
    assert!(said.contains("256 levels of the range 0..1"), "{said}");
    let table = stdout(&eval(dir.path(), "b", &["--dataset", "npy:x.npy", "--range", "0..1", "--steps", "2"]));
    assert!(table.contains("discretised Gaussian on 256 levels"), "{table}");
    let said = fail(dir.path(), 2, &["train", "--dataset", "x.npy", "--range", "0,1", "--out", "x"]);
    assert!(said.contains("`0,1` is no range"), "{said}");
}
