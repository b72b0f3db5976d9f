//! The same bits on every number of ranks.

use std::{fs, path::Path};

use super::job::succeed;
use crate::common::{self, BY_SHARD, POINTS, TINY, contains, learned, numbers, stderr};

/// A batch that no number of ranks divides, and scores meanwhile.
const ODD: &[&str] = &[
    "--held-out",
    "0.1",
    "--set",
    "held_out.every=10",
    "--set",
    "held_out.examples=3",
    "--batch-size",
    "13",
    "--shards",
    "6",
];

/// What a checkpoint has beside its weights.
fn beside(run: &Path, step: u64) -> Vec<Vec<u8>> {
    let dir = run.join(format!("checkpoints/step-{step:07}/training"));
    ["averages.safetensors", "times.json"].map(|file| fs::read(dir.join(file)).unwrap()).into()
}

fn train<'a>(out: &'a str, steps: &'a str) -> Vec<&'a str> {
    [&["train", "--out", out, "--steps", steps], TINY, BY_SHARD, ODD].concat()
}

#[test]
fn weights_averages_and_metrics_have_the_same_bits_on_every_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    common::succeed(root, &train("alone", "50"));
    let expected = root.join("alone");
    for ranks in ["1", "2", "3", "4", "6", "8"] {
        let said = stderr(&succeed(root, ranks, &train(ranks, "50")));
        let run = root.join(ranks);
        assert!(learned(&run, 50) == learned(&expected, 50), "{ranks} ranks");
        assert!(beside(&run, 50) == beside(&expected, 50), "{ranks} ranks");
        assert_eq!(numbers(&run), numbers(&expected), "{ranks} ranks");
        assert_eq!(said.matches("done: 50 steps").count(), 1, "{said}");
        if ranks == "4" {
            contains(&said, &["on each of 4 ranks", "6 shards are not a multiple of 4 ranks", "waiting for others"]);
        }
    }
    // One stops and another number goes on.
    succeed(root, "4", &train("both", "30"));
    let said = stderr(&succeed(root, "3", &["train", "--resume", "both", "--steps", "50"]));
    assert!(!said.contains("not those of a run"), "{said}");
    assert!(learned(&root.join("both"), 50) == learned(&expected, 50));
    assert_eq!(numbers(&root.join("both")), numbers(&expected));
}

#[test]
fn points_train_and_ranks_without_a_shard_wait() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let args = |out| [&["train", "--out", out, "--steps", "5", "--shards", "2"], POINTS].concat();
    common::succeed(root, &args("alone"));
    let said = stderr(&succeed(root, "3", &args("three")));
    contains(&said, &["a batch has 2 shards, so that 1 of 3 ranks have nothing to compute; --shards 4"]);
    assert!(learned(&root.join("three"), 5) == learned(&root.join("alone"), 5));
}
