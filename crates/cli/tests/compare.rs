//! Two models compared through the program: the same as two scores, the same in either order, and what is known of the difference.

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
    thread::sleep,
    time::Duration,
};

use common::{
    GOLDEN, POINTS, contains, fail, images, json, sfumato, squares, stdout, succeed, train_tiny, unwrapped, variant,
};
use serde_json::Value;

/// `compare ARGS… --json OUT`: the table and the file.
fn compare(dir: &Path, args: &[&str]) -> (String, Value) {
    let all = ["compare", "--json", "c.json"].iter().chain(args).copied().collect::<Vec<_>>();
    let table = stdout(&succeed(dir, &all));
    (table, json(&dir.join("c.json")))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn column(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Mean of `b - a` and its standard error, from the formulas.
fn difference(a: &[f64], b: &[f64]) -> (f64, f64) {
    let n = a.len() as f64;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let mean = differences.iter().sum::<f64>() / n;
    let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

#[test]
fn a_model_differs_from_itself_in_nothing_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (format!("{GOLDEN}/model"), squares(dir.path()));
    let (table, found) = compare(dir.path(), &[&model, &model, "--dataset", &data]);
    contains(&table, &["A and B are equal: each of the 40 examples", "the same in A and B (SHA-256 "]);
    assert_eq!((&found["verdict"]["outcome"], &found["same_weights"]), (&"equal".into(), &true.into()));
    for part in ["prior", "diffusion", "decoder_term", "total"] {
        assert_eq!(found[part]["difference"]["nats"], 0.0, "{part}");
        assert_eq!(found[part]["difference"]["nats_standard_error"], 0.0, "{part}");
    }
    // The same weights with another variance are another model.
    variant(dir.path(), "model", "large", |config| config["variance_type"] = "fixed_large".into());
    let (table, found) = compare(dir.path(), &[&model, "large", "--dataset", &data]);
    contains(&table, &["the same in A and B (SHA-256 ", "chain A ", "chain B ", "B is better by "]);
    assert_eq!((&found["same_weights"], &found["same_steps"]), (&true.into(), &true.into()));
    // It changes neither the prior nor the decoder's mean; the first step has the same variance.
    assert_eq!(found["prior"]["difference"]["nats"], 0.0);
}

/// A comparison has the terms of two scores, and of them what the formulas say; from two files it is the same to the bit.
#[test]
fn a_comparison_is_that_of_two_scores_and_files_give_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    let models = ["model", "model-learned"].map(|name| format!("{GOLDEN}/{name}"));
    let how =
        ["--dataset", &data, "--seed", "3", "--limit", "36", "--draws", "2", "--stride", "4", "--batch-size", "8"];
    for (model, file) in models.iter().zip(["a.json", "b.json"]) {
        succeed(dir, &[&["eval", "--model", model, "--json", file][..], &how].concat());
    }
    let scores = ["a.json", "b.json"].map(|file| json(&dir.join(file)));
    let (table, found) = compare(dir, &[&[&models[0][..], &models[1]][..], &how].concat());
    contains(
        &table,
        &[
            "36 of 40 examples [1, 8, 8]",
            "the same examples, steps and noise",
            "variance learned-range",
            "2 draws, seed 3",
        ],
    );
    assert_eq!(found["each"]["example"], scores[0]["each"]["example"]);
    for (score, side) in scores.iter().zip(["a", "b"]) {
        for part in ["prior", "diffusion", "decoder_term"] {
            assert_eq!(found["each"][side][part], score["each"][part], "{side} {part}");
            assert_eq!(found[part][side], score[part], "{side} {part}");
        }
        assert_eq!(found["total"][side], score["total"]);
        for key in ["weights_sha256", "variance", "schedule", "strata", "seed", "dataset_sha256", "model"] {
            assert_eq!(found[side][key], score[key], "{side} {key}");
        }
    }
    // The numbers, from the columns.
    let of = |side: &str| {
        let parts = ["prior", "diffusion", "decoder_term"].map(|part| column(&found["each"][side][part]));
        (0..36).map(|i| parts.iter().map(|part| part[i]).sum()).collect::<Vec<f64>>()
    };
    let (mean, error) = difference(&of("a"), &of("b"));
    let total = &found["total"]["difference"];
    assert!((number(&total["nats"]) - mean).abs() < 1e-9 * mean.abs(), "{total}");
    assert!((number(&total["nats_standard_error"]) - error).abs() < 1e-9 * error, "{total}");
    let bits = mean / 64.0 / std::f64::consts::LN_2;
    assert!((number(&total["bits_per_dim"]) - bits).abs() < 1e-9 * bits.abs());
    let interval = column(&total["bits_per_dim_interval"]);
    // 2.0301 is the 97.5 % point of Student's t with 35 degrees of freedom.
    let half = 2.030_107_928 * number(&total["bits_per_dim_standard_error"]);
    assert!((interval[1] - bits - half).abs() < 1e-6 * half && (bits - half - interval[0]).abs() < 1e-6 * half);
    assert_eq!(found["verdict"]["degrees_of_freedom"], 35);
    assert_eq!(found["command"].as_array().unwrap()[1], "compare");
    assert_eq!(found["environment"]["backend"], "flex");

    // From the files: no network, the same numbers, the same sentence.
    let (from_files, again) = compare(dir, &["a.json", "b.json"]);
    for part in ["prior", "diffusion", "decoder_term", "total", "each", "verdict", "examples", "same_steps", "discrete"]
    {
        assert_eq!(again[part], found[part], "{part}");
    }
    assert_eq!((&again["a"]["file"], &again["evaluations"]), (&"a.json".into(), &Value::Null));
    assert_eq!(from_files.lines().last(), table.lines().last());
}

#[test]
fn a_trained_model_is_better_than_a_new_one_whichever_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (out, steps) in [("new", "1"), ("trained", "600")] {
        succeed(dir, &[&["train", "--steps", steps, "--out", out][..], POINTS].concat());
    }
    let how = ["--dataset", "toy:swiss-roll", "--limit", "150"];
    let (table, there) = compare(dir, &[&["new/model", "trained/model"][..], &how].concat());
    contains(&table, &["\nB is better by ", "150 of 10000 examples [2]", "bounds on a density", "B - A"]);
    let (table, back) = compare(dir, &[&["trained/model", "new/model"][..], &how].concat());
    contains(&table, &["\nA is better by "]);
    assert_eq!((&there["verdict"]["better"], &back["verdict"]["better"]), (&"b".into(), &"a".into()));
    for part in ["prior", "diffusion", "decoder_term", "total"] {
        let [one, other] = [&there, &back].map(|found| &found[part]);
        assert_eq!(number(&one["difference"]["nats"]), -number(&other["difference"]["nats"]), "{part}");
        assert_eq!(one["difference"]["nats_standard_error"], other["difference"]["nats_standard_error"], "{part}");
        assert_eq!((&one["a"], &one["b"]), (&other["b"], &other["a"]), "{part}");
        assert_eq!(one["correlation"], other["correlation"], "{part}");
    }
    // Two examples settle less.
    let (table, few) = compare(dir, &["new/model", "trained/model", "--dataset", "toy:swiss-roll", "--limit", "2"]);
    contains(&table, &["fewer than 30 examples"]);
    assert_eq!(few["verdict"]["degrees_of_freedom"], 1);
    let (table, one) = compare(dir, &["new/model", "trained/model", "--dataset", "toy:swiss-roll", "--limit", "1"]);
    contains(&table, &["cannot tell: one example"]);
    assert_eq!((&one["verdict"]["outcome"], &one["total"]["correlation"]), (&"unknown".into(), &Value::Null));
}

#[test]
fn what_is_not_settled_is_said_with_what_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let [model, learned, data] = ["model", "model-learned", "images.npy"].map(|name| format!("{GOLDEN}/{name}"));
    let (table, found) = compare(dir.path(), &[&model, &learned, "--dataset", &format!("npy:{data}")]);
    contains(
        &table,
        &["cannot tell: B - A is -8.73 ± 3.56 bits/dim", "holds 0; about 5 examples would settle", "has 3"],
    );
    let verdict = &found["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["examples_needed"]), (&"unknown".into(), &5.into()));
    assert!(table.contains(verdict["sentence"].as_str().unwrap()), "{table}");
}

#[test]
fn chains_of_different_lengths_are_paired_by_their_examples_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, data) = (format!("{GOLDEN}/model"), squares(dir));
    variant(dir, "model", "short", |config| config["num_train_timesteps"] = 9.into());
    let (table, found) = compare(dir, &[&model, "short", "--dataset", &data]);
    contains(
        &table,
        &["the same examples; the steps are not the same", "12 steps", "9 steps", "estimate A", "estimate B"],
    );
    assert_eq!(found["same_steps"], false);
    // From files too.
    for (model, file) in [(&model[..], "a.json"), ("short", "b.json")] {
        succeed(dir, &["eval", "--model", model, "--dataset", &data, "--json", file]);
    }
    let (table, again) = compare(dir, &["a.json", "b.json"]);
    contains(&table, &["the steps are not the same"]);
    assert_eq!(again["total"], found["total"]);
    // The same part of both chains has the same steps again.
    let (_, found) = compare(dir, &[&model, "short", "--dataset", &data, "--steps", "9"]);
    assert_eq!(found["same_steps"], true);
    let said = fail(dir, 2, &["compare", &model, "short", "--dataset", &data, "--steps", "10"]);
    contains(&said, &["--steps 10", "short has 9 steps"]);
}

#[test]
fn classes_are_told_to_the_model_that_knows_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    train_tiny(dir, "plain", &["--steps", "2", "--sample-every", "0"]);
    train_tiny(dir, "classes", &["--steps", "2", "--sample-every", "0", "--class-conditional"]);
    let models = ["runs/classes/model", "runs/plain/model"];
    let how = ["--dataset", "fashion-mnist-mini", "--split", "train", "--limit", "3"];
    let (table, found) = compare(dir, &[&models[..], &how].concat());
    contains(&table, &["A is told  the examples' labels, matched by name", "B is told  nothing", "-log p(x | class)"]);
    assert_eq!((&found["a"]["condition"], &found["b"]["condition"]), (&"labels".into(), &Value::Null));
    let (table, found) = compare(dir, &[&models[..], &how, &["--ignore-labels"]].concat());
    assert!(table.contains("A is told  none") && !table.contains("-log p(x | class)"), "{table}");
    assert_eq!(found["a"]["condition"]["null_class"], 10);
    let said = fail(dir, 1, &[&["compare", models[1], models[1], "--ignore-labels"][..], &how].concat());
    contains(&said, &["--ignore-labels", "runs/plain/model"]);
}

/// Ctrl-C after the first pairs: they are compared, with their number.
#[test]
fn a_signal_leaves_the_pairs_that_both_have_done() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (out, steps) in [("new", "1"), ("trained", "300")] {
        succeed(dir, &[&["train", "--steps", steps, "--out", out][..], POINTS].concat());
    }
    // A slow machine gets more time before it is stopped.
    for seconds in [2, 10, 60] {
        let mut child = sfumato(dir)
            .args(["compare", "new/model", "trained/model", "--dataset", "toy:swiss-roll", "--draws", "200"])
            .args(["--json", "c.json", "--threads", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("scoring 10000 of 10000 examples by two models") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended without a word");
        }
        sleep(Duration::from_secs(seconds));
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let (mut rest, mut table) = (String::new(), String::new());
        said.read_to_string(&mut rest).unwrap();
        child.stdout.take().unwrap().read_to_string(&mut table).unwrap();
        if child.wait().unwrap().code() == Some(1) {
            contains(&rest, &["stopped before both models had scored an example: nothing was written"]);
            assert!(!dir.join("c.json").exists());
            continue;
        }
        contains(&rest, &["stopped after ", " of 10000 examples, which are compared; they are a random part"]);
        let found = json(&dir.join("c.json"));
        let pairs = found["examples"].as_u64().unwrap();
        assert!((1..10_000).contains(&pairs), "{pairs}");
        contains(&table, &[&format!("stopped after {pairs} of 10000"), &format!("{pairs} of 10000 examples [2]")]);
        assert_eq!((&found["stopped"], column(&found["each"]["b"]["prior"]).len() as u64), (&true.into(), pairs));
        return;
    }
    panic!("no pair within a minute");
}

/// The table has the size of a terminal, and says what the numbers are.
#[test]
fn the_help_states_the_criterion_and_the_table_fits() {
    let dir = tempfile::tempdir().unwrap();
    let help = unwrapped(&stdout(&succeed(dir.path(), &["compare", "--help"])));
    contains(
        &help,
        &["95 % interval of the mean difference (Student's t) does not hold 0", "--ignore-labels", "--draws"],
    );
    train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir.path(), 4);
    let (table, _) = compare(dir.path(), &["runs/a/model", "runs/a/checkpoints/step-0000001", "--dataset", &data]);
    let numbers = table.lines().skip_while(|line| !line.starts_with("bits/dim")).take(5).collect::<Vec<_>>();
    assert!(numbers.iter().all(|line| line.chars().count() <= 100), "{numbers:#?}");
    assert_eq!(numbers.len(), 5);
}
