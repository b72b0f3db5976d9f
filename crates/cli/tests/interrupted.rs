//! Runs that were interrupted in the middle of something: damaged checkpoints, leftovers, two processes, half a line.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use common::{POINTS, fail, failure, learned, sfumato, stderr, succeed};

/// `train ARGS… --out NAME`
fn train(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    succeed(dir, &[&["train", "--out", name], POINTS, args].concat());
    dir.join(name)
}

/// The lines of `metrics.jsonl` without what time decides.
fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |text: &str| {
        let mut line: serde_json::Value = serde_json::from_str(text).unwrap();
        for name in ["seconds", "images_per_second"] {
            line[name] = 0.into();
        }
        line
    };
    text.lines().map(line).collect()
}

/// The names in a directory, hidden ones too.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_the_bits_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train(dir.path(), "whole", &["--steps", "9", "--checkpoint-every", "3"]);
    let newest = "checkpoints/step-0000006";
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);
    let damages: &[Damage] = &[
        (
            "truncated",
            &|dir| {
                let file = fs::OpenOptions::new().write(true).open(dir.join("training/weights.safetensors")).unwrap();
                file.set_len(100).unwrap();
            },
            "training/weights.safetensors",
        ),
        ("missing", &|dir| fs::remove_file(dir.join("training/optimizer.safetensors")).unwrap(), "optimizer"),
        ("shortened", &|dir| fs::write(dir.join("training/data.json"), "{").unwrap(), "training/data.json"),
        ("empty", &|dir| fs::write(dir.join("training/state.json"), "").unwrap(), "training/state.json"),
        (
            "another-byte",
            &|dir| {
                let path = dir.join("unet/diffusion_pytorch_model.safetensors");
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(&path, bytes).unwrap();
            },
            "unet/diffusion_pytorch_model.safetensors",
        ),
    ];
    for (name, damage, named) in damages {
        let run = train(dir.path(), name, &["--steps", "6", "--checkpoint-every", "3"]);
        damage(&run.join(newest));
        let said = stderr(&succeed(dir.path(), &["train", "--resume", name, "--steps", "9"]));
        let expected = ["is that of step 3", "resuming from step 3", "checkpoints/damaged-step-0000006", named];
        for part in expected {
            assert!(said.contains(part), "{name}: '{part}' is not in:\n{said}");
        }
        // Its cosine was over at step 6, so that only its first part is that of a longer run.
        let again = train(dir.path(), &format!("{name}-undamaged"), &["--steps", "6", "--checkpoint-every", "3"]);
        succeed(
            dir.path(),
            &["train", "--resume", &format!("{name}-undamaged/checkpoints/step-0000003"), "--steps", "9"],
        );
        assert_eq!(learned(&run, 9), learned(&again, 9), "{name}");
        assert_eq!(learned(&run, 3), learned(&whole, 3).clone(), "{name}");
        assert_eq!(metrics(&run), metrics(&again), "{name}");
    }
    // Asked for by its name, a damaged checkpoint is an error with a way out.
    let run = train(dir.path(), "named", &["--steps", "6", "--checkpoint-every", "3"]);
    fs::write(run.join(newest).join("training/weights.safetensors"), "x").unwrap();
    let said = fail(dir.path(), 1, &["train", "--resume", &format!("named/{newest}"), "--steps", "9"]);
    assert!(said.contains("step-0000006/training/weights.safetensors: it is damaged"), "{said}");
    assert!(said.contains("sfumato train --resume named/checkpoints/step-0000003"), "{said}");
    // None is left: what is wrong with each is said, and nothing is renamed.
    fs::write(run.join("checkpoints/step-0000003/training/weights.safetensors"), "x").unwrap();
    let said = fail(dir.path(), 1, &["train", "--resume", "named", "--steps", "9"]);
    assert!(said.contains("none of its checkpoints is complete") && said.matches("damaged:").count() == 2, "{said}");
    assert_eq!(names(&run.join("checkpoints")), ["step-0000003", "step-0000006"]);
}

#[test]
fn leftovers_of_an_interruption_are_put_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train(dir.path(), "whole", &["--steps", "6", "--checkpoint-every", "3"]);
    let run = train(dir.path(), "run", &["--steps", "3", "--set", "held_out.every=3"]);
    let checkpoints = run.join("checkpoints");
    for name in [".config.toml.77.tmp", ".metrics.jsonl.78.tmp", "samples/.sfumato-AbCdEf"] {
        fs::write(run.join(name), "half").unwrap();
    }
    fs::create_dir_all(checkpoints.join(".partial-step-0000006/unet")).unwrap();
    #[cfg(unix)]
    for link in [".model-new", ".best-new"] {
        std::os::unix::fs::symlink("checkpoints/step-0000009", run.join(link)).unwrap();
    }
    // Killed between the two renames of a checkpoint that takes the place of another.
    fs::rename(checkpoints.join("step-0000003"), checkpoints.join(".replaced-step-0000003")).unwrap();
    // What looks similar and is the user's stays.
    fs::write(run.join(".config.toml.bak"), "mine").unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run", "--steps", "6", "--checkpoint-every", "3"]));
    assert!(said.contains("resuming from step 3"), "{said}");
    let expected = [
        ".config.toml.bak",
        "best",
        "checkpoints",
        "config-0000003.toml",
        "config.toml",
        "environment.json",
        "metrics.jsonl",
    ];
    let found = names(&run);
    assert_eq!(found[..7], expected, "{found:?}");
    assert_eq!(names(&checkpoints), ["step-0000003", "step-0000006"]);
    assert!(!names(&run.join("samples")).iter().any(|name| name.starts_with('.')));
    assert_eq!(learned(&whole, 3).len(), learned(&run, 3).len());
}

#[cfg(unix)]
#[test]
fn a_link_that_could_not_be_made_is_made_when_the_run_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path(), "run", &["--steps", "6", "--checkpoint-every", "3"]);
    fs::remove_file(run.join("model")).unwrap();
    std::os::unix::fs::symlink("checkpoints/step-0000003", run.join("model")).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run"]));
    assert!(said.contains("has done all of its 6 steps"), "{said}");
    assert_eq!(fs::read_link(run.join("model")).unwrap(), Path::new("checkpoints/step-0000006"));
}

#[test]
fn a_start_that_was_killed_can_be_started_or_resumed_again() {
    let dir = tempfile::tempdir().unwrap();
    // Before config.toml: as if nothing had happened.
    let early = dir.path().join("early");
    for name in ["checkpoints", "samples"] {
        fs::create_dir_all(early.join(name)).unwrap();
    }
    fs::write(early.join(".config.toml.5.tmp"), "seed = 0").unwrap();
    fs::write(early.join(".lock"), "process 5\n").unwrap();
    train(dir.path(), "early", &["--steps", "2"]);
    assert!(!names(&early).iter().any(|name| name.starts_with('.')), "{:?}", names(&early));
    // After it: --out names the way out, which works.
    let late = train(dir.path(), "late", &["--steps", "2"]);
    fs::remove_dir_all(late.join("checkpoints")).unwrap();
    fs::remove_file(late.join("model")).unwrap();
    let said = fail(dir.path(), 1, &[&["train", "--out", "late"], POINTS].concat());
    assert!(said.contains("--resume late"), "{said}");
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "late"]));
    assert!(said.contains("no checkpoint yet: it starts at step 1"), "{said}");
    assert_eq!(learned(&early, 2), learned(&late, 2));
    assert_eq!(metrics(&early), metrics(&late));
}

/// Starts the program and waits until it has a checkpoint.
fn start(dir: &Path, run: &str, args: &[&str]) -> Child {
    let mut child = sfumato(dir).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !dir.join(run).join("model/training/checksums.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "{args:?} has ended");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn the_second_process_hears_who_holds_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let long = [&["train", "--out", "run", "--steps", "100000000", "--checkpoint-every", "5"], POINTS].concat();
    let mut first = start(dir.path(), "run", &long);
    let holder = format!("run is being written by process {}", first.id());
    for args in [
        &["train", "--resume", "run"][..],
        &["train", "--resume", "run/model"],
        &[&["train", "--out", "run"], POINTS].concat(),
    ] {
        let said = failure(&sfumato(dir.path()).args(args).output().unwrap(), 1, args);
        assert!(said.contains(&holder), "{args:?}: {said}");
    }
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    // A crash leaves no lock behind.
    first.kill().unwrap();
    first.wait().unwrap();
    // The newest checkpoint is what a run resumes from; the link `model` may not have followed it when the run was killed.
    let state = |name: &String| dir.path().join("run/checkpoints").join(name).join("training/state.json");
    let newest = names(&dir.path().join("run/checkpoints"))
        .into_iter()
        .filter(|name| name.starts_with("step-") && state(name).exists())
        .max();
    let state = fs::read_to_string(state(&newest.unwrap())).unwrap();
    let step = serde_json::from_str::<serde_json::Value>(&state).unwrap()["step"].as_u64().unwrap();
    let steps = (step + 3).to_string();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run", "--steps", &steps]));
    assert!(said.contains(&format!("resuming from step {step}")), "{said}");
    assert!(!names(&dir.path().join("run")).contains(&".lock".to_owned()));
}

#[test]
fn of_two_that_start_together_one_runs() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let name = format!("run-{round}");
        // Half of the time under a name of the program's own, where both run.
        let out = ["--out", name.as_str()];
        let named = round % 2 == 0;
        let args = [&["train", "--steps", "3"][..], POINTS, if named { &out } else { &[] }].concat();
        let start = || sfumato(dir.path()).args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
        let won = both.iter().filter(|output| output.status.success()).count();
        assert_eq!(won, if named { 1 } else { 2 }, "{:?}", both.each_ref().map(stderr));
        if named {
            let lost = both.iter().find(|output| !output.status.success()).unwrap();
            let said = failure(lost, 1, &args);
            assert!(said.contains("is being written by") || said.contains("already holds a run"), "{said}");
            assert_eq!(metrics(&dir.path().join(&name)).last().unwrap()["step"], 3);
        }
    }
    assert_eq!(names(&dir.path().join("runs")).len(), 6);
}

#[test]
fn metrics_do_not_depend_on_where_a_run_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--steps", "20", "--checkpoint-every", "3", "--set", "training.log_every=4"];
    let keep = ["--set", "training.keep_checkpoints=0"];
    let run = train(dir.path(), "run", &[&args[..], &keep].concat());
    let expected = metrics(&run);
    assert_eq!(expected.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 8, 12, 16, 20]);
    let weights = learned(&run, 20);
    // As if it had been killed after each of its checkpoints.
    for step in [3, 6, 9, 15, 18] {
        for later in (step + 1..=20).map(|step| run.join(format!("checkpoints/step-{step:07}"))) {
            let _ = fs::remove_dir_all(later);
        }
        succeed(dir.path(), &["train", "--resume", "run"]);
        assert_eq!(metrics(&run), expected, "from step {step}");
        assert_eq!(learned(&run, 20), weights);
    }
}

#[test]
fn a_damaged_line_of_metrics_costs_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path(), "run", &["--steps", "6", "--set", "training.log_every=1"]);
    let path = run.join("metrics.jsonl");
    let mut lines: Vec<Vec<u8>> =
        fs::read(&path).unwrap().split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    lines[1] = b"\xff\xfe no text\n".to_vec();
    lines[3] = b"{\"step\": 4, \"lo\n".to_vec();
    let damaged = lines.concat();
    fs::write(&path, &damaged).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "run", "--steps", "8"]));
    assert!(said.contains("2 damaged lines are left out (the first is line 2)"), "{said}");
    let steps: Vec<u64> = metrics(&run).iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [1, 3, 5, 6, 7, 8]);
    assert_eq!(fs::read(run.join("metrics.jsonl.damaged")).unwrap(), damaged);
}
