//! Descriptions of models through the program.

mod common;

use std::{fs, path::Path};

use common::{fail, stderr, stdout, succeed, train_tiny};
use serde_json::{Value, json};

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name);
    path.to_str().unwrap().to_owned()
}

fn as_json(dir: &Path, model: &str) -> Value {
    serde_json::from_slice(&succeed(dir, &["info", model, "--json"]).stdout).unwrap()
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A writable copy of a model.
fn copy(dir: &Path, from: &str, to: &str) {
    succeed(dir, &["export", "--model", from, "--out", to]);
}

#[test]
fn the_table_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let info = as_json(dir.path(), &golden("cifar"));
    let blocks = info["blocks"].as_array().unwrap();
    let names: Vec<&str> = blocks.iter().map(|block| block["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["time_embedding", "conv_in", "down_blocks.0"]);
    assert_eq!((names.len(), names[6], names[names.len() - 1]), (12, "mid_block", "conv_out"));
    assert_eq!(blocks[3]["resolution"], json!([8, 8]));
    for key in ["parameters", "multiply_adds", "activations"] {
        let sum: u64 = blocks.iter().map(|block| block[key].as_u64().unwrap()).sum();
        assert_eq!(info[key].as_u64(), Some(sum), "{key}");
    }
    assert_eq!(info["weights_bytes"].as_u64().unwrap(), 4 * info["parameters"].as_u64().unwrap());
    assert_eq!((&info["scheduler"], &info["odd"]), (&json!("DDPMScheduler"), &json!([])));
    // 3x3 kernels from 3 to 4 channels at 16x16 pixels.
    let conv_in = &blocks[1];
    assert_eq!(
        [&conv_in["parameters"], &conv_in["multiply_adds"], &conv_in["activations"]],
        [&json!(3 * 4 * 9 + 4), &json!(3 * 4 * 9 * 256), &json!(4 * 256)]
    );

    let text = stdout(&succeed(dir.path(), &["info", &golden("cifar")]));
    for part in
        ["UNet2DModel", "DDPMScheduler", "activations", "multiply-adds", "2 resnets with attention, down", "16x16"]
    {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
    assert!(!text.contains("odd:"), "{text}");
}

#[test]
fn a_checkpoint_says_how_far_its_training_is() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "3", "--sample-every", "0", "--class-conditional"]);
    let text = stdout(&succeed(dir.path(), &["info", "runs/a/model"]));
    for part in
        ["step 3, 24 examples", "decay up to 0.999", "0 to 9, and 10 for any", "fashion-mnist-mini", "tensors of F32"]
    {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
    let info = as_json(dir.path(), "runs/a/model");
    assert_eq!((&info["training"]["step"], &info["classes"]), (&json!(3), &json!(10)));

    fs::remove_file(dir.path().join("runs/a/model/training/optimizer.safetensors")).unwrap();
    let text = stdout(&succeed(dir.path(), &["info", "runs/a/model"]));
    assert!(text.contains("training cannot go on") && text.contains("optimizer.safetensors"), "{text}");

    succeed(dir.path(), &["export", "--model", "runs/a/model", "--weights", "raw", "--out", "raw"]);
    assert!(stdout(&succeed(dir.path(), &["info", "raw"])).contains("odd: these are raw weights"));
}

#[test]
fn what_is_odd_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let odd = |model: &str| as_json(dir.path(), model)["odd"].to_string();
    copy(dir.path(), &golden("identity"), "model");
    let root = dir.path().join("model");
    edit(&root.join("unet/config.json"), |config| config["freeze_everything"] = true.into());
    edit(&root.join("scheduler/scheduler_config.json"), |scheduler| {
        scheduler["beta_end"] = json!(1e-4);
        scheduler["order_of_magic"] = json!(true);
    });
    let said = odd("model");
    for part in ["freeze_everything", "no sample_size", "order_of_magic", "noise schedule"] {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    edit(&root.join("scheduler/scheduler_config.json"), |scheduler| {
        scheduler["trained_betas"] = vec![0.25; 1000].into();
    });
    let text = stdout(&succeed(dir.path(), &["info", "model"]));
    assert!(text.contains("explicit, 1000 betas from 2.500e-1 to 2.500e-1\n"), "{text}");
    assert!(odd(&golden("files/flat")).contains("no scheduler"));
    assert_eq!(as_json(dir.path(), &golden("files/fp16"))["weights_types"]["F16"], 142);

    // Untrained: the last layers of residual blocks start at zero.
    train_tiny(dir.path(), "b", &["--steps", "1", "--sample-every", "0", "--set", "optimizer.ema_decay=0"]);
    assert!(odd("runs/b/model").contains("without a moving average"));
}

#[test]
fn weights_that_do_not_fit_are_an_error_after_the_description() {
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path(), &golden("cifar"), "model");
    let weights = dir.path().join("model/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let output = common::run(dir.path(), &["info", "model"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("multiply-adds"));
    assert!(
        stderr(&output).contains("1 not finite: up_blocks.3.resnets.2.time_emb_proj.weight"),
        "{}",
        stderr(&output)
    );

    edit(&dir.path().join("model/unet/config.json"), |config| config["layers_per_block"] = 1.into());
    let said = fail(dir.path(), 1, &["info", "model"]);
    assert!(said.contains("unexpected") && said.contains("diffusion_pytorch_model.safetensors"), "{said}");
}
