//! The first hour with pictures of one's own: a default that suits their size, said at the start, written down, overridable.

mod common;

use std::{fs, path::Path};

use common::{fail, read_npy, stderr, stdout, succeed};

fn contains_all(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
}

fn pictures(dir: &Path, count: u32, width: u32, height: u32) {
    fs::create_dir_all(dir).unwrap();
    for i in 0..count {
        let shade = move |x, y| image::Rgb([(x * 9 + i * 31) as u8, (y * 7) as u8, (i * 40) as u8]);
        image::RgbImage::from_fn(width, height, shade).save(dir.join(format!("{i:03}.png"))).unwrap();
    }
}

/// What `--print-config` says for ARGS.
fn config(dir: &Path, args: &[&str]) -> toml::Table {
    stdout(&succeed(dir, &[&["train", "--print-config"], args].concat())).parse().unwrap()
}

fn channels(config: &toml::Table) -> Vec<i64> {
    config["model"]["channels"].as_array().unwrap().iter().map(|c| c.as_integer().unwrap()).collect()
}

#[test]
fn the_default_suits_the_size_and_number_of_the_pictures() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("p"), 12, 64, 64);
    let sized = |size: &str| config(dir.path(), &["--dataset", "folder:p", "--image-size", size]);
    assert_eq!(channels(&sized("16")), [32, 64]);
    assert_eq!(channels(&sized("32")), [32, 64, 64]);
    let own = config(dir.path(), &["--dataset", "folder:p"]);
    assert_eq!(channels(&own), [32, 64, 64, 128]);
    assert_eq!(own["training"]["batch_size"].as_integer(), Some(16), "no more than there are pictures");
    assert_eq!(own["training"]["max_minutes"].as_float(), Some(10.0));
    // A length that is given takes the place of the limit.
    let given = |args: &[&str]| config(dir.path(), &[&["--dataset", "folder:p"], args].concat())["training"].clone();
    assert_eq!(given(&["--steps", "50"])["max_minutes"].as_float(), Some(0.0));
    assert_eq!(given(&["--steps", "50"])["steps"].as_integer(), Some(50));
    for minutes in ["--minutes", "--max-minutes"] {
        assert_eq!(given(&[minutes, "3"])["max_minutes"].as_float(), Some(3.0));
    }
    assert_eq!(given(&["--set", "training.steps=70"])["max_minutes"].as_float(), Some(0.0));
    // Flags and --set lie over it; a preset or a file takes its place.
    let over = ["--dataset", "folder:p", "--flip", "--batch-size", "3", "--set", "model.channels=[8, 16]"];
    let over = config(dir.path(), &[&over[..], &["--set", "model.attention=[false, false]", "--seed", "7"]].concat());
    assert_eq!(channels(&over), [8, 16]);
    assert_eq!(over["data"]["flip"].as_bool(), Some(true));
    assert_eq!((over["training"]["batch_size"].as_integer(), over["seed"].as_integer()), (Some(3), Some(7)));
    let preset = config(dir.path(), &["--dataset", "folder:p", "--preset", "fashion-mnist"]);
    assert_eq!(preset["training"]["steps"].as_integer(), Some(20_000));
    fs::write(dir.path().join("c.toml"), "[training]\nsteps = 11\n").unwrap();
    let file = config(dir.path(), &["--dataset", "folder:p", "--config", "c.toml"]);
    assert_eq!(file["training"]["steps"].as_integer(), Some(11));
    // The embedded images and the plane have presets of their own.
    assert_eq!(config(dir.path(), &[])["training"]["steps"].as_integer(), Some(3200));
    assert_eq!(config(dir.path(), &["--dataset", "fashion-mnist-mini"])["training"]["steps"].as_integer(), Some(3200));
    assert_eq!(config(dir.path(), &["--dataset", "toy:two-moons"])["model"]["kind"].as_str(), Some("mlp"));
}

#[test]
fn what_will_happen_is_said_and_the_run_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for (name, width, height, network) in [
        ("square", 16, 16, "U-Net, channels [32, 64], attention at 16x16 and in the middle"),
        ("odd", 9, 15, "U-Net, channels [32], attention at 15x9 and in the middle"),
    ] {
        for class in ["a", "b"] {
            pictures(&dir.path().join(name).join(class), 2, width, height);
        }
        let folder = format!("folder:{name}");
        let out = format!("runs/{name}");
        let size = ["--image-size", "16"];
        let size: &[&str] = if name == "square" { &size } else { &[] };
        let quick = ["--set", "samples.num=1", "--set", "samples.steps=1", "--threads", "2"];
        let args = [&["train", "--dataset", &folder, "--out", &out, "--steps", "1"][..], &quick, size].concat();
        let said = stderr(&succeed(dir.path(), &args));
        let shape = if name == "square" { network.to_owned() } else { String::new() };
        contains_all(
            &said,
            &[
                &format!("folder:{name}: 4 examples of [3, "),
                "pictures, as no --preset or --config was named",
                &shape,
                "parameters",
                "not learned; the data has 2, which --class-conditional learns",
                "1 steps of 8 examples, 2.0 epochs; no time limit",
                "machine    flex, 2 threads",
                "memory     up to about ",
                "4 pictures are few",
            ],
        );
        let model = format!("{out}/model");
        succeed(dir.path(), &["sample", "--model", &model, "--num", "1", "--steps", "1", "--out", name]);
        assert_eq!(read_npy(&dir.path().join(name).join("samples.npy")).0[..2], [1, 3]);
    }
    let short =
        ["train", "--dataset", "folder:square", "--image-size", "16", "--minutes", "0.001", "--out", "runs/short"];
    let quick = ["--set", "samples.num=1", "--set", "samples.steps=1"];
    let said = stderr(&succeed(dir.path(), &[&short[..], &quick].concat()));
    contains_all(&said, &["0.001 minutes at most", "time is up at step"]);
}

#[test]
fn sizes_that_cannot_be_halved_are_told_of_better_ones() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("p"), 2, 64, 64);
    let said =
        stderr(&succeed(dir.path(), &["train", "--dataset", "folder:p", "--image-size", "37", "--print-config"]));
    contains_all(&said, &["37x37", "--image-size 32"]);
    let said =
        stderr(&succeed(dir.path(), &["train", "--dataset", "folder:p", "--image-size", "32", "--print-config"]));
    assert!(!said.contains("halved"), "{said}");
    contains_all(&said, &["10 minutes of training", "--minutes M or --steps N"]);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (args, code, parts) in [
        (&["--set", "model.chanels=[8]"][..], 1, &["did you mean model.channels?"][..]),
        (&["--set", "training.steps=0"], 1, &["training.steps must be at least 1 (found 0)"]),
        (&[], 1, &["nowhere is not in", "where relative paths are looked for"]),
    ] {
        pictures(&dir.path().join("p"), 2, 16, 16);
        let dataset = if args.is_empty() { "folder:nowhere" } else { "folder:p" };
        let said = fail(dir.path(), code, &[&["train", "--dataset", dataset, "--out", "runs/x"], args].concat());
        contains_all(&said, parts);
    }
    fs::create_dir_all(dir.path().join("full/of")).unwrap();
    let said = fail(dir.path(), 1, &["train", "--dataset", "folder:p", "--out", "full", "--steps", "1"]);
    contains_all(&said, &["full is not empty and holds no run", "--out"]);
}
