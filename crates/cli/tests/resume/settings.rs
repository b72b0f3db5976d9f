//! Going on with other settings.

use std::fs;

use crate::{
    common::{fail, learned, stderr, succeed, train_tiny},
    tools::{QUIET, contains_all, contents, copy, metrics, rates},
};

#[test]
fn more_steps_after_a_cosine_say_what_the_learning_rate_does() {
    let dir = tempfile::tempdir().unwrap();
    let cosine = ["--set", "optimizer.decay=cosine", "--set", "optimizer.learning_rate=1e-3"];
    let root = train_tiny(dir.path(), "c", &[&["--steps", "40"][..], &cosine, &QUIET].concat());
    let anew = dir.path().join("runs/anew");
    copy(&root, &anew, true);
    let stays = dir.path().join("runs/stays");
    copy(&root, &stays, true);

    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/c", "--steps", "80"]));
    let rate = rates(&root);
    contains_all(
        &said,
        &[
            &format!("warning: learning rate: {:.1e} at step 40, {:.1e} at step 41", rate[39], rate[40]),
            "--learning-rate X",
            "decay=constant",
            "not those of a run that was never stopped",
        ],
    );
    assert!(rate[40] > 4e-4);
    assert!(fs::read_to_string(root.join("config-0000040.toml")).unwrap().contains("steps = 40\n"));
    assert!(fs::read_to_string(root.join("config.toml")).unwrap().contains("steps = 80\n"));

    let said =
        stderr(&succeed(dir.path(), &["train", "--resume", "runs/anew", "--steps", "80", "--learning-rate", "2e-4"]));
    contains_all(&said, &["at step 40, 2.0e-4 at step 41"]);
    let rate = rates(&anew);
    assert!(rate[40] > 1.99e-4 && rate[40] <= 2e-4, "no warm-up again: {}", rate[40]);
    assert!(rate[40..].windows(2).all(|pair| pair[1] < pair[0]) && rate[79] < 1e-6, "it falls anew");

    // Its configuration starts a new run at its first step.
    let again = ["train", "--config", "runs/anew/config.toml", "--out", "runs/again", "--steps", "3"];
    succeed(dir.path(), &again);
    assert!(rates(&dir.path().join("runs/again")).iter().all(|rate| *rate > 0.0));
    assert!(!fs::read_to_string(dir.path().join("runs/again/config.toml")).unwrap().contains("start_step"));

    let constant = ["--learning-rate", "2e-4", "--set", "optimizer.decay=constant"];
    succeed(dir.path(), &[&["train", "--resume", "runs/stays", "--steps", "80"][..], &constant].concat());
    assert!(rates(&stays)[40..].iter().all(|rate| *rate == 2e-4), "it stays");
}

#[test]
fn other_settings_make_a_section_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "4"][..], &QUIET].concat());
    let by_hand = dir.path().join("runs/by-hand");
    copy(&root, &by_hand, true);
    let args = ["train", "--resume", "runs/x", "--steps", "8", "--batch-size", "4", "--set", "optimizer.ema_decay=0.9"];
    let said = stderr(&succeed(dir.path(), &[&args[..], &["--seed", "5", "--flip"]].concat()));
    contains_all(
        &said,
        &[
            "training.batch_size: 8 so far, 4 from here on",
            "optimizer.ema_decay: 0.999 so far, 0.9 from here on",
            "seed: 0 so far, 5 from here on",
            "data.flip: false so far, true from here on",
            "config-0000004.toml",
            "not those of a run that was never stopped",
        ],
    );
    let (first, second) = (fs::read_to_string(root.join("config-0000004.toml")).unwrap(), root.join("config.toml"));
    assert!(first.contains("batch_size = 8") && fs::read_to_string(second).unwrap().contains("batch_size = 4"));
    // The place in the data is counted in examples.
    let examples: Vec<u64> = metrics(&root).iter().map(|line| line["examples"].as_u64().unwrap()).collect();
    assert_eq!(examples, [8, 16, 24, 32, 36, 40, 44, 48]);
    // Going on again without other settings is exact, and makes no new section.
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", "9"]));
    assert!(!said.contains("not those of") && !said.contains("seed:"), "{said}");
    assert!(!root.join("config-0000008.toml").exists(), "more steps at a constant rate are no other settings");

    // The same by an edited file.
    let file = by_hand.join("config.toml");
    let edited = fs::read_to_string(&file).unwrap();
    let edited = edited.replace("batch_size = 8", "batch_size = 4").replace("ema_decay = 0.999", "ema_decay = 0.9");
    let edited = edited
        .replace("seed = 0", "seed = 5")
        .replace("flip = false", "flip = true")
        .replace("steps = 4\n", "steps = 8\n");
    fs::write(&file, edited).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/by-hand"]));
    contains_all(&said, &["training.batch_size: 8 so far, 4 from here on", "config-0000004.toml"]);
    assert!(learned(&by_hand, 8) == learned(&root, 8));
}

#[test]
fn what_the_weights_mean_stays() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "2"][..], &QUIET].concat());
    let before = contents(&root);
    for (set, key) in [
        ("model.channels=[8, 32]", "model.channels"),
        ("model.groups=2", "model.groups"),
        ("model.class_conditional=true", "model.class_conditional"),
        ("diffusion.schedule.steps=500", "diffusion.schedule.steps"),
        ("diffusion.parameterization=v", "diffusion.parameterization"),
    ] {
        let said = fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "4", "--set", set]);
        contains_all(&said, &[key, "cannot change while a run goes on"]);
    }
    assert!(contents(&root) == before, "nothing is written before it is known that the run can go on");
    fail(dir.path(), 2, &["train", "--resume", "runs/x", "--image-size", "32"]);
}
