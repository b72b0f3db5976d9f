//! Learned variances through the program: trained, resumed, described, drawn from, scored and exported.

mod common;

use std::{fs, path::Path};

use common::{fail, read_npy, stderr, stdout, succeed, train_tiny};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn a_learned_range_goes_through_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "3", "--variance", "learned-range", "--sample-every", "2"]);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("variance = \"learned-range\""), "{config}");
    assert_eq!(json(&run.join("model/unet/config.json"))["out_channels"], 2);
    assert_eq!(json(&run.join("model/scheduler/scheduler_config.json"))["variance_type"], "learned_range");
    let info = stdout(&succeed(dir.path(), &["info", "runs/a/model"]));
    assert!(info.contains("learned-range"), "{info}");
    let drawn = |model: &str, sampler: &str, out: &str| {
        succeed(
            dir.path(),
            &["sample", "--model", model, "--sampler", sampler, "--steps", "4", "--num", "2", "--out", out],
        );
        let (shape, values) = read_npy(&dir.path().join(out).join("samples.npy"));
        assert_eq!(shape, [2, 1, 28, 28]);
        assert!(values.iter().all(|value| value.is_finite()));
        values
    };
    succeed(dir.path(), &["export", "--model", "runs/a/model", "--out", "exported"]);
    for sampler in ["ddpm", "ddim", "dpm-solver++", "euler", "heun"] {
        let (one, other) = (format!("one-{sampler}"), format!("other-{sampler}"));
        assert_eq!(drawn("runs/a/model", sampler, &one), drawn("exported", sampler, &other), "{sampler}");
    }
    let score = ["eval", "--model", "exported", "--dataset", "fashion-mnist-mini", "--split", "train", "--limit", "2"];
    let text = stdout(&succeed(dir.path(), &[&score[..], &["--json", "score.json"]].concat()));
    assert!(text.contains("learned-range"), "{text}");
    assert!(json(&dir.path().join("score.json"))["total"]["bits_per_dim"].as_f64().unwrap().is_finite());
}

/// Importance sampling depends on what a run has seen: a run that was stopped must remember it.
#[test]
fn a_run_by_importance_resumes_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let short = ["--set", "diffusion.schedule.steps=4", "--density", "importance", "--sample-every", "0"];
    let args = |steps: &'static str| {
        [&short[..], &["--variance", "learned-range", "--loss", "vlb", "--steps", steps]].concat()
    };
    let whole = train_tiny(dir.path(), "whole", &args("24"));
    let stopped = train_tiny(dir.path(), "stopped", &args("13"));
    let times = json(&whole.join("checkpoints/step-0000024/training/times.json"));
    let counts: Vec<u64> = times["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
    assert_eq!(counts, [10; 4], "every step has its losses, so that draws follow them");
    succeed(dir.path(), &["train", "--resume", "runs/stopped", "--steps", "24"]);
    for file in ["training/weights.safetensors", "unet/diffusion_pytorch_model.safetensors", "training/times.json"] {
        let read = |run: &Path| fs::read(run.join("checkpoints/step-0000024").join(file)).unwrap();
        assert!(read(&whole) == read(&stopped), "{file} differs after a stop");
    }
    let uniform = [&["--set", "objective.times=uniform"], &args("24")[..2], &args("24")[4..]].concat();
    let uniform = train_tiny(dir.path(), "uniform", &uniform);
    let weights = |run: &Path| fs::read(run.join("checkpoints/step-0000024/training/weights.safetensors")).unwrap();
    assert!(weights(&uniform) != weights(&whole), "importance changes what is drawn");
}

#[test]
fn points_learn_their_variance_too() {
    let dir = tempfile::tempdir().unwrap();
    let train =
        ["train", "--preset", "swiss-roll", "--variance", "learned", "--loss", "vlb", "--steps", "20", "--out", "roll"];
    succeed(dir.path(), &[&train[..], &["--set", "samples.num=8", "--set", "samples.steps=2"]].concat());
    assert_eq!(json(&dir.path().join("roll/model/unet/config.json"))["learned_variance"], true);
    assert_eq!(json(&dir.path().join("roll/model/scheduler/scheduler_config.json"))["variance_type"], "learned_log");
    succeed(dir.path(), &["sample", "--model", "roll/model", "--num", "5", "--steps", "4", "--out", "points"]);
    let scored = succeed(dir.path(), &["eval", "--model", "roll/model", "--dataset", "toy:swiss-roll", "--limit", "5"]);
    assert!(stdout(&scored).contains("learned"), "{}", stdout(&scored));
}

#[test]
fn classes_and_guidance_work_with_a_learned_variance() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(
        dir.path(),
        "a",
        &["--steps", "2", "--variance", "learned-range", "--class-conditional", "--sample-every", "0"],
    );
    let sample = [
        "sample",
        "--model",
        "runs/a/model",
        "--class",
        "3",
        "--guidance",
        "2",
        "--num",
        "2",
        "--steps",
        "3",
        "--out",
        "o",
    ];
    let said = stderr(&succeed(dir.path(), &sample));
    assert!(!said.contains("NaN"), "{said}");
}

#[test]
fn a_loss_that_would_not_train_the_variance_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = fail(dir.path(), 1, &["train", "--variance", "learned-range", "--loss", "simple", "--out", "runs/x"]);
    for part in ["objective.loss", "hybrid", "vlb", "learned-range"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!dir.path().join("runs/x").exists(), "nothing is written");
}
