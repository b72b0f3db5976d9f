//! A time limit plans the run: it ends annealed, writes down what it planned, and goes on exactly.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{stderr, succeed};

const SETTINGS: &[&str] = &[
    "--preset",
    "swiss-roll",
    "--set",
    "model.hidden=16",
    "--set",
    "model.layers=2",
    "--set",
    "training.keep_checkpoints=0",
    "--set",
    "training.steps=100000000",
    "--set",
    "samples.num=4",
    "--set",
    "samples.steps=2",
    "--sample-every",
    "0",
    "--checkpoint-every",
    "200",
    "--threads",
    "1",
];

fn weights(run: &Path, step: u64) -> Vec<u8> {
    fs::read(run.join(format!("checkpoints/step-{step:07}/training/weights.safetensors"))).unwrap()
}

fn config(run: &Path) -> toml::Table {
    fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

fn checkpoints(run: &Path) -> Vec<u64> {
    let names = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut steps: Vec<u64> =
        names.filter_map(|name| name.to_str().unwrap().strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// Learning rates by step, as they were logged.
fn rates(run: &Path) -> Vec<(u64, f64)> {
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["step"].as_u64().unwrap(), line["learning_rate"].as_f64().unwrap())
    };
    fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(line).collect()
}

fn train(dir: &Path, name: &str, args: &[&str]) -> (PathBuf, String) {
    let said = stderr(&succeed(dir, &[&["train", "--out", name], SETTINGS, args].concat()));
    (dir.join(name), said)
}

#[test]
fn a_run_with_a_time_limit_ends_annealed_and_can_be_repeated_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (run, said) = train(dir.path(), "run", &["--minutes", "0.05"]);
    assert!(said.contains("fit into the time limit") && said.contains("done: "), "{said}");
    let steps = checkpoints(&run);
    let last = *steps.last().unwrap();
    let rates = rates(&run);
    let peak = rates.iter().map(|rate| rate.1).fold(0.0, f64::max);
    let (step, end) = *rates.last().unwrap();
    assert!(step == last && end < 0.02 * peak, "the rate ends at {end} of {peak}");
    let plan = config(&run)["training"]["plan"].as_array().unwrap().clone();
    assert!(plan.len() >= 2 && plan.last().unwrap()["steps"].as_integer() == Some(last as i64), "{plan:?}");

    // Stopped half way and resumed, it does the steps that were planned, whatever time they take.
    let weights_at_the_end = weights(&run, last);
    let half = steps[steps.len() / 2 - 1];
    for step in steps.iter().filter(|step| **step > half) {
        fs::remove_dir_all(run.join(format!("checkpoints/step-{step:07}"))).unwrap();
    }
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run"]));
    assert!(said.contains(&format!("resuming from step {half}")) && !said.contains("changed"), "{said}");
    assert!(weights(&run, last) == weights_at_the_end, "another end after a stop at step {half} of {last}");

    // Its configuration says the same to a new run.
    succeed(dir.path(), &["train", "--config", "run/config.toml", "--out", "again"]);
    assert!(weights(&dir.path().join("again"), last) == weights_at_the_end);

    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run"]));
    assert!(said.contains("has done all of its") && said.contains("or --minutes M, goes on"), "{said}");

    // More time begins a new plan at the full rate, and that is said.
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run", "--minutes", "0.02"]));
    assert!(said.contains("learning rate") && said.contains("fit into the time limit"), "{said}");
    assert!(*checkpoints(&run).last().unwrap() > last);
    assert!(self::rates(&run).last().unwrap().1 < 0.05 * peak);
}

#[test]
fn a_constant_rate_needs_no_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (run, said) = train(dir.path(), "run", &["--minutes", "0.005", "--set", "optimizer.decay=constant"]);
    assert!(said.contains("time is up at step") && !said.contains("plan "), "{said}");
    assert!(config(&run)["training"].get("plan").is_none());
}

#[test]
fn where_all_steps_fit_a_limit_changes_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--set", "training.steps=150"];
    let (limited, said) = train(dir.path(), "limited", &[&few[..], &["--minutes", "60"]].concat());
    assert!(said.contains("150 steps are done within the time limit"), "{said}");
    let (free, _) = train(dir.path(), "free", &few);
    assert!(weights(&limited, 150) == weights(&free, 150));
    assert_eq!(rates(&limited), rates(&free));
}
