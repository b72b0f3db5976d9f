//! Scores in continuous time through the program: every kind of network, what is reported, and what is refused.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
};

use common::{POINTS, contains, fail, images, json, sfumato, squares, stdout, succeed, train_tiny, unwrapped, variant};
use serde_json::Value;

fn bits(value: &Value) -> f64 {
    value["bits_per_dim"].as_f64().unwrap_or_else(|| panic!("no bits/dim in {value}"))
}

fn standard_error(value: &Value) -> f64 {
    value["bits_per_dim_standard_error"].as_f64().unwrap()
}

/// `eval --model MODEL --dataset DATA ARGS… --json e.json`.
fn score(dir: &Path, model: &str, data: &str, args: &[&str]) -> Value {
    let all = ["eval", "--model", model, "--dataset", data, "--json", "e.json"];
    succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    json(&dir.join("e.json"))
}

#[test]
fn a_model_is_scored_in_continuous_time_and_the_report_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let continuous = ["--steps", "continuous"];
    let args =
        ["eval", "--model", "m", "--dataset", &data, "--steps", "continuous", "--limit", "30", "--curve", "c.svg"];
    let table = stdout(&succeed(dir, &args));
    let parts = [
        "continuous time between step 1 and step 12",
        "20 noise levels an example",
        "30 of 40",
        "integral, continuous",
    ];
    contains(&table, &parts);
    contains(&table, &["variance of the decoder fixed-small", "choice of noise levels included. 630 evaluations"]);
    contains(&fs::read_to_string(dir.join("c.svg")).unwrap(), &["log SNR"]);

    let found = score(dir, "m", &data, &continuous);
    assert_eq!(
        (&found["steps"], &found["stride"], &found["spacing"]),
        (&"continuous".into(), &Value::Null, &Value::Null)
    );
    assert_eq!((&found["evaluations"], &found["examples"]), (&(40 * 21).into(), &40.into()));
    // Prior and decoder are those of the sum over steps, with the same noise.
    let steps = score(dir, "m", &data, &["--stride", "1"]);
    assert_eq!(found["prior"], steps["prior"]);
    assert!((bits(&found["decoder_term"]) / bits(&steps["decoder_term"]) - 1.0).abs() < 1e-4);
    assert!(bits(&found["diffusion"]) < bits(&steps["diffusion"]), "twelve steps cost more than infinitely many");
    // The strata are the parts of the integral, and the examples by themselves its mean.
    let levels = found["levels"].as_array().unwrap();
    let sum: f64 = levels.iter().map(|level| bits(&level["term"])).sum();
    assert!(levels.len() == 10 && (sum / bits(&found["diffusion"]) - 1.0).abs() < 1e-9);
    let each: f64 = found["each"]["diffusion"].as_array().unwrap().iter().map(|nats| nats.as_f64().unwrap()).sum();
    assert!((each / 40.0 / found["diffusion"]["nats"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(found["terms"], Value::Array(Vec::new()));

    // The integral by the trapezoidal rule over what a fit measures at the steps.
    succeed(
        dir,
        &["eval", "--model", "m", "--dataset", &data, "--fit", "--fit-stride", "1", "--no-bound", "--split", "train"],
    );
    let nodes = json(&dir.join("m/fit.json"))["measured"]["nodes"].as_array().unwrap().clone();
    let loss = |node: &Value| (node["log_snr"].as_f64().unwrap(), node["error"].as_f64().unwrap());
    let loss = nodes.iter().map(loss).map(|(log_snr, error)| (log_snr, 0.5 * error * log_snr.exp()));
    let loss: Vec<(f64, f64)> = loss.collect();
    let nats: f64 = loss.windows(2).map(|pair| 0.5 * (pair[0].1 + pair[1].1) * (pair[0].0 - pair[1].0)).sum();
    let found = score(dir, "m", &data, &["--steps", "continuous", "--draws", "8"]);
    let expected = nats / std::f64::consts::LN_2;
    assert!((bits(&found["diffusion"]) / expected - 1.0).abs() < 0.15, "{} for {expected}", found["diffusion"]);

    // Any batch, any number of threads: one result. Other seeds are other noise.
    for args in [&["--batch-size", "1", "--threads", "1"][..], &["--batch-size", "1000"]] {
        let other = score(dir, "m", &data, &[&continuous, args].concat());
        let reference = score(dir, "m", &data, &continuous);
        assert!((bits(&other["total"]) / bits(&reference["total"]) - 1.0).abs() < 1e-5, "{args:?}");
    }
    let [a, b] =
        ["1", "2"].map(|seed| score(dir, "m", &data, &["--steps", "continuous", "--seed", seed])["total"].clone());
    assert!(a != b && (bits(&a) - bits(&b)).abs() < 4.0 * standard_error(&a), "{a} and {b}");
    // The fit's variance is the decoder's alone.
    let optimal = score(dir, "m", &data, &["--steps", "continuous", "--variance", "optimal"]);
    let fixed = score(dir, "m", &data, &continuous);
    assert_eq!(optimal["diffusion"], fixed["diffusion"]);
    assert!(bits(&optimal["decoder_term"]) < bits(&fixed["decoder_term"]) + 1e-3);
}

#[test]
fn every_network_and_reading_is_scored() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let pictures = images(dir, 4);
    for reading in ["epsilon", "x0", "v"] {
        let set = format!("diffusion.parameterization={reading}");
        let name = format!("unet-{reading}");
        train_tiny(dir, &name, &["--steps", "1", "--sample-every", "0", "--set", &set]);
        let found = score(dir, &format!("runs/{name}/model"), &pictures, &["--steps", "continuous"]);
        assert_eq!((&found["parameterization"], &found["evaluations"]), (&reading.into(), &84.into()));
        assert!(bits(&found["total"]).is_finite() && bits(&found["diffusion"]) > 0.0, "{found}");
        let out = format!("runs/mlp-{reading}");
        succeed(dir, &[&["train", "--out", &out, "--steps", "30", "--set", &set], POINTS].concat());
        let args = ["--steps", "continuous", "--limit", "50", "--draws", "2"];
        let found = score(dir, &format!("{out}/model"), "toy:swiss-roll", &args);
        assert_eq!((&found["discrete"], &found["evaluations"]), (&false.into(), &(50 * 42).into()));
        assert!(bits(&found["total"]).is_finite() && bits(&found["diffusion"]) > 0.0, "{found}");
    }
    // Classes, known and not.
    let args = ["--steps", "2", "--sample-every", "0", "--class-conditional"];
    train_tiny(dir, "classes", &args);
    let of = |extra: &[&str]| {
        let args = ["--steps", "continuous", "--split", "train", "--limit", "3"];
        score(dir, "runs/classes/model", "fashion-mnist-mini", &[&args[..], extra].concat())
    };
    let (labels, none) = (of(&[]), of(&["--ignore-labels"]));
    assert_eq!(labels["condition"], "labels");
    assert!(none["condition"]["null_class"].is_u64() && none["diffusion"] != labels["diffusion"]);
    // A schedule that ends in pure noise.
    let data = squares(dir);
    variant(dir, "model", "zero", |scheduler| {
        scheduler["rescale_betas_zero_snr"] = true.into();
        scheduler["prediction_type"] = "v_prediction".into();
    });
    assert!(bits(&score(dir, "zero", &data, &["--steps", "continuous"])["total"]).is_finite());
}

/// The variance of a network that learns one is the decoder's.
#[test]
fn a_learned_variance_is_the_decoders_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model-learned", "m", |_| ());
    let own = score(dir, "m", &data, &["--steps", "continuous"]);
    let fixed = score(dir, "m", &data, &["--steps", "continuous", "--variance", "fixed-small"]);
    assert_eq!((&own["variance"], &own["diffusion"]), (&"learned-range".into(), &fixed["diffusion"]));
    assert!(own["decoder_term"] != fixed["decoder_term"]);
    let steps = score(dir, "m", &data, &["--stride", "1"]);
    assert!((bits(&own["decoder_term"]) / bits(&steps["decoder_term"]) - 1.0).abs() < 1e-4);
}

#[test]
fn two_models_are_compared_in_continuous_time() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "a", |_| ());
    variant(dir, "model-learned", "b", |_| ());
    let models = ["compare", "a", "b", "--dataset", &data, "--steps", "continuous", "--json", "c.json"];
    contains(&stdout(&succeed(dir, &models)), &["the same examples, noise levels and noise", "integral, continuous"]);
    for model in ["a", "b"] {
        let name = format!("{model}.json");
        succeed(dir, &["eval", "--model", model, "--dataset", &data, "--steps", "continuous", "--json", &name]);
    }
    let files = stdout(&succeed(dir, &["compare", "a.json", "b.json", "--json", "d.json"]));
    contains(&files, &["continuous time, predicts epsilon", "10 strata of log SNR"]);
    let [c, d] = ["c.json", "d.json"].map(|name| json(&dir.join(name)));
    for part in ["prior", "diffusion", "decoder_term", "total"] {
        assert_eq!(c[part], d[part], "{part}");
    }
    // Beside a sum over steps only the examples are the same.
    succeed(dir, &["eval", "--model", "b", "--dataset", &data, "--json", "s.json"]);
    let mixed = unwrapped(&stdout(&succeed(dir, &["compare", "a.json", "s.json"])));
    contains(&mixed, &["chain A continuous time", "chain B 12 steps", "the steps are not the same"]);
}

#[test]
fn what_is_about_steps_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let refused = |code, args: &[&str], parts: &[&str]| {
        let all = ["eval", "--model", "m", "--dataset", &data, "--steps"];
        contains(&unwrapped(&fail(dir, code, &all.iter().chain(args).copied().collect::<Vec<_>>())), parts);
    };
    refused(2, &["continuous", "--spacing", "linspace"], &["--spacing linspace", "leave --spacing out"]);
    refused(2, &["continuous", "--stride", "1"], &["--stride 1", "--draws K"]);
    refused(2, &["continuous", "--noise", "n.npy"], &["--noise n.npy", "--seed"]);
    refused(1, &["continuous", "--variance", "analytic"], &["fit.json is not there", "--fit"]);
    refused(2, &["contimuous"], &["contimuous", "a number of steps, or continuous"]);
    let compare = ["compare", "m", "m", "--dataset", &data, "--steps", "continuous", "--stride", "2"];
    contains(&unwrapped(&fail(dir, 2, &compare)), &["--stride 2", "--draws K"]);
}

/// What is done by then is the result.
#[test]
fn a_signal_leaves_the_examples_that_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let args =
        ["eval", "--model", "m", "--dataset", &data, "--steps", "continuous", "--draws", "2000", "--json", "e.json"];
    let mut child = sfumato(dir).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("scoring 40 of 40 examples, 1680000 evaluations") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    // Before the first example is done there is no result.
    match child.wait().unwrap().code() {
        Some(0) => assert!(json(&dir.join("e.json"))["stopped"].as_bool().unwrap(), "{rest}"),
        code => assert!(code == Some(1) && rest.contains("stopped after 0 of 40 examples"), "{rest}"),
    }
}
