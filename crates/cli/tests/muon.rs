//! Runs whose hidden layers are moved by Muon.

mod common;

use std::fs;

use common::{contains, fail, learned, succeed, train_tiny};

const MUON: &[&str] = &["--set", "optimizer.method=muon", "--sample-every", "0"];

#[test]
fn a_run_by_muon_gives_the_same_bits_after_a_stop_and_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let args = |steps: &'static str, threads: &'static str| [MUON, &["--steps", steps, "--threads", threads]].concat();
    let whole = train_tiny(dir.path(), "whole", &args("7", "2"));
    let stopped = train_tiny(dir.path(), "stopped", &args("4", "1"));
    succeed(dir.path(), &["train", "--resume", "runs/stopped", "--steps", "7", "--threads", "1"]);
    assert!(learned(&whole, 7) == learned(&stopped, 7));
    assert!(fs::read_to_string(whole.join("config.toml")).unwrap().contains("method = \"muon\"\n"));
    let by_adam =
        train_tiny(dir.path(), "adam", &["--set", "optimizer.method=adam", "--steps", "7", "--sample-every", "0"]);
    assert!(learned(&whole, 7) != learned(&by_adam, 7));
    assert!(!fs::read_to_string(by_adam.join("config.toml")).unwrap().contains("method"));
}

#[test]
fn the_method_is_one_of_two_and_stays_in_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let said = fail(dir.path(), 1, &["train", "--set", "optimizer.method=sgd", "--print-config"]);
    contains(&said, &["optimizer.method", "sgd", "adam", "muon"]);
    train_tiny(dir.path(), "a", &["--set", "optimizer.method=adam", "--steps", "2", "--sample-every", "0"]);
    let said = fail(dir.path(), 1, &["train", "--resume", "runs/a", "--steps", "4", "--set", "optimizer.method=muon"]);
    contains(&said, &["optimizer.method", "cannot change while a run goes on"]);
}
