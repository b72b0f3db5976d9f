//! Batches in shards through the program: said, kept, resumed to the bit, and refused where they make no sense.

mod common;

use std::{fs, path::Path};

use common::{BY_SHARD, POINTS, contains, fail, learned, metrics, numbers, stderr, stdout, succeed, train_tiny};

#[test]
fn a_run_in_shards_gives_the_same_bits_after_a_stop_and_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let args = |steps: &'static str, threads: &'static str| {
        [BY_SHARD, &["--shards", "3", "--steps", steps, "--threads", threads]].concat()
    };
    let whole = train_tiny(dir.path(), "whole", &args("14", "2"));
    let stopped = train_tiny(dir.path(), "stopped", &args("9", "1"));
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/stopped", "--steps", "14", "--threads", "1"]));
    contains(&said, &["length     14 steps of 8 examples in 3 shards,"]);
    assert!(!said.contains("not those of a run"), "{said}");
    assert!(learned(&whole, 14) == learned(&stopped, 14));
    assert_eq!(numbers(&whole), numbers(&stopped));
    assert_eq!(metrics(&whole)[13]["examples"], 14 * 8);
    assert!(fs::read_to_string(whole.join("config.toml")).unwrap().contains("shards = 3\n"));
    // As in one piece, up to rounding that a few steps of Adam have made larger.
    let piece = train_tiny(
        dir.path(),
        "piece",
        &args("14", "2").into_iter().map(|x| if x == "3" { "1" } else { x }).collect::<Vec<_>>(),
    );
    let first = |run: &Path, key: &str| metrics(run)[0][key].as_f64().unwrap();
    for key in ["loss", "grad_norm"] {
        let (a, b) = (first(&whole, key), first(&piece, key));
        assert!((a / b - 1.0).abs() < 1e-5, "{key}: {a} and {b}");
    }
    assert!(learned(&whole, 14) != learned(&piece, 14));
}

#[test]
fn one_shard_is_a_run_as_it_always_was() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--steps", "3", "--sample-every", "0"];
    let without = train_tiny(dir.path(), "without", &args);
    let with = train_tiny(dir.path(), "with", &[&args[..], &["--shards", "1"]].concat());
    assert!(learned(&without, 3) == learned(&with, 3));
    let config = |run: &Path| fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(!config(&without).contains("shards"));
    assert_eq!(config(&without), config(&with));
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/with", "--steps", "4"]));
    assert!(said.contains("steps of 8 examples,") && !said.contains("shards"), "{said}");
}

#[test]
fn other_shards_from_here_on_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "x", &["--steps", "2", "--sample-every", "0"]);
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", "4", "--shards", "4"]));
    contains(&said, &["training.shards: 1 so far, 4 from here on", "not those of a run that was never stopped"]);
    assert_eq!(metrics(&run).len(), 4);
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", "5", "--shards", "1"]));
    contains(&said, &["training.shards: 4 so far, 1 from here on"]);
    contains(&fail(dir.path(), 2, &["train", "--resume", "runs/x", "--shards", "2"]), &["--shards has no effect"]);
}

#[test]
fn points_and_every_number_of_shards_of_a_batch_train() {
    let dir = tempfile::tempdir().unwrap();
    for shards in ["2", "5", "8"] {
        let out = format!("points-{shards}");
        let args = ["train", "--out", &out, "--steps", "3", "--density", "stratified", "--shards", shards];
        succeed(dir.path(), &[&args[..], POINTS].concat());
    }
}

#[test]
fn numbers_of_shards_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let train = |more: &[&'static str]| [&["train", "--out", "x", "--batch-size", "8"], more].concat();
    let said = fail(dir.path(), 1, &train(&["--shards", "9"]));
    contains(&said, &["training.shards must be 1 to 8, the examples of a batch", "training.batch_size", "9"]);
    contains(&fail(dir.path(), 2, &train(&["--shards", "0"])), &["--shards"]);
    contains(&fail(dir.path(), 1, &train(&["--set", "training.shards=0"])), &["training.shards"]);
    contains(&fail(dir.path(), 1, &train(&["--set", "training.shards=-2"])), &["training.shards must be at least 1"]);
    contains(&fail(dir.path(), 1, &train(&["--set", "training.shard=2"])), &["did you mean training.shards?"]);
    assert!(!dir.path().join("x").exists());
    let printed = |more: &[&str]| stdout(&succeed(dir.path(), &[&["train", "--print-config"], more].concat()));
    assert!(printed(&["--shards", "2"]).contains("shards = 2\n") && !printed(&[]).contains("shards"));
}
