//! The backends that are not compiled in by default: `cargo test -p sfumato-cli --features ndarray,cuda,vulkan --test backends`.

#![cfg(all(feature = "ndarray", feature = "cuda", feature = "vulkan"))]

mod common;

use std::path::Path;

use common::{TINY, failure, run, succeed};
use serde_json::Value;

/// A run of a few steps, as short as it can be: a software rasteriser takes a minute for one.
const STEPS: [&str; 4] = ["--steps", "4", "--sample-every", "0"];

/// Losses of the run `runs/{backend}`.
fn losses(dir: &Path, backend: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(dir.join(format!("runs/{backend}/metrics.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap()).collect()
}

/// Trains on `backend`; the sentence on stderr where it finds no device.
fn train(dir: &Path, backend: &str) -> Result<(), String> {
    let out = format!("runs/{backend}");
    let to = ["train", "--out", &out, "--backend", backend];
    let args: Vec<&str> = to.iter().chain(&STEPS).chain(TINY).copied().collect();
    let output = run(dir, &args);
    if output.status.success() { Ok(()) } else { Err(failure(&output, 1, &args)) }
}

/// Random numbers are addressed, so every backend sees the same run up to rounding.
fn follows_flex(dir: &Path, backend: &str, tolerance: f64) {
    train(dir, "flex").unwrap();
    let (ours, reference) = (losses(dir, backend), losses(dir, "flex"));
    assert_eq!(ours.len(), 4);
    for (a, b) in ours.iter().zip(&reference) {
        assert!((a / b - 1.0).abs() < tolerance, "{backend}: {ours:?}, flex: {reference:?}");
    }
    let model = format!("runs/{backend}/model");
    succeed(dir, &["sample", "--model", &model, "--num", "2", "--steps", "2", "--out", backend, "--backend", backend]);
}

/// The one sentence of a backend whose device is not there.
fn is_one_clear_sentence(dir: &Path, backend: &str, said: &str) {
    assert!(said.contains(&format!("the backend '{backend}' finds no usable device on this machine")), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "one sentence, no backtrace:\n{said}");
    assert!(!dir.join("runs").exists(), "nothing was begun");
}

#[test]
fn ndarray_trains_and_samples_as_flex_does() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "ndarray").unwrap();
    follows_flex(dir.path(), "ndarray", 1e-4);
}

/// On a machine with an NVIDIA GPU it trains; on one without it ends with one clear sentence.
#[test]
fn cuda_without_a_gpu_is_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    match train(dir.path(), "cuda") {
        // TF32 may be used in matrix products.
        Ok(()) => follows_flex(dir.path(), "cuda", 1e-2),
        Err(said) => is_one_clear_sentence(dir.path(), "cuda", &said),
    }
}

/// Runs on Mesa's software rasteriser where there is no GPU; says so where there is no Vulkan device at all.
#[test]
fn vulkan_trains_on_whatever_device_there_is() {
    let dir = tempfile::tempdir().unwrap();
    match train(dir.path(), "vulkan") {
        Ok(()) => follows_flex(dir.path(), "vulkan", 1e-3),
        Err(said) => {
            is_one_clear_sentence(dir.path(), "vulkan", &said);
            eprintln!("NOT RUN: there is no Vulkan device here ({})", said.trim());
        }
    }
}
