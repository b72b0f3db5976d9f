//! `sfumato schedule learn`, and training with what it writes.

mod common;

use std::{fs, path::Path};

use common::{contains, fail, json, squares, stdout, succeed, train_tiny, unwrapped, variant};
use serde_json::Value;

/// A copy of the golden model, fitted at every step.
fn fitted(dir: &Path) {
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    succeed(dir, &["eval", "--model", "m", "--dataset", &data, "--fit", "--fit-stride", "1", "--no-bound"]);
}

/// The columns of `schedule show SCHEDULE --format csv` that are named.
fn column(dir: &Path, schedule: &str, name: &str) -> Vec<f64> {
    let csv = stdout(&succeed(dir, &["schedule", "show", schedule, "--format", "csv"]));
    let place = csv.lines().next().unwrap().split(',').position(|found| found == name).unwrap();
    csv.lines().skip(1).map(|line| line.split(',').nth(place).unwrap().parse().unwrap()).collect()
}

/// The numbers at the end of the line that begins with `name`.
fn said(table: &str, name: &str) -> [f64; 2] {
    let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in:\n{table}"));
    let mut numbers = line.split_whitespace().rev().map(|number| number.parse::<f64>().unwrap());
    let deviation = numbers.next().unwrap();
    [numbers.next().unwrap(), deviation]
}

#[test]
fn a_schedule_is_learned_from_a_fit_and_varies_less() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fitted(dir);
    let args = ["schedule", "learn", "m", "--steps", "300", "--first-leap", "0", "--out", "learned.toml"];
    let table = stdout(&succeed(dir, &args));
    contains(&table, &["m/fit.json: 40 training examples of npy:squares.npy, 12 noise levels", "in 300 steps"]);
    let [before, after, least] =
        ["the model's schedule", "the learned schedule", "the best, in ever more steps"].map(|name| said(&table, name));
    assert!(before[0] == after[0] && after[1] < 0.7 * before[1], "{table}");
    assert!(after[1] >= least[1] && after[1] < 1.02 * least[1], "{table}");
    // The same ends, falling all the way.
    let [own, learned] = ["m", "learned.toml"].map(|schedule| column(dir, schedule, "log_snr"));
    assert_eq!(learned.len(), 300);
    assert!((own[0] - learned[0]).abs() < 1e-9 && (own[11] - learned[299]).abs() < 1e-9);
    assert!(learned.windows(2).all(|pair| pair[1] < pair[0]));
    // All steps carry the same share of the root mean square loss: between measured levels it is e to a straight line.
    let file = json(&dir.join("m/fit.json"));
    let level = |node: &Value| {
        let number = |key: &str| node[key].as_f64().unwrap();
        let square = number("error").powi(2) + 40.0 * number("error_se").powi(2);
        (number("log_snr"), 0.5 * square.ln() + number("log_snr"))
    };
    let levels: Vec<(f64, f64)> = file["measured"]["nodes"].as_array().unwrap().iter().map(level).collect();
    let size = |log_snr: f64| {
        let i = levels.iter().rposition(|(known, _)| *known >= log_snr).unwrap_or(0).min(levels.len() - 2);
        let ((from, a), (to, b)) = (levels[i], levels[i + 1]);
        (a + (b - a) * (log_snr - from) / (to - from)).exp()
    };
    let share = |pair: &[f64]| (pair[0] - pair[1]) * size(0.5 * (pair[0] + pair[1]));
    let shares: Vec<f64> = learned.windows(2).map(share).collect();
    let mean = shares.iter().sum::<f64>() / 299.0;
    // But for the midpoint rule, where the line bends within a step.
    assert!(shares.iter().all(|share| (share / mean - 1.0).abs() < 0.05), "{shares:?}");

    // Other ends and lengths, and a first leap for the decoder.
    let ends = ["--log-snr-first", "9", "--log-snr-last", "-8.5", "--steps", "50", "--out", "other.toml"];
    succeed(dir, &[&["schedule", "learn", "m"][..], &ends].concat());
    let other = column(dir, "other.toml", "log_snr");
    assert!(other.len() == 50 && (other[0] - 9.0).abs() < 1e-9 && (other[49] + 8.5).abs() < 1e-6);
    assert!(other[0] - other[1] > 0.1, "{other:?}");
}

#[test]
fn a_run_trains_with_a_learned_schedule_and_exports_it_as_betas() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fitted(dir);
    succeed(dir, &["schedule", "learn", "m", "--steps", "100", "--out", "learned.toml"]);
    let betas = column(dir, "learned.toml", "beta");
    let train = ["--steps", "2", "--sample-every", "0"];
    let by_flag = train_tiny(dir, "flag", &[&train[..], &["--schedule", "learned.toml"]].concat());
    let by_file = train_tiny(dir, "file", &[&train[..], &["--config", "learned.toml"]].concat());
    for run in [&by_flag, &by_file] {
        let scheduler = json(&run.join("model/scheduler/scheduler_config.json"));
        let written: Vec<f64> =
            scheduler["trained_betas"].as_array().unwrap().iter().map(|beta| beta.as_f64().unwrap()).collect();
        assert_eq!(written, betas);
        assert_eq!(scheduler["num_train_timesteps"], 100);
    }
    // With the schedule of a run or a model in its directory, or one that has a name.
    for (name, schedule, steps) in [("again", "runs/flag", 100), ("model", "m", 12), ("named", "cosine:50", 50)] {
        let run = train_tiny(dir, name, &[&train[..], &["--schedule", schedule]].concat());
        assert_eq!(column(dir, run.to_str().unwrap(), "beta"), column(dir, schedule, "beta"), "{schedule}");
        assert_eq!(json(&run.join("model/scheduler/scheduler_config.json"))["num_train_timesteps"], steps);
    }
    let score =
        ["eval", "--model", "runs/flag/model", "--dataset", "fashion-mnist-mini", "--split", "train", "--limit", "3"];
    for steps in [&[][..], &["--steps", "continuous"]] {
        contains(&stdout(&succeed(dir, &[&score[..], steps].concat())), &["explicit, 100 betas"]);
    }
    // A schedule that is rescaled while it is read is what it is, not what it was.
    variant(dir, "model", "zero", |scheduler| {
        scheduler["rescale_betas_zero_snr"] = true.into();
        scheduler["prediction_type"] = "v_prediction".into();
    });
    let args = [&train[..], &["--schedule", "zero", "--set", "diffusion.parameterization=v"]].concat();
    let run = train_tiny(dir, "zero", &args);
    assert_eq!(column(dir, run.to_str().unwrap(), "beta"), column(dir, "zero", "beta"));
}

#[test]
fn what_cannot_be_learned_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fitted(dir);
    let refused = |code, args: &[&str], parts: &[&str]| {
        let all = ["schedule", "learn"];
        contains(&unwrapped(&fail(dir, code, &all.iter().chain(args).copied().collect::<Vec<_>>())), parts);
        assert!(!dir.join("l.toml").exists());
    };
    refused(2, &["m"], &["--out"]);
    refused(2, &["m", "--out", "l.json"], &["l.json", ".toml"]);
    refused(1, &["m", "--out", "nowhere/l.toml"], &["nowhere"]);
    refused(2, &["m", "--out", "l.toml", "--steps", "0"], &["--steps", "at least 1"]);
    refused(2, &["m", "--out", "l.toml", "--first-leap", "-1"], &["--first-leap"]);
    let ends = ["m", "--out", "l.toml", "--log-snr-first", "-9"];
    refused(2, &ends, &["from a log-SNR of -9", "--log-snr-first"]);
    refused(2, &["m", "--out", "l.toml", "--first-leap", "99"], &["first leap of 99", "--first-leap"]);
    refused(1, &["nowhere", "--out", "l.toml"], &["nowhere"]);
    variant(dir, "model", "bare", |_| ());
    refused(1, &["bare", "--out", "l.toml"], &["bare/fit.json is not there", "--fit"]);
    variant(dir, "model-learned", "learned", |_| ());
    refused(1, &["learned", "--out", "l.toml"], &["says its variances itself"]);
    let train = ["train", "--preset", "swiss-roll", "--out", "r", "--schedule"];
    let said = |args: &[&str]| unwrapped(&fail(dir, 2, &train.iter().chain(args).copied().collect::<Vec<_>>()));
    contains(&said(&["cosien"]), &["did you mean `cosine`?"]);
    contains(&unwrapped(&fail(dir, 1, &[&train[..], &["l.toml"]].concat())), &["l.toml"]);
    contains(&said(&["cosine", "--resume", "r"]), &["--schedule"]);
    assert!(!dir.join("r").exists());
    // What is in the fit is checked.
    let path = dir.join("m/fit.json");
    let whole = fs::read_to_string(&path).unwrap();
    let mut value: Value = serde_json::from_str(&whole).unwrap();
    for node in value["measured"]["nodes"].as_array_mut().unwrap() {
        (node["error"], node["error_se"]) = (0.0.into(), 0.0.into());
    }
    fs::write(&path, value.to_string()).unwrap();
    refused(1, &["m", "--out", "l.toml"], &["m/fit.json", "one that is above 0"]);
}
