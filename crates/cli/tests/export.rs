//! Exporting through the program: what diffusers gets, and that nothing of the weights is lost on the way.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, stdout, succeed, train_tiny};

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn bytes(path: PathBuf) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn export(dir: &Path, model: &Path, out: &str, args: &[&str]) -> PathBuf {
    let all = ["export", "--model", model.to_str().unwrap(), "--out", out];
    succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    dir.join(out)
}

#[test]
fn pipelines_of_diffusers_keep_every_byte_of_their_weights() {
    let dir = tempfile::tempdir().unwrap();
    for case in ["cifar", "defaults", "classes", "resnets", "fourier", "identity"] {
        let once = export(dir.path(), &golden(case), &format!("{case}-1"), &[]);
        assert!(bytes(once.join(WEIGHTS)) == bytes(golden(case).join(WEIGHTS)), "{case}");
        // And again, with everything around the weights.
        let twice = export(dir.path(), &once, &format!("{case}-2"), &[]);
        for file in [WEIGHTS, "unet/config.json", "scheduler/scheduler_config.json", "model_index.json"] {
            assert!(bytes(twice.join(file)) == bytes(once.join(file)), "{case}: {file}");
        }
    }
}

#[test]
fn other_layouts_become_the_usual_one() {
    let dir = tempfile::tempdir().unwrap();
    let plain = export(dir.path(), &golden("files/sharded"), "plain", &[]);
    let flat = export(dir.path(), &golden("files/flat"), "flat", &[]);
    assert!(bytes(plain.join(WEIGHTS)) == bytes(flat.join(WEIGHTS)), "old names and shards hold the same weights");
    assert_eq!(json(&plain.join("model_index.json"))["unet"], serde_json::json!(["diffusers", "UNet2DModel"]));
    // Half precision is exact in 32 bits, so that it comes back as it was.
    let wide = export(dir.path(), &golden("files/fp16"), "wide", &[]);
    let narrow = export(dir.path(), &wide, "narrow", &["--dtype", "f16"]);
    let direct = export(dir.path(), &golden("files/sharded-fp16"), "direct", &["--dtype", "f16"]);
    assert!(bytes(narrow.join(WEIGHTS)) == bytes(direct.join(WEIGHTS)));
    assert!(bytes(narrow.join(WEIGHTS)).len() < bytes(wide.join(WEIGHTS)).len() * 2 / 3);
    let brain = export(dir.path(), &golden("files/bf16"), "brain", &["--dtype", "bf16"]);
    assert!(bytes(brain.join(WEIGHTS)) == bytes(golden("files/bf16").join(WEIGHTS)));
}

#[test]
fn a_checkpoint_is_exported_without_what_training_needs() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "4", "--sample-every", "0", "--class-conditional"]);
    let model = run.join("model");
    let ema = export(dir.path(), &model, "ema", &[]);
    assert!(bytes(ema.join(WEIGHTS)) == bytes(model.join(WEIGHTS)));
    assert!(!ema.join("training").exists());
    let raw = export(dir.path(), &model, "raw", &["--weights", "raw"]);
    assert!(bytes(raw.join(WEIGHTS)) == bytes(model.join("training/weights.safetensors")));
    assert!(bytes(raw.join(WEIGHTS)) != bytes(ema.join(WEIGHTS)));
    let weights = |dir: &Path| json(&dir.join("unet/config.json"))["_sfumato"]["provenance"]["weights"].clone();
    assert_eq!((weights(&ema), weights(&raw)), ("moving average".into(), "raw".into()));
    // Ten classes and one for "any", in diffusers' words.
    assert_eq!(json(&ema.join("unet/config.json"))["num_class_embeds"], 11);
    let said = stdout(&succeed(dir.path(), &["sample", "--model", "raw", "--num", "1", "--steps", "1", "--out", "s"]));
    assert!(said.starts_with("s/samples.npy\n"), "{said}");
}

#[test]
fn schedules_that_diffusers_lacks_go_in_as_betas() {
    let dir = tempfile::tempdir().unwrap();
    let schedule =
        ["--steps", "1", "--sample-every", "0", "--set", "diffusion.schedule={kind=\"quadratic\", steps=20}"];
    let run = train_tiny(dir.path(), "a", &schedule);
    let out = export(dir.path(), &run.join("model"), "out", &[]);
    let scheduler = json(&out.join("scheduler/scheduler_config.json"));
    assert_eq!(scheduler["_class_name"], "DDPMScheduler");
    assert_eq!(scheduler["trained_betas"].as_array().unwrap().len(), 20);
}

#[test]
fn what_cannot_be_exported_is_an_error_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let model = run.join("model");
    let model = model.to_str().unwrap();
    let says = |code: i32, args: &[&str], parts: &[&str]| {
        let said = fail(dir.path(), code, &[&["export"], args].concat());
        parts.iter().for_each(|part| assert!(said.contains(part), "'{part}' is not in:\n{said}"));
    };
    says(2, &["--model", model], &["--out"]);
    says(2, &["--model", model, "--out", "x", "--dtype", "int8"], &["int8", "bf16"]);
    says(1, &["--model", "nowhere", "--out", "x"], &["nowhere"]);
    says(1, &["--model", model, "--out", model], &["is not empty", "--out"]);
    let exported = export(dir.path(), Path::new(model), "exported", &[]);
    let exported = exported.to_str().unwrap();
    says(1, &["--model", exported, "--out", "y", "--weights", "raw"], &["raw weights", "training/weights.safetensors"]);

    let roll = ["train", "--preset", "swiss-roll", "--steps", "1", "--set", "samples.num=2", "--out", "runs/roll"];
    succeed(dir.path(), &roll);
    says(1, &["--model", "runs/roll/model", "--out", "z"], &["SfumatoMLP", "only U-Nets"]);

    // A weight that half precision has no number for.
    let path = dir.path().join("exported").join(WEIGHTS);
    let mut weights = bytes(path.clone());
    let end = weights.len();
    weights[end - 4..].copy_from_slice(&1e6f32.to_le_bytes());
    fs::write(path, weights).unwrap();
    says(1, &["--model", exported, "--out", "w", "--dtype", "f16"], &["1000000", "range of F16", "BF16"]);
    export(dir.path(), Path::new(exported), "v", &["--dtype", "bf16"]);
}
