//! `sfumato average`: a model of weights averaged over another part of a run.

mod common;

use std::fs;

use common::{POINTS, fail, stderr, stdout, succeed};

#[test]
fn a_run_gives_models_of_any_width_and_they_are_models() {
    let dir = tempfile::tempdir().unwrap();
    let train = |out: &str, more: &[&str]| {
        let all = [&["train", "--dataset", "toy:swiss-roll", "--steps", "40", "--out", out], POINTS, more].concat();
        stderr(&succeed(dir.path(), &all))
    };
    train("roll", &["--set", "averages.widths=[0.05,0.1]", "--set", "averages.every=5"]);
    let average = |args: &[&str]| succeed(dir.path(), &[&["average"], args].concat());
    let made = average(&["roll", "--width", "0.075", "--out", "between"]);
    assert_eq!(stdout(&made).trim(), "between");
    let said = stderr(&made);
    // Steps 5 to 35 and the checkpoint's own, two each.
    assert!(said.contains("made of 16 averages up to step 40"), "{said}");
    let kept = average(&["roll/model", "--width", "0.1", "--out", "kept"]);
    assert!(stderr(&kept).contains("as the run kept it"), "{}", stderr(&kept));

    // A copy need not have the link to the newest checkpoint.
    fs::remove_file(dir.path().join("roll/model")).unwrap();
    // One that a copy has in part is passed over.
    fs::create_dir_all(dir.path().join("roll/checkpoints/step-0000099/training")).unwrap();
    let state = "training/state.json";
    fs::copy(
        dir.path().join("roll/checkpoints/step-0000040").join(state),
        dir.path().join("roll/checkpoints/step-0000099").join(state),
    )
    .unwrap();
    average(&["roll", "--width", "0.075", "--out", "without-link"]);

    let weights =
        |model: &str| fs::read(dir.path().join(model).join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    let all = ["roll/checkpoints/step-0000040", "between", "kept"].map(weights);
    assert!(weights("without-link") == all[1]);
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    let info = stdout(&succeed(dir.path(), &["info", "between"]));
    assert!(info.contains("width 0.075"), "{info}");
    succeed(dir.path(), &["sample", "--model", "between", "--num", "3", "--out", "points"]);
    succeed(dir.path(), &["eval", "--model", "between", "--dataset", "toy:swiss-roll", "--limit", "5"]);
}

#[test]
fn the_best_width_is_that_of_the_fewest_bits() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        &["train", "--dataset", "toy:swiss-roll", "--steps", "60", "--out", "roll", "--held-out", "0.1"],
        POINTS,
        &["--set", "averages.widths=[0.05,0.1]", "--set", "averages.every=5", "--set", "diffusion.schedule.steps=20"],
    ];
    succeed(dir.path(), &all.concat());
    let made = succeed(dir.path(), &["average", "roll", "--width", "best", "--out", "best"]);
    let said = stderr(&made);
    assert!(said.contains("on 128 examples of the held-out split of toy:swiss-roll"), "{said}");
    assert!(said.contains("the run's own average"), "{said}");
    let scored: Vec<(&str, f64)> = said
        .lines()
        .filter_map(|line| line.strip_prefix("width "))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?.parse().ok()?))
        })
        .collect();
    assert!(scored.len() >= 3, "{said}");
    let (best, _) = scored.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    succeed(dir.path(), &["average", "roll", "--width", best, "--out", "same"]);
    let weights =
        |model: &str| fs::read(dir.path().join(model).join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    assert!(weights("best") == weights("same"), "{best}: {said}");
    // What is there is refused before the work.
    let refused = fail(dir.path(), 1, &["average", "roll", "--width", "best", "--out", "best"]);
    assert!(refused.contains("best is not empty") && !refused.contains("scoring"), "{refused}");
    let info = stdout(&succeed(dir.path(), &["info", "best"]));
    assert!(info.contains(&format!("width {best}")), "{info}");
    // Scored as eval does.
    let eval = ["eval", "--model", "roll", "--dataset", "toy:swiss-roll", "--split", "held-out", "--limit", "128"];
    succeed(dir.path(), &[&eval[..], &["--json", "own.json"]].concat());
    let own = common::json(&dir.path().join("own.json"))["total"]["bits_per_dim"].as_f64().unwrap();
    assert!(said.contains(&format!("{own:.4} ±")), "{own}: {said}");
}

#[test]
fn bad_calls_say_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let all = [&["train", "--dataset", "toy:swiss-roll", "--steps", "3", "--out", "roll"], POINTS].concat();
    succeed(dir.path(), &all);
    let wrong = |code: i32, args: &[&str]| fail(dir.path(), code, &[&["average"], args].concat());
    let said = wrong(1, &["roll", "--width", "0.1", "--out", "x"]);
    assert!(said.contains("has no averages to make others of") && said.contains("averages.widths"), "{said}");
    assert!(!dir.path().join("x").exists());
    assert!(wrong(2, &["roll", "--width", "0.9", "--out", "x"]).contains("0.005 to 0.288"));
    assert!(wrong(2, &["roll", "--width", "wide", "--out", "x"]).contains("as in 0.1, or best"));
    assert!(wrong(1, &["roll", "--width", "best", "--out", "x"]).contains("averages.widths"));
    assert!(wrong(1, &["nowhere", "--width", "0.1", "--out", "x"]).contains("nowhere"));
    fs::create_dir(dir.path().join("other")).unwrap();
    assert!(wrong(1, &["other", "--width", "0.1", "--out", "x"]).contains("other is no run"));
    let resumed = [&["train", "--resume", "roll", "--steps", "5", "--set", "averages.widths=[0.1]"][..]].concat();
    let said = fail(dir.path(), 1, &resumed);
    assert!(said.contains("averages.widths cannot change while a run goes on"), "{said}");
    // How often they are written may change, also where there are none.
    succeed(dir.path(), &["train", "--resume", "roll", "--steps", "5", "--set", "averages.every=3"]);
}
