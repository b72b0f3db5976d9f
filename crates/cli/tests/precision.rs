//! `--precision bf16` through the program: refused where it is of no use, and the same bits however a run is stopped or shared out.

mod common;

use std::{fs, path::Path, process::Output};

use common::{contains, fail, learned, metrics, numbers, sfumato, stderr, stdout};
use sfumato_kernels::Precision;

/// Widths that convolutions in bf16 are for.
const WIDE: &[&str] = &["--set", "model.channels=[16, 32]", "--set", "model.groups=8", "--sample-every", "0"];

/// Runs the program with bf16 emulated where the processor has no unit for it.
fn emulating(dir: &Path, args: &[&str]) -> Output {
    let output = sfumato(dir).args(args).env("SFUMATO_BF16", "emulate").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output
}

fn train(dir: &Path, name: &str, args: &[&str]) -> std::path::PathBuf {
    let out = format!("runs/{name}");
    let all: Vec<&str> = ["train", "--out", &out].iter().chain(common::TINY).chain(WIDE).chain(args).copied().collect();
    emulating(dir, &all);
    dir.join(out)
}

#[test]
fn a_run_in_bf16_is_near_one_in_f32_and_has_the_same_bits_after_a_stop_and_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let exact = train(dir.path(), "f32", &["--steps", "3"]);
    let whole = train(dir.path(), "whole", &["--steps", "3", "--precision", "bf16", "--threads", "2"]);
    let stopped = train(dir.path(), "stopped", &["--steps", "2", "--precision", "bf16", "--threads", "1"]);
    let said = stderr(&emulating(dir.path(), &["train", "--resume", "runs/stopped", "--steps", "3"]));
    contains(&said, &["in bf16"]);
    assert!(!said.contains("not those of a run"), "{said}");
    assert!(learned(&whole, 3) == learned(&stopped, 3));
    assert_eq!(numbers(&whole), numbers(&stopped));
    assert!(learned(&whole, 3) != learned(&exact, 3));
    for (bf16, f32) in metrics(&whole).iter().zip(metrics(&exact)) {
        for key in ["loss", "grad_norm"] {
            let (a, b) = (bf16[key].as_f64().unwrap(), f32[key].as_f64().unwrap());
            assert!((a / b - 1.0).abs() < 0.01, "{key}: {a} in bf16, {b} in f32");
        }
    }
    let config = |run: &Path| fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config(&whole).contains("precision = \"bf16\"\n") && !config(&exact).contains("precision"));

    let environment = |run: &Path| common::json(&run.join("environment.json"));
    assert_eq!([&whole, &stopped].map(|run| environment(run)["precision"].clone()), ["bf16", "bf16"]);
    assert!(environment(&exact).get("precision").is_none());

    // Another precision from here on is said.
    let said =
        stderr(&emulating(dir.path(), &["train", "--resume", "runs/whole", "--steps", "4", "--precision", "f32"]));
    contains(&said, &["training.precision: \"bf16\" so far", "not those of a run that was never stopped"]);
    assert!(environment(&whole).get("precision").is_none());
}

#[test]
fn a_network_without_convolutions_says_that_it_is_f32() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["train", "--dataset", "toy:swiss-roll", "--steps", "1", "--out", "roll", "--precision", "bf16"];
    let said = stderr(&emulating(dir.path(), &[&args[..], common::POINTS].concat()));
    contains(&said, &["in f32 (no convolutions for bf16)"]);
}

#[test]
fn samples_in_bf16_say_so_and_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "x", &["--steps", "2"]);
    let draw = |out: &str, more: &[&str]| {
        let args = ["sample", "--model", "runs/x", "--num", "2", "--steps", "2", "--out", out];
        emulating(dir.path(), &[&args[..], more].concat())
    };
    draw("exact", &[]);
    draw("rounded", &["--precision", "bf16"]);
    let read = |path: &str| fs::read(dir.path().join(path)).unwrap();
    assert_ne!(read("exact/samples.npy"), read("rounded/samples.npy"));
    let info = stdout(&emulating(dir.path(), &["info", "rounded/sample-00000.png"]));
    contains(&info, &["bf16"]);
    emulating(dir.path(), &["sample", "--like", "rounded/sample-00001.png", "--out", "again"]);
    assert_eq!(read("rounded/sample-00001.png"), read("again/sample-00001.png"));

    let data = common::images(dir.path(), 4);
    let score = |json: &str, more: &[&str]| {
        let args = ["eval", "--model", "runs/x", "--dataset", &data, "--limit", "2", "--json", json];
        emulating(dir.path(), &[&args[..], more].concat());
        common::json(&dir.path().join(json))
    };
    let [exact, rounded] = [score("a.json", &[]), score("b.json", &["--precision", "bf16"])];
    assert_eq!(rounded["environment"]["precision"], "bf16");
    assert!(exact["environment"].get("precision").is_none());
    let bits = |json: &serde_json::Value| json["total"]["bits_per_dim"].as_f64().unwrap();
    assert!(bits(&exact) != bits(&rounded) && (bits(&exact) / bits(&rounded) - 1.0).abs() < 0.01);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    if !Precision::Bf16.is_supported() {
        let by_flag = fail(dir.path(), 1, &["train", "--out", "r", "--precision", "bf16"]);
        contains(&by_flag, &["--precision bf16: this processor has no unit for bf16", "AMX", "SFUMATO_BF16=emulate"]);
        let by_key = fail(dir.path(), 1, &["train", "--out", "r", "--set", "training.precision=bf16"]);
        contains(&by_key, &["training.precision = bf16: this processor"]);
        assert!(!dir.path().join("r").exists());
    }
    let unknown = fail(dir.path(), 2, &["train", "--precision", "fp16"]);
    contains(&unknown, &["fp16", "f32, bf16"]);
    let unknown = fail(dir.path(), 1, &["train", "--out", "r", "--set", "training.precision=half"]);
    contains(&unknown, &["training.precision", "half", "bf16"]);
}
