//! Ranges of samples, several seeds, several weights of guidance: each sample is the one that a call of its own would draw.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::{contains, fail, json, read_npy, stderr, stdout, succeed};

/// A model with ten classes, and an eleventh for any.
const CLASSES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained/classes");
const SIZE: usize = 28 * 28;

fn args<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["sample", "--model", CLASSES, "--out", out, "--steps", "2", "--null-class", "10", "--threads", "1"];
    all.iter().chain(more).copied().collect()
}

fn sample(dir: &Path, out: &str, more: &[&str]) -> PathBuf {
    succeed(dir, &args(out, more));
    dir.join(out)
}

fn pictures(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("sample-")).collect()
}

fn bytes(path: PathBuf) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Columns and rows of a grid of pictures of 28×28 pixels, whatever their scale.
fn cells(path: &Path, scale: u32) -> (u32, u32) {
    let (width, height) = image::image_dimensions(path).unwrap();
    let cell = 28 * scale + 2;
    assert!((width - 2).is_multiple_of(cell) && (height - 2).is_multiple_of(cell), "{width}×{height}");
    ((width - 2) / cell, (height - 2) / cell)
}

#[test]
fn a_sample_is_the_same_picture_in_any_call() {
    let dir = tempfile::tempdir().unwrap();
    for sampler in ["ddpm", "euler"] {
        let name = |what: &str| format!("{what}-{sampler}");
        let options =
            ["--sampler", sampler, "--num", "2..5", "--seeds", "3,7..9", "--guidance", "1,2.5", "--batch-size", "2"];
        let all = sample(dir.path(), &name("all"), &options);
        let (shape, values) = read_npy(&all.join("samples.npy"));
        assert_eq!(shape, [18, 1, 28, 28]);
        assert_eq!(pictures(&all).len(), 18);
        for (row, (seed, weight)) in
            [("3", "1"), ("3", "2.5"), ("7", "1"), ("7", "2.5"), ("8", "1"), ("8", "2.5")].into_iter().enumerate()
        {
            let call = ["--sampler", sampler, "--num", "5", "--seed", seed, "--guidance", weight];
            let own = sample(dir.path(), &name(&format!("own{seed}-{weight}")), &call);
            let (_, alone) = read_npy(&own.join("samples.npy"));
            assert_eq!(values[row * 3 * SIZE..(row + 1) * 3 * SIZE], alone[2 * SIZE..], "seed {seed}, weight {weight}");
            for index in 2..5 {
                let among = all.join(format!("sample-seed-{seed}-guidance-{weight}-{index:05}.png"));
                // The file too, with what it says of itself.
                assert!(bytes(among) == bytes(own.join(format!("sample-{index:05}.png"))), "{seed}, {weight}, {index}");
            }
        }
    }
}

#[test]
fn every_seed_and_every_weight_is_a_row_of_the_grid() {
    let dir = tempfile::tempdir().unwrap();
    for (out, more, columns, rows) in [
        ("seeds", &["--num", "3", "--seeds", "5,1,2..5"][..], 3, 5),
        ("weights", &["--num", "4", "--guidance", "1,2,4", "--class", "3"], 4, 3),
        ("both", &["--num", "1", "--guidance", "0,2", "--seeds", "0..3"], 1, 6),
    ] {
        let said = stderr(&succeed(dir.path(), &args(out, &[&["--steps", "1"], more].concat())));
        contains(&said, &["each a row of the grid"]);
        assert_eq!(cells(&dir.path().join(out).join("grid.png"), 3), (columns, rows), "{out}");
    }
    // More than fit into a row: the rows of a seed follow each other, and the next seed begins a new one.
    let out = sample(dir.path(), "many", &["--steps", "1", "--num", "70", "--seeds", "0,1"]);
    assert_eq!(cells(&out.join("grid.png"), 2), (64, 4));
    let grid = image::open(out.join("grid.png")).unwrap().into_luma8();
    let blank = |column: u32, row: u32| {
        let pixel = |i: u32| grid.get_pixel(2 + column * 58 + i % 56, 2 + row * 58 + i / 56).0[0];
        (0..56 * 56).all(|i| pixel(i) == 255)
    };
    assert!(blank(6, 1) && blank(63, 1) && !blank(5, 1) && !blank(0, 2) && !blank(63, 2));
    let last = stdout(&succeed(dir.path(), &args("many", &["--steps", "1", "--num", "70", "--seeds", "0,1"])));
    contains(&last, &["sample-seed-0-00000.png to sample-seed-1-00069.png"]);
}

/// Makes a directory what it would be if the call had been stopped after `there` samples.
fn stop_after(out: &Path, there: usize) {
    let (shape, values) = read_npy(&out.join("samples.npy"));
    let shape: Vec<usize> = std::iter::once(there).chain(shape[1..].iter().map(|size| *size as usize)).collect();
    sfumato_files::write_npy_f32(&out.join("samples.npy"), &shape, &values[..there * SIZE]).unwrap();
    let mut record = json(&out.join("sample.json"));
    record["samples"] = there.into();
    fs::write(out.join("sample.json"), record.to_string()).unwrap();
    pictures(out).into_iter().for_each(|name| fs::remove_file(out.join(name)).unwrap());
}

#[test]
fn the_same_call_goes_on_wherever_it_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let call = ["--num", "1..4", "--seeds", "6,2", "--guidance", "1,3", "--batch-size", "2"];
    let whole = sample(dir.path(), "whole", &call);
    let out = sample(dir.path(), "out", &call);
    let names = pictures(&whole);
    for there in [0, 1, 3, 5, 7, 11, 12] {
        stop_after(&out, there);
        let said = stderr(&succeed(dir.path(), &args("out", &call)));
        let expected = match there {
            0 => "drawing 12 samples".to_owned(),
            12 => "all 12 samples are there already".to_owned(),
            _ => format!("{there} of 12 samples are there already"),
        };
        contains(&said, &[&expected]);
        assert_eq!(pictures(&out), names);
        for name in names.iter().map(String::as_str).chain(["grid.png", "samples.npy", "sample.json"]) {
            assert!(bytes(out.join(name)) == bytes(whole.join(name)), "{name} after {there}");
        }
    }
    for (more, said) in [
        (&["--num", "1..4", "--seeds", "6,3", "--guidance", "1,3"][..], "seed [6,2], now [6,3]"),
        (&["--num", "1..5", "--seeds", "6,2", "--guidance", "1,3"], "num 3, now 4"),
        (&["--num", "0..3", "--seeds", "6,2", "--guidance", "1,3"], "first 1, now none"),
        (&["--num", "1..4", "--seed", "6", "--guidance", "1,3"], "seed [6,2], now 6"),
    ] {
        contains(
            &fail(dir.path(), 1, &args("out", more)),
            &["out holds 12 samples of another call", said, "--overwrite"],
        );
    }
    // Replaced, with nothing of the first call left.
    sample(dir.path(), "out", &["--num", "2", "--seeds", "9", "--overwrite"]);
    assert_eq!(
        pictures(&out),
        BTreeSet::from(["sample-seed-9-00000.png", "sample-seed-9-00001.png"].map(str::to_owned))
    );
}

#[test]
fn a_range_grows_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let out = sample(dir.path(), "out", &["--num", "12..15"]);
    let three = BTreeSet::from(["sample-00012.png", "sample-00013.png", "sample-00014.png"].map(str::to_owned));
    assert_eq!(pictures(&out), three);
    let said = stderr(&succeed(dir.path(), &args("out", &["--num", "12..18"])));
    contains(&said, &["3 of 6 samples are there already"]);
    let all = sample(dir.path(), "all", &["--num", "18"]);
    let (_, values) = read_npy(&all.join("samples.npy"));
    assert_eq!(read_npy(&out.join("samples.npy")).1, values[12 * SIZE..]);
    contains(&fail(dir.path(), 1, &args("out", &["--num", "10..18"])), &["first 12, now 10"]);
}

#[test]
fn lists_that_make_no_sense_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    for (more, said) in [
        (&["--num", "5..5"][..], "--num must be at least 1, or a range that ends above its first number"),
        (&["--num", "5-9"], "a range such as 16..32 (found 5-9)"),
        (&["--seeds", "1,1"], "--seeds must be different seeds, but 1 is there twice"),
        (&["--seeds", "one"], "such as 1,2,5..9 (found one)"),
        (&["--seeds", "1,2", "--seed", "3"], "cannot be used with"),
        (&["--seeds", "1,2", "--noise", "x.npy"], "cannot be used with"),
        (&["--guidance", "1,1"], "--guidance must be different numbers"),
        (&["--guidance", "1,-2"], "such as 1,2,4 (found 1,-2)"),
    ] {
        contains(&fail(dir.path(), 2, &args("x", more)), &[said]);
    }
    let unguided = ["sample", "--model", CLASSES, "--out", "x", "--guidance", "1,2"];
    contains(&fail(dir.path(), 1, &unguided), &["--guidance 2", "--null-class 10"]);
    assert!(!dir.path().join("x").exists());
}
