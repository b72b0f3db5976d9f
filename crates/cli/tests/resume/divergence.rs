//! Going on after a divergence.

use std::fs;

use crate::{
    common::{TINY, fail, stderr, succeed},
    tools::{QUIET, contains_all},
};

#[test]
fn after_a_divergence_the_run_goes_on_with_a_lower_rate() {
    let dir = tempfile::tempdir().unwrap();
    let wild = ["--set", "optimizer.learning_rate=10000", "--set", "optimizer.clip_norm=0", "--steps", "400"];
    let args: Vec<&str> = ["train", "--out", "runs/d"]
        .iter()
        .chain(TINY)
        .chain(&wild)
        .chain(&["--checkpoint-every", "1"])
        .chain(&QUIET)
        .copied()
        .collect();
    let said = fail(dir.path(), 1, &args);
    contains_all(&said, &["diverged at step", "is kept", "sfumato train --resume runs/d --learning-rate 2e-4"]);
    let root = dir.path().join("runs/d");
    let newest = fs::read_link(root.join("model")).unwrap();
    for file in ["training/weights.safetensors", "training/optimizer.safetensors"] {
        let tensors = sfumato_model::tensor_file::read_tensors(&root.join(&newest).join(file)).unwrap();
        assert!(tensors.iter().flat_map(|tensor| &tensor.values).all(|value| value.is_finite()), "{file}");
    }
    let step: u64 = newest.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    contains_all(&said, &[&format!("Step {step} is kept")]);
    let steps = (step + 5).to_string();
    let said =
        stderr(&succeed(dir.path(), &["train", "--resume", "runs/d", "--learning-rate", "1e-4", "--steps", &steps]));
    contains_all(
        &said,
        &["optimizer.learning_rate: 10000.0 so far, 0.0001 from here on", &format!("config-{step:07}.toml")],
    );
}

#[test]
fn a_divergence_that_spoils_the_only_checkpoint_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let wild =
        ["--learning-rate", "1e20", "--set", "optimizer.clip_norm=0", "--steps", "50", "--checkpoint-every", "1"];
    let args: Vec<&str> = ["train", "--out", "runs/d"].iter().chain(TINY).chain(&wild).chain(&QUIET).copied().collect();
    let said = fail(dir.path(), 1, &args);
    contains_all(
        &said,
        &["Step 1 is kept, but its weights are what diverged", "--config runs/d/config.toml", "--out runs/d-2"],
    );
    let way_out =
        ["train", "--config", "runs/d/config.toml", "--learning-rate", "2e-4", "--out", "runs/d-2", "--steps", "3"];
    succeed(dir.path(), &way_out);
}

#[test]
fn a_divergence_before_the_first_checkpoint_does_not_speak_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["train", "--out", "runs/d", "--learning-rate", "1e30", "--steps", "50"]
        .iter()
        .chain(TINY)
        .chain(&QUIET)
        .copied()
        .collect();
    let said = fail(dir.path(), 1, &args);
    contains_all(
        &said,
        &["diverged at step", "No checkpoint was written", "sfumato train --resume runs/d --learning-rate 2e-4"],
    );
    assert!(!said.contains("is kept"), "{said}");
    // The way out that it names works.
    succeed(dir.path(), &["train", "--resume", "runs/d", "--learning-rate", "2e-4", "--steps", "3"]);
}
