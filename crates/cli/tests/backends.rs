//! The backends that are not compiled in by default: `cargo test -p sfumato-cli --features ndarray,cuda,vulkan --test backends`.

#![cfg(all(feature = "ndarray", feature = "cuda", feature = "vulkan"))]

mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use common::{TINY, failure, sfumato, stderr, succeed};
use serde_json::Value;

/// A run of a few steps, as short as it can be: a software rasteriser takes a minute for one.
const STEPS: [&str; 4] = ["--steps", "4", "--sample-every", "0"];

/// The user's cache folder.
const CACHE: &str = "cache";

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
    let output = sfumato(dir).args(&args).env("SFUMATO_CACHE", dir.join(CACHE)).output().expect("the program starts");
    // A GPU is compared with the CPU first.
    if output.status.success() && !["flex", "ndarray"].contains(&backend) {
        let said = stderr(&output);
        assert!(said.contains("self-check loss ") && said.contains(" on the CPU, gradient norm "), "{said}");
    }
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

/// Every file below a folder with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// What tuning has found is in the user's cache folder, and a second run adds nothing to it.
fn tunes_nothing_again(dir: &Path, backend: &str) {
    let kept = files(&dir.join(CACHE).join("kernels"));
    assert!(!kept.is_empty() && !dir.join("target").exists(), "{kept:?}");
    std::fs::remove_dir_all(dir.join("runs").join(backend)).unwrap();
    train(dir, backend).unwrap();
    let now = files(&dir.join(CACHE).join("kernels"));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert!(now == kept, "another run left {:?} where the first had left {:?}", names(&now), names(&kept));
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
        Ok(()) => {
            follows_flex(dir.path(), "vulkan", 1e-3);
            tunes_nothing_again(dir.path(), "vulkan");
        }
        Err(said) => {
            is_one_clear_sentence(dir.path(), "vulkan", &said);
            eprintln!("NOT RUN: there is no Vulkan device here ({})", said.trim());
        }
    }
}
