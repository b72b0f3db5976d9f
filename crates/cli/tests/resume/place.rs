//! Which checkpoint a run goes on from, wherever the run was moved.

use std::{fs, path::Path};

use crate::{
    common::{fail, learned, run, stderr, succeed, train_tiny},
    tools::{QUIET, contains_all, contents, copy, metrics},
};

/// What became of a copy of a run, and what is said when it goes on.
#[cfg(unix)]
struct Case {
    name: &'static str,
    /// Takes the run that was copied, and the copy.
    harm: fn(&Path, &Path),
    /// Whether the copy's link leads to its newest checkpoint in the end.
    linked: bool,
    /// What of the copy `--resume` names.
    named_by: &'static str,
    said: &'static [&'static str],
}

/// Makes the copy again, with the link's target in the place of the link.
#[cfg(unix)]
fn real(base: &Path, run: &Path) {
    fs::remove_dir_all(run).unwrap();
    copy(base, run, true);
}

#[cfg(unix)]
const CASES: [Case; 10] = [
    Case { name: "copied-with-its-links-followed", harm: real, ..WHOLE },
    Case { name: "without-the-link", harm: |_, run| fs::remove_file(run.join("model")).unwrap(), ..WHOLE },
    Case { name: "named-by-its-link", named_by: "/model", ..WHOLE },
    Case { name: "named-by-its-configuration", named_by: "/config.toml", ..WHOLE },
    Case { name: "named-by-a-checkpoint", named_by: "/checkpoints/step-0000004", ..WHOLE },
    Case {
        name: "link-that-cannot-be-made",
        harm: |_, run| fs::create_dir_all(run.join(".model-new/x")).unwrap(),
        linked: false,
        said: &["warning: cannot make the link", "runs/link-that-cannot-be-made/model"],
        ..WHOLE
    },
    Case {
        name: "link-that-an-archive-made-a-file",
        harm: |_, run| {
            fs::remove_file(run.join("model")).unwrap();
            fs::write(run.join("model"), "checkpoints/step-0000004").unwrap();
        },
        ..WHOLE
    },
    Case {
        name: "model-of-the-user",
        harm: |base, run| {
            real(base, run);
            fs::write(run.join("model/notes.txt"), "mine").unwrap();
        },
        linked: false,
        said: &["model is a directory that is no copy of a checkpoint", "left as it is"],
        ..WHOLE
    },
    Case {
        name: "checkpoints-lost-but-the-model",
        harm: |base, run| {
            real(base, run);
            fs::remove_dir_all(run.join("checkpoints")).unwrap();
        },
        linked: false,
        said: &["left as it is"],
        ..WHOLE
    },
    Case { name: "configuration-lost", harm: |_, run| fs::remove_file(run.join("config.toml")).unwrap(), ..WHOLE },
];

/// A copy that goes on as if nothing had happened.
#[cfg(unix)]
const WHOLE: Case = Case { name: "", harm: |_, _| (), linked: true, named_by: "", said: &[] };

#[cfg(unix)]
#[test]
fn a_run_goes_on_wherever_it_was_copied_and_whatever_became_of_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let base = train_tiny(dir.path(), "base", &[&["--steps", "4", "--checkpoint-every", "2"][..], &QUIET].concat());
    let whole = dir.path().join("runs/whole");
    copy(&base, &whole, false);
    succeed(dir.path(), &["train", "--resume", "runs/whole", "--steps", "8"]);
    let newest = Path::new("checkpoints/step-0000008");
    for Case { name, harm, linked, named_by, said } in CASES {
        let moved = dir.path().join("runs").join(name);
        copy(&base, &moved, false);
        harm(&base, &moved);
        let output = succeed(dir.path(), &["train", "--resume", &format!("runs/{name}{named_by}"), "--steps", "8"]);
        let stderr = stderr(&output);
        contains_all(&stderr, said);
        assert_eq!(stderr.matches("warning: ").count(), usize::from(!linked), "{name}: once:\n{stderr}");
        assert!(learned(&moved, 8) == learned(&whole, 8), "{name}: other weights");
        assert_eq!(fs::read_link(moved.join("model")).ok().as_deref() == Some(newest), linked, "{name}");
        let sample_from = if linked { "model" } else { "checkpoints/step-0000008" };
        contains_all(&stderr, &[&format!("sample --model runs/{name}/{sample_from} ")]);
    }
    let own = dir.path().join("runs/model-of-the-user/model/notes.txt");
    assert_eq!(fs::read_to_string(own).unwrap(), "mine", "what is the user's stays");
}

#[test]
fn the_newest_complete_checkpoint_counts_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "2"][..], &QUIET].concat());
    let checkpoints = root.join("checkpoints");
    // As text, step-10000000 comes before step-9999999.
    for (step, name) in [(9_999_999, "step-9999999"), (10_000_000, "step-10000000")] {
        copy(&checkpoints.join("step-0000002"), &checkpoints.join(name), true);
        let state = format!("{{\"step\": {step}, \"examples\": {}, \"seconds\": 1.0}}", 8 * step);
        fs::write(checkpoints.join(name).join("training/state.json"), state).unwrap();
        // As checkpoints of older versions have none.
        fs::remove_file(checkpoints.join(name).join("training/checksums.json")).unwrap();
    }
    // Cut off while it was copied, and a user's own copy.
    copy(&checkpoints.join("step-0000002"), &checkpoints.join("step-20000000"), true);
    fs::remove_file(checkpoints.join("step-20000000/training/state.json")).unwrap();
    copy(&checkpoints.join("step-0000002"), &checkpoints.join("step-0000002-best"), true);
    let said = stderr(&succeed(
        dir.path(),
        &["train", "--resume", "runs/x", "--steps", "10000001", "--set", "training.keep_checkpoints=2"],
    ));
    contains_all(&said, &["resuming from step 10000000", "checkpoints/step-10000001"]);
    let mut names: Vec<_> = fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["damaged-step-20000000", "step-0000002-best", "step-10000000", "step-10000001"]);
}

#[test]
fn what_is_no_run_is_told_apart_from_a_run_without_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "2"][..], &QUIET].concat());
    let resume = |path: &str| fail(dir.path(), 1, &["train", "--resume", path, "--steps", "4"]);
    contains_all(&resume("runs/nowhere"), &["runs/nowhere", "does not exist", "looked for in"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    contains_all(&resume("empty"), &["empty", "config.toml"]);
    copy(&root.join("checkpoints/step-0000002"), &dir.path().join("alone"), true);
    contains_all(&resume("alone"), &["outside of a run", "--resume RUN"]);
    // An incomplete checkpoint is named with what it lacks; nobody is told to start again.
    fs::remove_file(root.join("checkpoints/step-0000002/training/optimizer.safetensors")).unwrap();
    let said = resume("runs/x");
    contains_all(&said, &["step-0000002", "lacks training/optimizer.safetensors"]);
    assert!(!said.contains("start it again"), "{said}");
    fs::remove_dir_all(root.join("checkpoints/step-0000002")).unwrap();
    contains_all(&resume("runs/x"), &["checkpoints are gone"]);
}

#[test]
fn a_run_that_has_no_checkpoint_yet_starts_at_its_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train_tiny(dir.path(), "whole", &[&["--steps", "3"][..], &QUIET].concat());
    let stopped = dir.path().join("runs/stopped");
    for made in ["checkpoints", "samples"] {
        fs::create_dir_all(stopped.join(made)).unwrap();
    }
    fs::copy(whole.join("config.toml"), stopped.join("config.toml")).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/stopped"]));
    contains_all(&said, &["has no checkpoint yet", "step 1"]);
    assert!(learned(&stopped, 3) == learned(&whole, 3));
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "4"][..], &QUIET].concat());
    let before = contents(&root);
    let resume = |code: i32, args: &[&str], parts: &[&str]| {
        let args = [&["train", "--resume", "runs/x"], args].concat();
        let output = run(dir.path(), &args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        contains_all(&said, parts);
        assert!(!said.contains("done: "), "{said}");
        assert!(contents(&root) == before, "{args:?} has written");
    };
    resume(0, &[], &["has done all of its 4 steps", "--steps N with N above 4"]);
    resume(0, &["--steps", "4"], &["has done all of its 4 steps"]);
    resume(2, &["--steps", "2"], &["--steps 2", "has done 4 steps already", "N above 4"]);
    resume(2, &["--minutes", "5"], &["--minutes has no effect", "N above 4"]);
    resume(2, &["--learning-rate", "1e-4"], &["--learning-rate has no effect"]);
    let config = fs::read_to_string(root.join("config.toml")).unwrap();
    fs::write(root.join("config.toml"), config.replace("steps = 4\n", "steps = 3\n")).unwrap();
    let before = contents(&root);
    contains_all(&fail(dir.path(), 1, &["train", "--resume", "runs/x"]), &["4 steps already", "training.steps = 3"]);
    assert!(contents(&root) == before);
}

#[test]
fn a_run_can_go_on_from_an_older_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &[&["--steps", "6", "--checkpoint-every", "2"][..], &QUIET].concat());
    let whole = learned(&root, 6);
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/x/checkpoints/step-0000002/", "--steps", "6"]));
    contains_all(&said, &["resuming from step 2", "abandoned-step-0000004", "abandoned-step-0000006"]);
    assert!(learned(&root, 6) == whole);
    assert_eq!(metrics(&root).len(), 6);
}
