//! What is held out while training, and what is said of it.

mod common;

use std::{fs, path::Path};

use common::{stderr, succeed};
use serde_json::Value;

const SMALL: &[&str] = &[
    "--set",
    "model.channels=[8]",
    "--set",
    "model.groups=4",
    "--set",
    "model.blocks_per_level=1",
    "--set",
    "diffusion.schedule.kind=linear",
    "--set",
    "diffusion.schedule.steps=40",
    "--set",
    "optimizer.decay=constant",
    "--set",
    "samples.num=1",
    "--set",
    "samples.steps=1",
    "--batch-size",
    "4",
    "--threads",
    "1",
];

/// Grey pictures of 6x6 pixels in a folder, each of one brightness.
fn pictures(dir: &Path, count: u32) {
    fs::create_dir_all(dir).unwrap();
    for i in 0..count {
        let level = (i * 37 % 251) as u8;
        image::GrayImage::from_pixel(6, 6, image::Luma([level])).save(dir.join(format!("{i:04}.png"))).unwrap();
    }
}

fn scores(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get("held_out").is_some()).collect()
}

fn config(run: &Path) -> toml::Table {
    fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

#[test]
fn a_folder_without_a_test_split_has_some_pictures_held_out() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, args: &[&str]| {
        let all = [&["train", "--dataset", "folder:all", "--out", name, "--steps", "4"], SMALL, args].concat();
        stderr(&succeed(dir.path(), &all))
    };
    pictures(&dir.path().join("all"), 400);
    let said = run("default", &["--set", "held_out.every=4"]);
    assert!(said.contains("384 examples of [1, 6, 6]"), "{said}");
    assert!(said.contains("16 examples are not trained on; they are scored every 4 steps"), "{said}");
    assert!(said.contains("score      step 4: "), "{said}");
    let found = scores(&dir.path().join("default"));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["held_out"]["examples"], &found[0]["training_examples"]["examples"]),
        (&16.into(), &16.into())
    );
    let held = config(&dir.path().join("default"))["held_out"].clone();
    assert_eq!((held["share"].as_float(), held["examples"].as_integer()), (Some(0.04), Some(16)));

    let said = run("half", &["--held-out", "0.5", "--set", "held_out.every=2", "--set", "held_out.examples=7"]);
    assert!(said.contains("200 examples are not trained on; 7 of them are scored every 2 steps"), "{said}");
    assert_eq!(scores(&dir.path().join("half")).len(), 2);
    // A run that is too short for a score has none.
    run("short", &[]);
    assert!(scores(&dir.path().join("short")).is_empty());
    let said = run("none", &["--held-out", "0"]);
    assert!(said.contains("held out   nothing") && said.contains("400 examples of"), "{said}");
    assert!(scores(&dir.path().join("none")).is_empty() && !dir.path().join("none/best").exists());

    // What was held out stays so: the weights are those of a run that never stopped.
    let resumed = stderr(&succeed(dir.path(), &["train", "--resume", "half", "--steps", "6", "--threads", "1"]));
    assert!(resumed.contains("200 examples are not trained on"), "{resumed}");
    run("six", &["--held-out", "0.5", "--steps", "6"]);
    let weights = |name: &str| fs::read(dir.path().join(name).join("model/training/weights.safetensors")).unwrap();
    assert!(weights("half") == weights("six"));
}

#[test]
fn few_pictures_are_all_trained_on_and_a_test_folder_is_scored() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, data: &str| {
        let all =
            [&["train", "--dataset", data, "--out", name, "--steps", "2", "--set", "held_out.every=2"], SMALL].concat();
        stderr(&succeed(dir.path(), &all))
    };
    pictures(&dir.path().join("few"), 30);
    let said = run("a", "folder:few");
    assert!(said.contains("30 examples of") && said.contains("held out   nothing"), "{said}");
    pictures(&dir.path().join("two/train"), 20);
    pictures(&dir.path().join("two/test"), 9);
    let said = run("b", "folder:two");
    assert!(
        said.contains("20 examples of") && said.contains("the test split has 9 examples; they are scored"),
        "{said}"
    );
    // The score is that of an evaluation with as many steps: 40 in strata as long as can be, the examples of seed 0.
    let score = &scores(&dir.path().join("b"))[0]["held_out"];
    let eval = [
        "eval",
        "--model",
        "b/model",
        "--dataset",
        "folder:two",
        "--stride",
        "40",
        "--threads",
        "1",
        "--json",
        "e.json",
    ];
    succeed(dir.path(), &eval);
    let eval: Value = serde_json::from_slice(&fs::read(dir.path().join("e.json")).unwrap()).unwrap();
    let close = |a: &Value, b: &Value| {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
    };
    close(&score["bits_per_dim"], &eval["total"]["bits_per_dim"]);
    close(&score["standard_error"], &eval["total"]["bits_per_dim_standard_error"]);
}

#[test]
fn a_run_of_a_version_that_held_nothing_out_goes_on_so() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("all"), 400);
    let all =
        [&["train", "--dataset", "folder:all", "--held-out", "0", "--out", "old", "--steps", "3"], SMALL].concat();
    succeed(dir.path(), &all);
    let old = dir.path().join("old");
    for path in [old.join("config.toml"), old.join("model/training/config.toml")] {
        let mut table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        table.remove("held_out");
        table["training"].as_table_mut().unwrap().remove("keep_best");
        fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
    }
    fs::remove_file(old.join("model/training/checksums.json")).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "old", "--steps", "5", "--threads", "1"]));
    assert!(said.contains("400 examples of") && !said.contains("not those of a run that was never stopped"), "{said}");
}

#[test]
fn a_share_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["--held-out", "0.9"][..], "--held-out must be a number from 0 to 0.5 (found 0.9)"),
        (&["--set", "held_out.share=-1.0"], "held_out.share must be a number in [0, 0.5] (found -1)"),
        (&["--set", "held_out.examples=0"], "held_out.examples must be at least 1 (found 0)"),
        (&["--set", "held_out.evry=3"], "evry"),
    ] {
        let output = common::run(dir.path(), &[&["train"][..], args].concat());
        assert!(!output.status.success() && stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
