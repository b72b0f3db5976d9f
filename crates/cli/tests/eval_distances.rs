//! Distances through the program: the table, the file, and what is refused.

mod common;

use std::fs;

use common::{fail, images, stdout, succeed, train_tiny};
use serde_json::Value;

#[test]
fn samples_of_anyones_are_measured_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let data = images(dir.path(), 120);
    let output = succeed(
        dir.path(),
        &["eval", "--dataset", &data, "--samples", "images.npy", "--json", "out.json", "--seed", "3"],
    );
    let said = stdout(&output);
    for row in ["grey-28", "Fréchet distance", "KID", "precision", "recall", "density", "coverage", "copies", "floor"]
    {
        assert!(said.contains(row), "{row} is missing:\n{said}");
    }
    let found: Value = serde_json::from_slice(&fs::read(dir.path().join("out.json")).unwrap()).unwrap();
    let found = &found["distances"];
    // The training pictures themselves.
    assert_eq!((found["copies"]["value"].as_f64(), found["frechet"]["n"].as_u64()), (Some(1.0), Some(120)));
    assert_eq!(found["features_sha256"].as_str().unwrap().len(), 64);
    assert!(found["frechet"]["floor"]["high"].is_f64() && found["seed"] == 3);
    // A directory as `sample` writes it.
    fs::create_dir(dir.path().join("drawn")).unwrap();
    fs::rename(dir.path().join("images.npy"), dir.path().join("drawn/samples.npy")).unwrap();
    let again =
        succeed(dir.path(), &["eval", "--dataset", "npy:drawn/samples.npy", "--samples", "drawn", "--seed", "3"]);
    let figures = |text: &str| text.lines().filter(|line| line.starts_with("Fréchet")).collect::<String>();
    assert_eq!(figures(&stdout(&again)), figures(&said));
}

#[test]
fn a_models_own_samples_are_measured_with_and_without_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let data = images(dir.path(), 60);
    let run = train_tiny(dir.path(), "tiny", &["--steps", "2"]);
    let model = run.join("model").display().to_string();
    let eval = |args: &[&str]| {
        let all = ["eval", "--model", &model, "--dataset", &data, "--samples", "12", "--json", "out.json"];
        let said = stdout(&succeed(dir.path(), &all.iter().chain(args).copied().collect::<Vec<_>>()));
        let json: Value = serde_json::from_slice(&fs::read(dir.path().join("out.json")).unwrap()).unwrap();
        (said, json)
    };
    let (said, alone) = eval(&["--no-bound"]);
    assert!(!said.contains("bits/dim") && alone["total"].is_null());
    let (said, both) = eval(&["--limit", "4"]);
    assert!(said.contains("bits/dim") && said.contains("KID"), "{said}");
    assert!(both["total"]["bits_per_dim"].is_f64());
    for figure in ["frechet", "kid", "coverage", "copies"] {
        assert_eq!(both["distances"][figure], alone["distances"][figure], "the samples are those of the seed");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let data = images(dir.path(), 20);
    let refused = |code, args: &[&str]| {
        fail(dir.path(), code, &["eval", "--dataset", &data].iter().chain(args).copied().collect::<Vec<_>>())
    };
    assert!(refused(2, &[]).contains("--model"));
    assert!(refused(2, &["--samples", "100"]).contains("--model"));
    assert!(refused(1, &["--samples", "none.npy"]).contains("none.npy: there is no such file"));
    assert!(refused(2, &["--samples", "images.npy", "--features", "vgg"]).contains("grey-28 and inception:FILE.pth"));
    assert!(refused(1, &["--samples", "images.npy", "--features", "inception:none.pth"]).contains("none.pth"));
    assert!(refused(2, &["--model", "here", "--no-bound"]).contains("--samples"));
}
