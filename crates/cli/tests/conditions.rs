//! Networks that want to be told more than a class of a table, and commands that cannot tell them.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, read_npy, stdout, succeed, unwrapped};
use serde_json::{Value, json};

/// A writable copy of a golden pipeline with other values in `unet/config.json` and `scheduler_config.json`.
fn model(dir: &Path, name: &str, config: Value, scheduler: Value) -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name);
    succeed(dir, &["export", "--model", golden.to_str().unwrap(), "--out", name]);
    for (file, changes) in [("unet/config.json", config), ("scheduler/scheduler_config.json", scheduler)] {
        let path: PathBuf = dir.join(name).join(file);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        changes.as_object().unwrap().iter().for_each(|(key, change)| value[key] = change.clone());
        fs::write(path, value.to_string()).unwrap();
    }
    name.to_owned()
}

#[test]
fn classes_that_are_any_number_are_asked_for_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), "resnets", json!({"sample_size": 8}), json!({}));
    let sample = |class: &str| {
        let args = ["sample", "--model", &model, "--class", class, "--num", "2", "--steps", "2", "--out", class];
        succeed(dir.path(), &args);
        let (shape, values) = read_npy(&dir.path().join(class).join("samples.npy"));
        assert_eq!(shape, [2, 4, 8, 8]);
        assert!(values.iter().all(|value| value.is_finite()));
        values
    };
    assert_ne!(sample("3"), sample("7000"));
    let said = fail(dir.path(), 1, &["sample", "--model", &model, "--num", "1", "--out", "x"]);
    assert!(said.contains("class_embed_type timestep") && said.contains("--class"), "{said}");
    assert!(unwrapped(&stdout(&succeed(dir.path(), &["info", &model]))).contains("`sample` needs --class"));
}

#[test]
fn classes_given_as_embeddings_are_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), "identity", json!({"sample_size": 8}), json!({}));
    let expected = "class_embed_type identity";
    for args in [&[][..], &["--class", "1"]] {
        let all = ["sample", "--model", &model, "--num", "1", "--out", "x"];
        let said = fail(dir.path(), 1, &[&all[..], args].concat());
        assert!(said.contains(expected), "{said}");
    }
    let said = fail(dir.path(), 1, &["eval", "--model", &model, "--dataset", "fashion-mnist-mini"]);
    assert!(said.contains(expected), "{said}");
    let text = unwrapped(&stdout(&succeed(dir.path(), &["info", &model])));
    assert!(text.contains("not supported") && text.contains(expected), "{text}");
    assert!(!dir.path().join("x").exists());
}

#[test]
fn a_learned_variance_needs_twice_the_channels() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), "cifar", json!({}), json!({"variance_type": "learned_range"}));
    let expected = "out_channels 3, expected out_channels 6, as the variance is learned-range";
    for args in [
        &["sample", "--model", &model, "--num", "1", "--out", "x"][..],
        &["eval", "--model", &model, "--dataset", "fashion-mnist-mini"],
    ] {
        let said = fail(dir.path(), 1, args);
        assert!(said.contains(expected), "{said}");
    }
    let text = unwrapped(&stdout(&succeed(dir.path(), &["info", &model])));
    assert!(text.contains(&format!("odd: not supported: {model}")) && text.contains(expected), "{text}");
}

#[test]
fn info_says_how_a_model_is_sampled_from() {
    let dir = tempfile::tempdir().unwrap();
    let scheduler = json!({
        "_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "solver_type": "heun", "use_karras_sigmas": true,
        "timestep_spacing": "trailing", "thresholding": true, "sample_max_value": 1.5, "prediction_type": "sample",
        "rescale_betas_zero_snr": true, "final_sigmas_type": "sigma_min", "lambda_min_clipped": -5.1, "euler_at_final": true,
    });
    let model = model(dir.path(), "cifar", json!({}), scheduler);
    let text = unwrapped(&stdout(&succeed(dir.path(), &["info", &model])));
    for part in [
        "dpm-solver++, spacing trailing, order 3, heun, the last step of order 1, Karras levels, to the first step's noise",
        "from half log-SNR -5.1",
        "at their 0.995 quantile, at most 1.5 (dynamic thresholding)",
        "rescaled to end in pure noise",
    ] {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
    let info: Value = serde_json::from_slice(&succeed(dir.path(), &["info", &model, "--json"]).stdout).unwrap();
    assert_eq!(
        info["sampler"],
        json!({
            "name": "dpm-solver++", "timestep_spacing": "trailing", "steps_offset": 0, "use_karras_sigmas": true,
            "final_sigmas_type": "sigma_min", "solver_order": 3, "solver_type": "heun", "lower_order_final": true,
            "euler_at_final": true, "lambda_min_clipped": -5.1,
        })
    );
}

#[test]
fn too_little_noise_is_an_error_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), "cifar", json!({}), json!({}));
    let noise = vec![0.5; 999 * 2 * 3 * 16 * 16];
    sfumato_files::write_npy_f32(&dir.path().join("noise.npy"), &[999, 2, 3, 16, 16], &noise).unwrap();
    let args = ["sample", "--model", &model, "--noise", "noise.npy", "--out", "x", "--sampler"];
    for (more, expected) in [
        // Seconds of work, if it came to the last step.
        (&["ddpm", "--num", "2", "--steps", "1000"][..], "999 entries, but entry 999"),
        (&["ddim", "--num", "2", "--steps", "1000", "--eta", "1"], "999 entries, but entry 999"),
        (&["ddim", "--num", "3", "--steps", "2"], "for 2 samples, but sample 2"),
    ] {
        let said = fail(dir.path(), 1, &[&args[..], more].concat());
        assert!(said.contains("noise.npy") && said.contains(expected), "{said}");
    }
    succeed(dir.path(), &[&args[..], &["ddpm", "--num", "1", "--steps", "3"]].concat());
}

#[test]
fn settings_of_the_scheduler_that_leave_no_steps_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let late = model(dir.path(), "cifar", json!({}), json!({"steps_offset": 999}));
    let clipped = json!({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": 50.5, "steps_offset": 0});
    let clipped = model(dir.path(), "defaults", json!({"sample_size": 28}), clipped);
    for (model, expected) in [
        (late, "cifar: no such steps with the scheduler's steps_offset 999: time step number 2 is 1500"),
        (
            clipped,
            "defaults: no such steps with the scheduler's steps_offset 0, lambda_min_clipped 50.5: a respaced schedule needs at least 1 time step",
        ),
    ] {
        let said = fail(dir.path(), 1, &["sample", "--model", &model, "--num", "1", "--steps", "2", "--out", "x"]);
        assert!(said.contains(expected), "{said}");
    }
}

/// A device without room for the weights: what was made on the way goes again, so that a second try finds an empty directory.
#[cfg(target_os = "linux")]
#[test]
fn an_export_that_fails_leaves_no_directories_that_are_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), "cifar", json!({}), json!({}));
    // In place of a full disk: a limit on the size of files.
    let export =
        format!("trap '' XFSZ; ulimit -f 1; exec {} export --model {model} --out out", env!("CARGO_BIN_EXE_sfumato"));
    let output = std::process::Command::new("bash").args(["-c", &export]).current_dir(dir.path()).output().unwrap();
    let said = common::failure(&output, 1, &["export"]);
    assert!(said.contains("diffusion_pytorch_model.safetensors: File too large"), "{said}");
    assert_eq!(said.matches("File too large").count(), 1, "{said}");
    assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    succeed(dir.path(), &["export", "--model", &model, "--out", "out"]);
}
