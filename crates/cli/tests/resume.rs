//! Going on with a run: wherever it was moved, with other settings, after a divergence, on data that has changed.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{TINY, fail, learned, run, stderr, stdout, succeed, train_tiny};

const QUIET: [&str; 2] = ["--sample-every", "0"];

fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rates(run: &Path) -> Vec<f64> {
    metrics(run).iter().map(|line| line["learning_rate"].as_f64().unwrap()).collect()
}

/// Copies a directory as `cp -r` does, or as `cp -rL` where `follow` says so.
fn copy(from: &Path, to: &Path, follow: bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_symlink() && !follow {
            #[cfg(unix)]
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), &target).unwrap();
        } else if source.is_dir() {
            copy(&source, &target, follow);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// Every file below `dir` with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(contents(&path)) } else { all.push((path.clone(), fs::read(&path).unwrap())) }
    }
    all.sort();
    all
}

fn contains_all(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
}

fn pictures(dir: &Path, shades: impl IntoIterator<Item = u8>) {
    fs::create_dir_all(dir).unwrap();
    for shade in shades {
        picture(&dir.join(format!("{shade:03}.png")), shade);
    }
}

fn picture(path: &Path, shade: u8) {
    image::GrayImage::from_fn(16, 16, |x, _| image::Luma([shade.wrapping_add(x as u8)])).save(path).unwrap();
}

/// `train ARGS… --out runs/NAME` on `dataset` with a tiny network.
fn train_on(dir: &Path, name: &str, dataset: &str, args: &[&str]) -> PathBuf {
    train_tiny(dir, name, &[&["--dataset", dataset, "--image-size", "16"], args].concat())
}

#[cfg(unix)]
#[test]
fn a_run_goes_on_wherever_it_was_copied_and_whatever_became_of_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let base = train_tiny(dir.path(), "base", &[&["--steps", "4", "--checkpoint-every", "2"][..], &QUIET].concat());
    let whole = dir.path().join("runs/whole");
    copy(&base, &whole, false);
    succeed(dir.path(), &["train", "--resume", "runs/whole", "--steps", "8"]);
    let newest = Path::new("checkpoints/step-0000008");
    type Case<'a> = (&'a str, &'a dyn Fn(&Path), bool, &'a str, &'a [&'a str]);
    let real = |run: &Path| {
        fs::remove_dir_all(run).unwrap();
        copy(&base, run, true);
    };
    let cases: &[Case] = &[
        ("copied-with-its-links-followed", &|run| real(run), true, "", &[]),
        ("without-the-link", &|run| fs::remove_file(run.join("model")).unwrap(), true, "", &[]),
        ("named-by-its-link", &|_| (), true, "/model", &[]),
        ("named-by-its-configuration", &|_| (), true, "/config.toml", &[]),
        ("named-by-a-checkpoint", &|_| (), true, "/checkpoints/step-0000004", &[]),
        (
            "link-that-cannot-be-made",
            &|run| fs::create_dir_all(run.join(".model-new/x")).unwrap(),
            false,
            "",
            &["warning: cannot make the link", "runs/link-that-cannot-be-made/model"],
        ),
        (
            "link-that-an-archive-made-a-file",
            &|run| {
                fs::remove_file(run.join("model")).unwrap();
                fs::write(run.join("model"), "checkpoints/step-0000004").unwrap();
            },
            true,
            "",
            &[],
        ),
        (
            "model-of-the-user",
            &|run| {
                real(run);
                fs::write(run.join("model/notes.txt"), "mine").unwrap();
            },
            false,
            "",
            &["model is a directory that is no copy of a checkpoint", "left as it is"],
        ),
        (
            "checkpoints-lost-but-the-model",
            &|run| {
                real(run);
                fs::remove_dir_all(run.join("checkpoints")).unwrap();
            },
            false,
            "",
            &["left as it is"],
        ),
        ("configuration-lost", &|run| fs::remove_file(run.join("config.toml")).unwrap(), true, "", &[]),
    ];
    for (name, harm, linked, named_by, said) in cases {
        let moved = dir.path().join("runs").join(name);
        copy(&base, &moved, false);
        harm(&moved);
        let output = succeed(dir.path(), &["train", "--resume", &format!("runs/{name}{named_by}"), "--steps", "8"]);
        let stderr = stderr(&output);
        contains_all(&stderr, said);
        assert_eq!(stderr.matches("warning: ").count(), usize::from(!linked), "{name}: once:\n{stderr}");
        assert!(learned(&moved, 8) == learned(&whole, 8), "{name}: other weights");
        assert_eq!(fs::read_link(moved.join("model")).ok().as_deref() == Some(newest), *linked, "{name}");
        let sample_from = if *linked { "model" } else { "checkpoints/step-0000008" };
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

#[test]
fn changed_data_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("f");
    pictures(&folder, (0..8).map(|i| 30 * i));
    let root = train_on(dir.path(), "x", "folder:f", &[&["--steps", "2"][..], &QUIET].concat());
    let go_on = |steps: &str| stderr(&succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", steps]));
    assert!(!go_on("3").contains("warning"), "nothing has changed");
    picture(&folder.join("new.png"), 7);
    contains_all(
        &go_on("4"),
        &["warning: the data has changed: 8 examples then, 9 now", "not as if it had never stopped"],
    );
    assert!(!go_on("5").contains("the data has changed"), "from then on it is the run's data");
    picture(&folder.join("new.png"), 99);
    contains_all(&go_on("6"), &["warning: the data has changed: 9 examples then and now, but not the same ones"]);
    // An older checkpoint, which knows the checksum alone.
    fs::remove_file(root.join("checkpoints/step-0000006/training/data.json")).unwrap();
    fs::remove_file(folder.join("new.png")).unwrap();
    contains_all(&go_on("7"), &["warning: the data has changed"]);
    // Moved elsewhere: what was looked for where, and a way to name the new place.
    fs::rename(&folder, dir.path().join("g")).unwrap();
    let said = fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "8"]);
    contains_all(&said, &["f is not in", "relative paths are looked for", "--dataset"]);
    let moved = ["train", "--resume", "runs/x", "--steps", "8", "--dataset", "folder:g"];
    let said = stderr(&succeed(dir.path(), &moved));
    assert!(!said.contains("the data has changed") && !said.contains("not those of"), "the same pictures:\n{said}");
}

#[test]
fn changed_classes_are_refused_as_classes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("f");
    pictures(&folder.join("ant"), [0, 10]);
    pictures(&folder.join("bee"), [100, 110]);
    train_on(dir.path(), "x", "folder:f", &[&["--steps", "2", "--class-conditional"][..], &QUIET].concat());
    train_on(dir.path(), "without", "folder:f", &[&["--steps", "2"][..], &QUIET].concat());
    let resume = || fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "4"]);
    pictures(&folder.join("cat"), [200, 210]);
    let said = resume();
    contains_all(&said, &["folder:f has 3 classes, the run was started with 2", "ant, bee"]);
    assert!(!said.contains("class_embedding"), "{said}");
    // A model that learns no classes does not mind.
    succeed(dir.path(), &["train", "--resume", "runs/without", "--steps", "4"]);
    fs::remove_dir_all(folder.join("bee")).unwrap();
    contains_all(&resume(), &["2 classes (ant, cat), the run was started with 2 classes (ant, bee)"]);
    assert_eq!(stdout(&run(dir.path(), &["train", "--resume", "runs/x"])).trim(), "runs/x", "all steps are done");
}

#[test]
fn data_of_another_shape_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("f"), [0, 100]);
    train_tiny(dir.path(), "x", &[&["--dataset", "folder:f", "--steps", "2"][..], &QUIET].concat());
    fs::remove_dir_all(dir.path().join("f")).unwrap();
    fs::create_dir(dir.path().join("f")).unwrap();
    for i in 0..2 {
        image::GrayImage::from_pixel(32, 32, image::Luma([i])).save(dir.path().join(format!("f/{i}.png"))).unwrap();
    }
    let said = fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "4"]);
    contains_all(&said, &["[1, 32, 32]", "started with examples of [1, 16, 16]"]);
}
