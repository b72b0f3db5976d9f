//! The backends that are not compiled in by default: `cargo test -p sfumato-cli --features ndarray,cuda,vulkan --test backends`.

#![cfg(all(feature = "ndarray", feature = "cuda", feature = "vulkan"))]

mod common;

use common::{TINY, fail, run, stderr, succeed, train_tiny};

/// Metrics of a few steps on `backend`.
fn losses(dir: &std::path::Path, backend: &str) -> Vec<f64> {
    let root = train_tiny(dir, backend, &["--steps", "4", "--sample-every", "0", "--backend", backend]);
    let text = std::fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap())
        .collect()
}

/// Random numbers are addressed, so every backend sees the same run up to rounding.
fn same_losses(dir: &std::path::Path, backend: &str, tolerance: f64) {
    let (ours, reference) = (losses(dir, backend), losses(dir, "flex"));
    assert_eq!(ours.len(), 4);
    for (a, b) in ours.iter().zip(&reference) {
        assert!((a / b - 1.0).abs() < tolerance, "{backend}: {ours:?}, flex: {reference:?}");
    }
    let model = format!("runs/{backend}/model");
    succeed(dir, &["sample", "--model", &model, "--num", "2", "--steps", "2", "--out", "out", "--backend", backend]);
}

#[test]
fn ndarray_trains_and_samples_as_flex_does() {
    let dir = tempfile::tempdir().unwrap();
    same_losses(dir.path(), "ndarray", 1e-4);
}

/// On a machine with an NVIDIA GPU it trains; on one without it ends with one clear sentence.
#[test]
fn cuda_without_a_gpu_is_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> =
        ["train", "--steps", "1", "--out", "runs/x", "--backend", "cuda"].iter().chain(TINY).copied().collect();
    let output = run(dir.path(), &args);
    if output.status.success() {
        // TF32 may be used in matrix products.
        return same_losses(dir.path(), "cuda", 1e-2);
    }
    let said = fail(dir.path(), 1, &args);
    assert!(said.contains("the backend 'cuda' finds no usable device on this machine"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "one sentence, no backtrace:\n{said}");
    assert!(!dir.path().join("runs").exists());
}

/// Runs on Mesa's software rasteriser where there is no GPU; says so where there is no Vulkan device at all.
#[test]
fn vulkan_trains_on_whatever_device_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> =
        ["train", "--steps", "1", "--out", "runs/x", "--backend", "vulkan"].iter().chain(TINY).copied().collect();
    let output = run(dir.path(), &args);
    let said = stderr(&output);
    if said.contains("finds no usable device") {
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        eprintln!("NOT RUN: there is no Vulkan device here ({})", said.trim());
        return;
    }
    assert!(output.status.success(), "{said}");
    same_losses(dir.path(), "vulkan", 1e-3);
}
