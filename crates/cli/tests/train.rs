//! Training through the program: what a run leaves, and that it can be stopped and resumed.

mod common;

use std::{
    fs,
    io::Read,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{TINY, fail, read_npy, run, sfumato, stderr, stdout, succeed, train_tiny};

fn weights(run: &Path) -> Vec<Vec<u8>> {
    [
        "model/unet/diffusion_pytorch_model.safetensors",
        "model/training/weights.safetensors",
        "model/training/optimizer.safetensors",
    ]
    .map(|file| fs::read(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
    .into()
}

fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_leaves_what_the_design_says() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "4", "--checkpoint-every", "2", "--sample-every", "2"]);
    for file in [
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "checkpoints/step-0000002/model_index.json",
        "checkpoints/step-0000004/training/state.json",
        "samples/step-0000002.png",
        "samples/step-0000004.png",
        "model/unet/config.json",
        "model/scheduler/scheduler_config.json",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    assert_eq!(fs::read_link(run.join("model")).unwrap(), Path::new("checkpoints/step-0000004"));
    let lines = metrics(&run);
    assert_eq!(lines.len(), 4);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["step"], i + 1);
        assert_eq!(line["examples"], 8 * (i + 1));
        for key in ["loss", "grad_norm", "learning_rate", "images_per_second"] {
            assert!(line[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {line}");
        }
    }
    let environment: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(run.join("environment.json")).unwrap()).unwrap();
    for key in ["version", "revision", "backends", "cpu_features", "backend", "threads"] {
        assert!(!environment[key].is_null(), "{key} in {environment}");
    }
    // The configuration is complete: the same run again from the file alone.
    let config = run.join("config.toml");
    succeed(dir.path(), &["train", "--config", config.to_str().unwrap(), "--out", "runs/again"]);
    assert!(weights(&run) == weights(&dir.path().join("runs/again")), "the file does not say everything");
}

/// A run of 6 steps, and one that is told to stop at its third, by a signal, and then goes on.
#[cfg(unix)]
#[test]
fn stopping_by_a_signal_and_resuming_gives_the_same_weights_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let steps = ["--steps", "40", "--checkpoint-every", "1000", "--sample-every", "0", "--set", "model.dropout=0.1"];
    let whole = train_tiny(dir.path(), "whole", &steps);
    for signal in ["-INT", "-TERM"] {
        let name = format!("stopped{signal}");
        let out = format!("runs/{name}");
        let mut child = sfumato(dir.path())
            .args(["train", "--out", &out])
            .args(TINY)
            .args(steps)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let root = dir.path().join(&out);
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_to_string(root.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
            assert!(Instant::now() < deadline, "no steps in a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
        assert!(said.contains(&format!("--resume {out}")), "{said}");
        let done = metrics(&root).len();
        assert!((3..40).contains(&done), "it was to stop in the middle, and has done {done} steps");
        succeed(dir.path(), &["train", "--resume", &out]);
        assert!(weights(&root) == weights(&whole), "{signal}: other weights");
        let steps: Vec<u64> = metrics(&root).iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=40).collect::<Vec<_>>(), "every step stands once in the metrics");
    }
}

#[test]
fn a_run_that_lost_its_last_steps_resumes_from_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train_tiny(dir.path(), "whole", &["--steps", "5", "--sample-every", "0"]);
    let cut = train_tiny(dir.path(), "cut", &["--steps", "3", "--sample-every", "0"]);
    // As after a crash: lines of steps that no checkpoint has, the last one torn.
    let mut log = fs::read_to_string(cut.join("metrics.jsonl")).unwrap();
    let line = log.lines().last().unwrap().replace("\"step\":3", "\"step\":4");
    log.push_str(&format!("{line}\n{{\"step\":5,\"exam"));
    fs::write(cut.join("metrics.jsonl"), log).unwrap();
    succeed(dir.path(), &["train", "--resume", "runs/cut", "--steps", "5"]);
    assert!(weights(&cut) == weights(&whole));
    assert_eq!(metrics(&cut).len(), 5);
}

#[test]
fn the_time_limit_ends_a_run_with_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let out = "runs/short";
    let args: Vec<&str> = ["train", "--out", out]
        .iter()
        .chain(TINY)
        .chain(&["--steps", "100000", "--max-minutes", "0.01"])
        .copied()
        .collect();
    let said = stderr(&succeed(dir.path(), &args));
    assert!(said.contains("time is up") && said.contains("--resume runs/short"), "{said}");
    assert!(dir.path().join(out).join("model/unet/config.json").is_file());
}

#[test]
fn old_checkpoints_are_removed_and_the_newest_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(
        dir.path(),
        "a",
        &["--steps", "6", "--checkpoint-every", "1", "--sample-every", "0", "--set", "training.keep_checkpoints=2"],
    );
    let mut names: Vec<_> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["step-0000005", "step-0000006"]);
}

#[test]
fn a_class_conditional_model_is_trained_and_draws_the_class_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = train_tiny(dir.path(), "classes", &["--steps", "2", "--class-conditional"]);
    let model = run_dir.join("model");
    let model = model.to_str().unwrap();
    let sample = |out: &str, args: &[&str]| {
        let args: Vec<&str> = ["sample", "--model", model, "--num", "2", "--steps", "2", "--out", out]
            .iter()
            .chain(args)
            .copied()
            .collect();
        succeed(dir.path(), &args);
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    // After two steps the class embeddings already differ, being random.
    assert_ne!(sample("a", &["--class", "3"]), sample("b", &["--class", "4"]));
    assert_ne!(sample("c", &["--class", "3", "--guidance", "3"]), sample("d", &["--class", "3"]));
    assert_eq!(sample("e", &["--class", "3", "--guidance", "1"]), sample("f", &["--class", "3"]));
    let said = fail(dir.path(), 1, &["sample", "--model", model, "--class", "10", "--out", "g"]);
    assert!(said.contains("10") && said.contains("0 to 9"), "{said}");
}

#[test]
fn the_default_name_of_a_run_is_the_next_free_one() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["train", "--steps", "1", "--sample-every", "0"].iter().chain(TINY).copied().collect();
    assert_eq!(stdout(&succeed(dir.path(), &args)).trim(), "runs/fashion-mnist-mini");
    assert_eq!(stdout(&succeed(dir.path(), &args)).trim(), "runs/fashion-mnist-mini-2");
}

#[test]
fn every_preset_is_a_valid_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for preset in sfumato_train::PRESETS {
        let config = stdout(&succeed(dir.path(), &["train", "--preset", preset.name, "--print-config"]));
        fs::write(dir.path().join("config.toml"), &config).unwrap();
        let again = stdout(&succeed(dir.path(), &["train", "--config", "config.toml", "--print-config"]));
        assert_eq!(config, again, "{} does not survive being written and read", preset.name);
    }
    let overridden =
        stdout(&succeed(dir.path(), &["train", "--set", "optimizer.ema_decay=0.5", "--steps", "7", "--print-config"]));
    assert!(overridden.contains("ema_decay = 0.5") && overridden.contains("steps = 7"), "{overridden}");
    assert!(run(dir.path(), &["train", "--help"]).status.success());
}
