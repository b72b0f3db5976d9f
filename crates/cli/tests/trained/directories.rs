//! What `info` finds in them, and what `export` makes of them.

use std::path::Path;

use serde_json::{Value, json};
use sfumato_model::tensor_file::read_tensors;

use crate::{
    common::{json, read_npy, stderr, succeed},
    golden::{MODELS, REFERENCES, path, with_scheduler},
};

#[test]
fn the_files_are_those_that_the_script_made() {
    let made = json(Path::new(&path("made.json")));
    for name in MODELS {
        let weights = path(&format!("{name}/unet/diffusion_pytorch_model.fp16.safetensors"));
        assert_eq!(made[name]["weights_sha256"], sfumato_files::file_sha256(Path::new(&weights)).unwrap(), "{name}");
    }
}

#[test]
fn info_finds_nothing_odd() {
    let dir = tempfile::tempdir().unwrap();
    let made = json(Path::new(&path("made.json")));
    for (name, predicts, schedule) in [("linear-epsilon", "epsilon", "linear"), ("cosine-v", "v", "cosine")] {
        let output = succeed(dir.path(), &["info", &path(name), "--json"]);
        let info: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(info["odd"], json!([]), "{name}");
        assert_eq!((&info["warnings"], &info["notes"]), (&json!([]), &json!([])), "{name}");
        assert_eq!(info["parameters"], made[name]["parameters"], "{name}");
        assert_eq!(info["weights_bytes"].as_u64(), made[name]["parameters"].as_u64().map(|count| 2 * count), "{name}");
        assert_eq!(info["parameterization"].as_str().map(str::to_lowercase), Some(predicts.into()), "{name}");
        assert_eq!((&info["schedule"]["kind"], &info["classes"]), (&schedule.into(), &json!(null)), "{name}");
    }
}

/// In float16 every weight stays as it is; in float32 too, as every float16 number is one of float32.
#[test]
fn export_and_back_leaves_weights_and_samples() {
    let dir = tempfile::tempdir().unwrap();
    let draw = |model: &str, out: &str| {
        let all = ["sample", "--model", model, "--num", "2", "--steps", "20", "--spacing", "trailing", "--out", out];
        let output = succeed(dir.path(), &all);
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    for name in MODELS {
        let model = path(name);
        let own = draw(&model, &format!("{name}-own"));
        for dtype in ["f16", "f32"] {
            let copy = format!("{name}-{dtype}");
            succeed(dir.path(), &["export", "--model", &model, "--out", &copy, "--dtype", dtype]);
            assert_eq!(own, draw(&copy, &format!("{copy}-samples")), "{copy}");
            let exported = dir.path().join(&copy).join("unet/diffusion_pytorch_model.safetensors");
            let sorted = |path: &Path| {
                let mut tensors = read_tensors(path).unwrap();
                tensors.sort_by(|a, b| a.name.cmp(&b.name));
                tensors
            };
            let before = path(&format!("{name}/unet/diffusion_pytorch_model.fp16.safetensors"));
            assert_eq!(sorted(Path::new(&before)), sorted(&exported), "{copy}");
            for file in ["scheduler/scheduler_config.json", "unet/config.json"] {
                let (before, after) =
                    (json(Path::new(&format!("{model}/{file}"))), json(&dir.path().join(&copy).join(file)));
                for (key, value) in before.as_object().unwrap().iter().filter(|(key, _)| !key.starts_with('_')) {
                    assert!(same(&after[key], value), "{copy}: {key} of {file}: {} for {value}", after[key]);
                }
            }
        }
    }
}

/// Whether two values mean the same: 1 is 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// `Class.from_config(pipeline.scheduler.config)` keeps the keys that the class does not know. Of those that are left here, one would change
/// the samples of a class that has it: clipping.
#[test]
fn a_converted_scheduler_is_told_from_one_with_unknown_keys() {
    let dir = tempfile::tempdir().unwrap();
    let cases = REFERENCES.json["cases"].as_array().unwrap().iter().filter(|case| case["model"] == "linear-epsilon");
    for case in cases {
        let scheduler = case["scheduler"].as_str().unwrap();
        with_scheduler(dir.path(), "linear-epsilon", scheduler);
        let output = succeed(dir.path(), &["info", "model", "--json"]);
        let info: Value = serde_json::from_slice(&output.stdout).unwrap();
        let passes_over =
            ["DPMSolverMultistepScheduler", "EulerDiscreteScheduler"].iter().find(|class| scheduler.contains(**class));
        let expected: Vec<String> = passes_over
            .map(|class| {
                format!(
                    "model/scheduler/scheduler_config.json: `clip_sample` is true, which another scheduler has left there: it has no \
                     effect on {class}, here as in diffusers"
                )
            })
            .into_iter()
            .collect();
        assert_eq!((&info["warnings"], &info["odd"]), (&json!(expected), &json!(expected)), "{}", case["name"]);
    }
}
