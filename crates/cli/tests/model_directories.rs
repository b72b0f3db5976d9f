//! Model directories of other people through the program: the same samples from every layout, and a clear word where one is needed.

mod common;
#[path = "../../model/tests/common/torch_writer.rs"]
mod torch_writer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, images, read_npy, stderr, stdout, succeed, train_tiny};
use serde_json::{Value, json};
use sfumato_model::tensor_file::read_tensors;

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const CONFIG: &str = "unet/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The bytes of two samples, and the notes and warnings that came with them.
fn sample(dir: &Path, model: &str, args: &[&str]) -> (Vec<u8>, String) {
    let out = format!("{}-samples-{}", model.replace('/', "-"), args.join("-").replace(['/', '='], "-"));
    // Steps enough that nothing is to be said of their number.
    let all = ["sample", "--model", model, "--num", "2", "--steps", "20", "--out", &out];
    let output = succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    let said = stderr(&output);
    let words: Vec<&str> =
        said.lines().filter(|line| line.starts_with("note") || line.starts_with("warning")).collect();
    (fs::read(dir.join(out).join("samples.npy")).unwrap(), words.join("\n"))
}

/// A run of one step, and its exported model `m`.
fn model(dir: &Path) -> PathBuf {
    train_tiny(dir, "base", &["--steps", "2", "--sample-every", "0"]);
    succeed(dir, &["export", "--model", "runs/base/model", "--out", "m"]);
    dir.join("m")
}

/// A copy of the model `m` called `name`.
fn again(dir: &Path, name: &str) -> PathBuf {
    let to = dir.join(name);
    for file in ["model_index.json", CONFIG, WEIGHTS, SCHEDULER] {
        copy(&dir.join("m").join(file), &to.join(file));
    }
    to
}

#[test]
fn flat_and_mixed_directories_give_the_same_to_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let m = model(root);
    let data = images(root, 4);
    let score = |model: &str| {
        let args = ["eval", "--model", model, "--dataset", &data, "--steps", "2", "--json", "score.json"];
        succeed(root, &args);
        serde_json::from_slice::<Value>(&fs::read(root.join("score.json")).unwrap()).unwrap()["total"].clone()
    };
    let (expected, _) = sample(root, "m", &[]);
    let (bound, check) = (score("m"), stdout(&succeed(root, &["schedule", "check", "m"])));
    for (name, index, network, scheduler) in [
        ("flat", true, "", ""),
        ("mixed", true, "", "scheduler"),
        ("other", true, "unet", ""),
        ("bare", false, "", ""),
        ("bare-mixed", false, "unet", ""),
    ] {
        let to = root.join(name);
        if index {
            copy(&m.join("model_index.json"), &to.join("model_index.json"));
        }
        for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
            copy(&m.join("unet").join(file), &to.join(network).join(file));
        }
        copy(&m.join(SCHEDULER), &to.join(scheduler).join("scheduler_config.json"));
        assert!(sample(root, name, &[]) == (expected.clone(), String::new()), "{name}");
        assert_eq!(score(name), bound, "{name}");
        assert_eq!(stdout(&succeed(root, &["schedule", "check", name])).replace(name, "m"), check, "{name}");
        let info: Value = serde_json::from_slice(&succeed(root, &["info", name, "--json"]).stdout).unwrap();
        assert_eq!((&info["warnings"], &info["notes"]), (&json!([]), &json!([])), "{name}");
        let exported = format!("{name}-exported");
        assert_eq!(stderr(&succeed(root, &["export", "--model", name, "--out", &exported])), "");
        for file in ["model_index.json", CONFIG, WEIGHTS, SCHEDULER] {
            assert!(
                fs::read(root.join(&exported).join(file)).unwrap() == fs::read(m.join(file)).unwrap(),
                "{name}: {file}"
            );
        }
    }
}

#[test]
fn predict_epsilon_false_is_a_prediction_of_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(root);
    let base = json!({
        "_class_name": "DDPMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.02, "beta_schedule": "linear",
        "beta_start": 0.0001, "clip_sample": true, "num_train_timesteps": 1000, "trained_betas": null,
        "variance_type": "fixed_small",
    });
    for (name, key, value) in [
        ("old", "predict_epsilon", json!(false)),
        ("new", "prediction_type", json!("sample")),
        ("true", "predict_epsilon", json!(true)),
    ] {
        let mut scheduler = base.clone();
        scheduler[key] = value;
        fs::write(again(root, name).join(SCHEDULER), scheduler.to_string()).unwrap();
    }
    assert!(stdout(&succeed(root, &["info", "old"])).contains("x0"));
    assert!(sample(root, "old", &[]) == sample(root, "new", &[]));
    assert_eq!(sample(root, "true", &[]).1, "");
    assert!(!stdout(&succeed(root, &["info", "true"])).contains("predict_epsilon"));
    succeed(root, &["export", "--model", "old", "--out", "exported"]);
    let written: Value = serde_json::from_slice(&fs::read(root.join("exported").join(SCHEDULER)).unwrap()).unwrap();
    assert_eq!((&written["prediction_type"], written.get("predict_epsilon")), (&json!("sample"), None));
    assert!(sample(root, "exported", &[]).0 == sample(root, "old", &[]).0);
    edit(&root.join("old").join(SCHEDULER), |scheduler| scheduler["prediction_type"] = "epsilon".into());
    for command in ["info", "sample"] {
        let args: &[&str] =
            if command == "info" { &["info", "old"] } else { &["sample", "--model", "old", "--out", "x"] };
        let said = fail(root, 1, args);
        assert!(said.contains("predict_epsilon") && said.contains("scheduler_config.json"), "{said}");
    }
}

#[test]
fn a_checkpoint_of_a_trainer_draws_with_the_scheduler_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let m = model(root);
    let out = again(root, "out");
    edit(&out.join(SCHEDULER), |scheduler| scheduler["beta_schedule"] = "squaredcos_cap_v2".into());
    for part in ["unet", "unet_ema"] {
        for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
            copy(&m.join("unet").join(file), &out.join("checkpoint-4").join(part).join(file));
        }
    }
    edit(&out.join("checkpoint-4/unet_ema/config.json"), |config| {
        config["decay"] = json!(0.9999);
        config["use_ema_warmup"] = json!(true);
    });
    for name in ["optimizer.bin", "scheduler.bin"] {
        fs::write(out.join("checkpoint-4").join(name), "").unwrap();
    }
    let (expected, _) = sample(root, "out", &[]);
    for path in ["out/checkpoint-4", "out/checkpoint-4/unet", "out/checkpoint-4/unet_ema"] {
        let text = stdout(&succeed(root, &["info", path]));
        assert!(text.contains("cosine") && !text.contains("unknown"), "{text}");
        let raw = !path.ends_with("ema");
        assert_eq!(text.contains("raw weights"), raw, "{text}");
        assert!(text.contains("unet_ema"), "{text}");
        let (samples, said) = sample(root, path, &[]);
        assert!(samples == expected, "{path}");
        assert!(said.contains("note: the scheduler is that of") && said.contains("raw weights") == raw, "{said}");
        assert!(stdout(&succeed(root, &["schedule", "check", path])).contains("cosine"));
    }
    // From within, where the folder has no name of its own.
    let here = succeed(&out.join("checkpoint-4/unet"), &["info", "."]);
    assert!(stdout(&here).contains("cosine"), "{}", stdout(&here));
    succeed(root, &["export", "--model", "out/checkpoint-4", "--out", "raw"]);
    assert!(stdout(&succeed(root, &["info", "raw"])).contains("odd: these are raw weights"));

    fs::create_dir(root.join("many")).unwrap();
    for step in ["500", "1000"] {
        let to = root.join("many").join(format!("checkpoint-{step}"));
        copy(&m.join(CONFIG), &to.join("unet/config.json"));
    }
    for args in [
        &["info", "many"][..],
        &["sample", "--model", "many", "--out", "x"],
        &["export", "--model", "many", "--out", "y"],
    ] {
        let said = fail(root, 1, args);
        assert!(said.contains("checkpoint-500, checkpoint-1000"), "{said}");
    }
}

#[test]
fn a_run_in_place_of_its_model_is_opened_and_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let run = train_tiny(root, "a", &["--steps", "2", "--checkpoint-every", "1", "--sample-every", "0"]);
    let (expected, _) = sample(root, "runs/a/model", &[]);
    let (samples, said) = sample(root, "runs/a", &[]);
    assert!(samples == expected && said.contains("runs/a is a run") && said.contains("runs/a/model"), "{said}");
    let text = stdout(&succeed(root, &["info", "runs/a"]));
    assert!(text.contains("is a run") && text.contains("step 2, 16 examples"), "{text}");
    fs::remove_file(run.join("model")).unwrap();
    let (samples, said) = sample(root, "runs/a", &[]);
    assert!(samples == expected && said.contains("step-0000002"), "{said}");
    succeed(root, &["export", "--model", "runs/a", "--weights", "raw", "--out", "raw"]);
    let said = fail(root, 1, &["info", "runs"]);
    assert!(said.contains("the models in it are a"), "{said}");
}

#[test]
fn pickled_weights_draw_the_same_samples() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let m = model(root);
    let tensors: Vec<torch_writer::Tensor> = read_tensors(&m.join(WEIGHTS))
        .unwrap()
        .into_iter()
        .map(|tensor| (format!("module.{}", tensor.name), tensor.shape, tensor.values))
        .collect();
    let (expected, _) = sample(root, "m", &[]);
    for (name, bytes) in [
        ("diffusion_pytorch_model.bin", torch_writer::checkpoint(&tensors, false)),
        ("diffusion_pytorch_model.fp16.bin", torch_writer::checkpoint(&tensors, true)),
        ("last.ckpt", torch_writer::nested(&[("state_dict", &tensors)])),
    ] {
        let to = again(root, name);
        fs::rename(to.join(WEIGHTS), to.join("unet/gone")).unwrap();
        fs::write(to.join("unet").join(name), bytes).unwrap();
        assert!(sample(root, name, &[]) == (expected.clone(), String::new()), "{name}");
        let text = stdout(&succeed(root, &["info", name]));
        assert!(text.contains(name) && text.contains("tensors of F32"), "{text}");
        let exported = format!("{name}-exported");
        succeed(root, &["export", "--model", name, "--out", &exported]);
        assert!(fs::read(root.join(&exported).join(WEIGHTS)).unwrap() == fs::read(m.join(WEIGHTS)).unwrap(), "{name}");
    }
}

#[test]
fn pointers_and_pages_are_called_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(root);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for (n, file) in [WEIGHTS, CONFIG, SCHEDULER, "model_index.json"].into_iter().enumerate() {
        for (kind, text, expected) in
            [("lfs", pointer, "LFS"), ("html", "<html>", "page of HTML"), ("none", "", "empty")]
        {
            let name = format!("{kind}{n}");
            fs::write(again(root, &name).join(file), text).unwrap();
            for args in [&["info", &name][..], &["sample", "--model", &name, "--out", "x"]] {
                let said = fail(root, 1, args);
                assert!(said.contains(expected) && said.contains(file), "{said}");
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_described_and_another_can_be_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(root);
    for (name, size) in [("null", json!(null)), ("oblong", json!([32, 64])), ("odd", json!(29))] {
        edit(&again(root, name).join(CONFIG), |config| config["sample_size"] = size);
        succeed(root, &["info", name]);
    }
    let shape = |model: &str, args: &[&str]| {
        let out = format!("{model}-{}", args.len());
        succeed(root, &[&["sample", "--model", model, "--num", "1", "--steps", "1", "--out", &out], args].concat());
        read_npy(&root.join(out).join("samples.npy")).0
    };
    assert_eq!(shape("oblong", &[]), [1, 1, 32, 64]);
    assert_eq!(shape("null", &["--image-size", "16x8"]), [1, 1, 16, 8]);
    assert_eq!(shape("odd", &["--image-size", "12"]), [1, 1, 12, 12]);
    let odd = stdout(&succeed(root, &["info", "odd"]));
    assert!(odd.contains("multiples of 2") && odd.contains("--image-size"), "{odd}");
    let sample = ["sample", "--steps", "1", "--out", "x", "--model"];
    for (code, args, expected) in [
        (1, &["null"][..], "--image-size"),
        (1, &["odd"], "such as 30x30"),
        (2, &["null", "--image-size", "7"], "such as 8x8"),
        (2, &["null", "--image-size", "0"], "expected a side such as 64"),
        (2, &["null", "--image-size", "64x"], "expected a side such as 64"),
        (2, &["null", "--image-size", "99999999"], "of 1 to"),
    ] {
        let said = fail(root, code, &[&sample[..], args].concat());
        assert!(said.contains(expected), "{said}");
    }
    // Scoring does not run into the network either.
    let said = fail(root, 1, &["eval", "--model", "odd", "--dataset", "fashion-mnist-mini", "--steps", "2"]);
    assert!(said.contains("sample_size is 29x29"), "{said}");
}

#[test]
fn a_scheduler_of_which_the_sampler_is_not_here_draws_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(root);
    for (class, sampler) in [("PNDMScheduler", "ddim"), ("DEISMultistepScheduler", "dpm-solver++")] {
        let scheduler = json!({"_class_name": class, "beta_schedule": "linear", "skip_prk_steps": true});
        let to = again(root, class);
        fs::write(to.join(SCHEDULER), scheduler.to_string()).unwrap();
        edit(&to.join("model_index.json"), |index| index["scheduler"] = json!(["diffusers", class]));
        let (samples, said) = sample(root, class, &[]);
        assert!(said.contains(class) && said.contains(&format!("{sampler} is used instead")), "{said}");
        assert!(sample(root, class, &["--sampler", sampler]).0 == samples);
    }
}

#[test]
fn descriptions_fit_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
    let models = ["cifar", "defaults", "classes", "resnets", "fourier", "identity"].map(str::to_owned);
    let files = ["bf16", "flat", "fp16", "sharded", "sharded-fp16"].map(|name| format!("files/{name}"));
    for name in models.iter().chain(&files) {
        // Under a short name: a path stays whole however long it is.
        let (from, to) = (golden.join(name), dir.path().join(name));
        for folder in ["", "unet", "scheduler"] {
            for entry in fs::read_dir(from.join(folder)).into_iter().flatten().flatten() {
                if entry.path().is_file() {
                    copy(&entry.path(), &to.join(folder).join(entry.file_name()));
                }
            }
        }
        let text = stdout(&succeed(dir.path(), &["info", name]));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{name}: {} columns:\n{line}", line.chars().count());
        }
    }
}

#[test]
fn a_rescaled_schedule_is_judged_and_reported_as_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(root);
    let to = again(root, "zero");
    edit(&to.join(SCHEDULER), |scheduler| {
        // Without rescaling, a quarter of the data's signal would be left at the end.
        scheduler["beta_end"] = json!(0.002);
        scheduler["rescale_betas_zero_snr"] = json!(true);
        scheduler["prediction_type"] = json!("v_prediction");
    });
    let text = stdout(&succeed(root, &["info", "zero"]));
    assert!(text.contains("rescaled to end in pure noise") && !text.contains("x_T still holds"), "{text}");
    let checked = stdout(&succeed(root, &["schedule", "check", "zero"]));
    assert!(!checked.contains("x_T still holds"), "{checked}");
    let data = images(root, 2);
    let args = ["eval", "--model", "zero", "--dataset", &data, "--steps", "2", "--json", "zero.json"];
    assert!(stdout(&succeed(root, &args)).contains("rescaled to end in pure noise"));
    let report: Value = serde_json::from_slice(&fs::read(root.join("zero.json")).unwrap()).unwrap();
    assert_eq!(report["rescale_betas_zero_snr"], true);
}
