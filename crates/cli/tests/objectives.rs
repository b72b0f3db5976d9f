//! Weights and densities of noise levels through the program: chosen, kept, resumed, said, and refused where they make no sense.

mod common;

use std::{fs, path::Path};

use common::{POINTS, contains, fail, json, learned, stderr, succeed, train_tiny};
use serde_json::Value;

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every weight and every density, for images and for points, with fixed and with learned variances.
#[test]
fn every_weight_and_every_density_trains_and_resumes_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let weights = ["simple", "bound", "min-snr", "p2", "sigmoid"];
    let densities = ["uniform", "stratified", "importance", "log-normal", "laplace"];
    for (i, (weight, density)) in weights.into_iter().zip(densities.into_iter().cycle().skip(2)).enumerate() {
        let variance = ["fixed-small", "learned-range", "learned"][i % 3];
        let prediction = format!("diffusion.parameterization={}", ["epsilon", "x0", "v"][i % 3]);
        let all = ["--weight", weight, "--density", density, "--variance", variance, "--set", &prediction];
        // So few steps that importance sampling gets warm.
        let short = ["--set", "diffusion.schedule.steps=4", "--sample-every", "0"];
        let args = |steps: &'static str| [&all[..], &short, &["--steps", steps]].concat();
        let whole = train_tiny(dir.path(), &format!("whole-{weight}"), &args("24"));
        let stopped = train_tiny(dir.path(), &format!("stopped-{weight}"), &args("13"));
        let said = succeed(dir.path(), &["train", "--resume", &format!("runs/stopped-{weight}"), "--steps", "24"]);
        assert!(learned(&whole, 24) == learned(&stopped, 24), "{weight} {density} differs after a stop");
        let weight_said = if i == 0 { "objective  ".to_owned() } else { format!("weight {weight}") };
        contains(&stderr(&said), &[&weight_said, &format!("steps {density}")]);
        let config = fs::read_to_string(whole.join("config.toml")).unwrap();
        assert!(config.contains(density) && (i == 0 || config.contains(weight)), "{config}");

        let out = format!("points-{weight}");
        let points =
            ["train", "--out", &out, "--steps", "3", "--weight", weight, "--density", density, "--variance", variance];
        succeed(dir.path(), &[&points[..], POINTS].concat());
    }
}

/// What a run of an older version has in its file, and what flags and keys come to.
#[test]
fn old_names_names_and_parameters_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let printed = |args: &[&str]| {
        let text = common::stdout(&succeed(dir.path(), &[&["train", "--print-config"], args].concat()));
        text.parse::<toml::Table>().unwrap()["objective"].clone()
    };
    let toml = |text: &str| toml::Value::Table(text.parse().unwrap());
    assert_eq!(printed(&[]), toml("density = 'stratified'"));
    assert_eq!(printed(&["--preset", "fashion-mnist"]), toml("density = 'uniform'"));
    assert_eq!(printed(&["--set", "objective.times=importance"]), toml("density = 'importance'"));
    let both = ["--weight", "min-snr", "--set", "objective.weight.gamma=3", "--density", "stratified"];
    let expected = "density = 'stratified'\nweight = { kind = 'min-snr', gamma = 3.0 }";
    assert_eq!(printed(&both), toml(expected));
    fs::write(dir.path().join("old.toml"), "[objective]\nloss = 'hybrid'\ntimes = 'importance'\n").unwrap();
    assert_eq!(printed(&["--config", "old.toml"]), toml("loss = 'hybrid'\ndensity = 'importance'"));
    let named = ["--config", "old.toml", "--density", "log-normal", "--set", "objective.density.deviation=2"];
    let log_normal = "loss = 'hybrid'\n[density]\nkind = 'log-normal'\nmean = -1.2\ndeviation = 2.0\nuniform_share = 0.001\n\
                      strata = false\nunbiased = true";
    assert_eq!(printed(&named), toml(log_normal));
}

/// A run that was begun by an older version goes on, to the same bits.
#[test]
fn a_run_with_the_old_key_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let args = |steps: &'static str| ["--density", "importance", "--sample-every", "0", "--steps", steps];
    let whole = train_tiny(dir.path(), "whole", &args("6"));
    let old = train_tiny(dir.path(), "old", &args("3"));
    for file in ["config.toml", "checkpoints/step-0000003/training/config.toml"] {
        let text = fs::read_to_string(old.join(file)).unwrap();
        assert!(text.contains("density = \"importance\""));
        fs::write(old.join(file), text.replace("density =", "times =")).unwrap();
    }
    // The checksums are those of the file that an older version wrote.
    fs::remove_file(old.join("checkpoints/step-0000003/training/checksums.json")).unwrap();
    let said = stderr(&succeed(dir.path(), &["train", "--resume", "runs/old", "--steps", "6"]));
    assert!(!said.contains("objective."), "{said}");
    assert!(learned(&whole, 6) == learned(&old, 6));
}

/// The loss of training is weighted, and is called so; that of held-out examples is not.
#[test]
fn held_out_losses_are_not_weighted_and_reports_tell_them_apart() {
    let dir = tempfile::tempdir().unwrap();
    let still = [
        "--steps",
        "2",
        "--learning-rate",
        "1e-12",
        "--held-out",
        "0.1",
        "--set",
        "held_out.every=1",
        "--sample-every",
        "0",
    ];
    let run = |name: &str, weight: &str| train_tiny(dir.path(), name, &[&still[..], &["--weight", weight]].concat());
    let (simple, weighted) = (run("simple", "simple"), run("weighted", "sigmoid"));
    let (of_simple, of_weighted) = (metrics(&simple), metrics(&weighted));
    let held_out =
        |metrics: &[Value]| metrics.iter().map(|line| line["held_out"]["loss_by_level"].clone()).collect::<Vec<_>>();
    let loss = |metrics: &[Value]| metrics[0]["loss"].as_f64().unwrap();
    assert!(held_out(&of_simple)[0].is_object());
    let (a, b) = (held_out(&of_simple), held_out(&of_weighted));
    for (a, b) in a.iter().zip(&b) {
        for (level, loss) in a.as_object().unwrap() {
            assert!((loss.as_f64().unwrap() - b[level].as_f64().unwrap()).abs() < 1e-4, "{level}: {loss} {}", b[level]);
        }
    }
    assert!(loss(&of_weighted) < 0.1 * loss(&of_simple), "{} {}", loss(&of_weighted), loss(&of_simple));
    succeed(dir.path(), &["report", "runs/simple", "runs/weighted", "--out", "both.html"]);
    let page = fs::read_to_string(dir.path().join("both.html")).unwrap();
    contains(
        &page,
        &[
            "Training loss, weighted as it is minimised",
            "weight sigmoid (k 2)",
            "training loss (weight sigmoid (k 2)), last tenth",
        ],
    );
    let page = fs::read_to_string(simple.join("report.html")).unwrap();
    assert!(!page.contains("weighted as it is minimised"));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["--loss", "vlb", "--weight", "p2"][..], "the bound's own weights"),
        (
            &["--weight", "min-snr", "--set", "objective.weight.gamma=-1"],
            "objective.weight.gamma must be a number above 0 (found -1)",
        ),
        (
            &["--set", "objective.weight=min_snr"],
            "objective.weight must be one of simple, bound, min-snr, p2, sigmoid (found min_snr)",
        ),
        (&["--weight", "bound", "--set", "objective.weight.k=1"], "`k` is no parameter of bound, which has none"),
        (&["--density", "laplace", "--set", "objective.density.mean=400"], "within the schedule's noise levels"),
    ] {
        let said = fail(dir.path(), 1, &[&["train", "--out", "x"], args].concat());
        assert!(common::unwrapped(&said).contains(expected), "{args:?}: {said}");
    }
    assert!(!dir.path().join("x").exists());
    let said = fail(dir.path(), 2, &["train", "--weight", "snr"]);
    contains(&said, &["min-snr", "sigmoid"]);
}

#[test]
fn importance_sampling_is_warm_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["--density", "importance", "--set", "objective.density.strata=true", "--weight", "bound", "--steps", "24"];
    let run = train_tiny(
        dir.path(),
        "a",
        &[&args[..], &["--set", "diffusion.schedule.steps=4", "--sample-every", "0"]].concat(),
    );
    let counts = json(&run.join("checkpoints/step-0000024/training/times.json"))["counts"].clone();
    assert_eq!(counts, serde_json::json!([10, 10, 10, 10]));
}
