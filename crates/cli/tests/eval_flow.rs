//! The likelihood by the flow through the program: beside the bound, over all networks, and what is refused.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
};

use common::{POINTS, contains, fail, images, json, sfumato, squares, stdout, succeed, train_tiny, unwrapped, variant};
use serde_json::Value;

/// `eval --flow --no-bound ARGS…`, the part of the file about the flow.
fn flow(dir: &Path, model: &str, data: &str, args: &[&str]) -> Value {
    let all = ["eval", "--model", model, "--dataset", data, "--flow", "--no-bound", "--json", "f.json"];
    succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    json(&dir.join("f.json"))["flow"].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn bits(mean: &Value) -> f64 {
    number(&mean["bits_per_dim"])
}

fn column(flow: &Value, name: &str) -> Vec<f64> {
    flow["each"][name].as_array().unwrap().iter().map(number).collect()
}

/// Nats of each example, from its parts.
fn totals(flow: &Value) -> Vec<f64> {
    let parts = ["prior", "divergence", "start_term"].map(|name| column(flow, name));
    (0..parts[0].len()).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
}

/// Points in the plane as a file.
fn points(path: &Path, points: &[[f32; 2]]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}", points.len());
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(points.iter().flatten().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn pictures_are_scored_beside_the_bound_and_the_report_holds_together() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let args =
        ["eval", "--model", "m", "--dataset", &data, "--flow", "--limit", "5", "--probes", "2", "--json", "e.json"];
    let table = stdout(&succeed(dir, &args));
    contains(
        &table,
        &["steps, sum L_(t-1)", "8-bit data with uniform noise, one level wide", "2 rademacher probes; 1 draw, seed 0"],
    );
    contains(
        &table,
        &["dormand-prince, adaptive, tolerance 1e-5", "divergence, integral", "the probes make", "with a gradient in"],
    );
    let both = json(&dir.join("e.json"));
    let found = &both["flow"];
    assert_eq!((&found["examples"], &found["dimensions"], &found["start"]), (&5.into(), &64.into(), &"uniform".into()));
    // The same images as the bound's.
    assert_eq!(found["each"]["example"], both["each"]["example"]);
    let totals = totals(found);
    let mean = totals.iter().sum::<f64>() / 5.0;
    assert!((mean / number(&found["total"]["nats"]) - 1.0).abs() < 1e-12 && totals.len() == 5);
    let sum: f64 = ["prior", "divergence", "start_term"].iter().map(|part| bits(&found[part])).sum();
    assert!((sum / bits(&found["total"]) - 1.0).abs() < 1e-9);
    assert_eq!(column(found, "evaluations").iter().sum::<f64>(), number(&found["evaluations"]));
    assert!(number(&found["solver_error_bits_per_dim"]) < 0.05 && number(&found["probe_error_bits_per_dim"]) > 0.0);
    assert!(bits(&found["total"]) > 0.0 && bits(&found["total"]) < 12.0, "{found}");
    // By itself, in other batches, on other threads: the same bits.
    let same = |a: &Value, b: &Value| {
        let bare = |value: &Value| {
            let mut value = value.clone();
            for key in ["seconds", "batch_size"] {
                value.as_object_mut().unwrap().remove(key);
            }
            value
        };
        assert_eq!(bare(a), bare(b));
    };
    let args = ["--limit", "5", "--probes", "2"];
    for other in [
        &["--batch-size", "64"][..],
        &["--batch-size", "1", "--threads", "1"],
        &["--batch-size", "3", "--threads", "2"],
    ] {
        same(found, &flow(dir, "m", &data, &[&args, other].concat()));
    }
    // More images leave those that there were, and another seed has other noise.
    let more = flow(dir, "m", &data, &["--limit", "7", "--probes", "2"]);
    assert_eq!(self::totals(&more)[..5], totals[..]);
    assert_ne!(self::totals(&flow(dir, "m", &data, &["--limit", "5", "--probes", "2", "--seed", "1"])), totals);
    // Draws tell what noise and probes make.
    let draws = flow(dir, "m", &data, &["--limit", "2", "--draws", "3"]);
    assert!(number(&draws["draw_error_bits_per_dim"]) > 0.0 && draws["probe_error_bits_per_dim"].is_null());
}

/// The first step in place of uniform noise: the bound with the exact likelihood of x_1 in place of prior and steps.
#[test]
fn the_first_step_has_the_decoder_of_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    for model in ["model", "model-learned"] {
        variant(dir, model, model, |_| ());
        let args = [
            "eval",
            "--model",
            model,
            "--dataset",
            &data,
            "--flow",
            "--dequantization",
            "first-step",
            "--json",
            "e.json",
        ];
        succeed(dir, &[&args[..], &["--steps", "continuous", "--limit", "10", "--draws", "4"]].concat());
        let both = json(&dir.join("e.json"));
        let found = &both["flow"];
        assert_eq!(found["start"], "first-step");
        // ln q(x_1 | x_0) has the mean -d/2 ln(2 π e (1 - ᾱ_1)); the noise is another.
        let beta_1: f64 = 0.0005;
        let density = -0.5 * (std::f64::consts::TAU * std::f64::consts::E * beta_1).log2();
        let expected = bits(&both["decoder_term"]) + density;
        let off = (bits(&found["start_term"]) - expected).abs();
        assert!(off < 0.15, "{} for {expected}", found["start_term"]);
        assert!(bits(&found["total"]).is_finite());
    }
}

#[test]
fn every_network_and_reading_has_a_flow() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let pictures = images(dir, 2);
    let short = ["--flow-steps", "2", "--flow-solver", "heun"];
    for reading in ["epsilon", "x0", "v"] {
        let set = format!("diffusion.parameterization={reading}");
        let name = format!("unet-{reading}");
        train_tiny(dir, &name, &["--steps", "1", "--sample-every", "0", "--set", &set]);
        let found = flow(dir, &format!("runs/{name}/model"), &pictures, &short);
        assert_eq!((&found["solver"], &found["steps"], &found["evaluations"]), (&"heun".into(), &2.into(), &10.into()));
        assert!(bits(&found["total"]).is_finite(), "{found}");
        let out = format!("runs/mlp-{reading}");
        succeed(dir, &[&["train", "--out", &out, "--steps", "30", "--set", &set], POINTS].concat());
        let found = flow(dir, &format!("{out}/model"), "toy:swiss-roll", &["--limit", "5"]);
        assert_eq!((&found["trace"], &found["start"]), (&"exact".into(), &"density".into()));
        assert!(bits(&found["total"]).is_finite() && found["probe_error_bits_per_dim"] == 0.0, "{found}");
    }
    // Classes, known and not.
    train_tiny(dir, "classes", &["--steps", "2", "--sample-every", "0", "--class-conditional"]);
    let of = |extra: &[&str]| {
        let args = ["--split", "train", "--limit", "2"];
        flow(dir, "runs/classes/model", "fashion-mnist-mini", &[&args, &short[..], extra].concat())
    };
    let (labels, none) = (of(&[]), of(&["--ignore-labels"]));
    assert_eq!(labels["condition"], "labels");
    assert!(none["condition"]["null_class"].is_u64() && none["divergence"] != labels["divergence"]);
    // A schedule that ends in pure noise.
    let data = squares(dir);
    variant(dir, "model", "zero", |scheduler| {
        scheduler["rescale_betas_zero_snr"] = true.into();
        scheduler["prediction_type"] = "v_prediction".into();
    });
    assert!(bits(&flow(dir, "zero", &data, &["--limit", "2"])["total"]).is_finite());
}

/// A density integrates to 1: here over a grid that widens outwards, `x = sinh(u)`, for a small network has heavy tails.
#[test]
fn the_density_of_points_integrates_to_one() {
    const SIDE: i32 = 20;
    const STEP: f64 = 0.3;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, &[&["train", "--out", "runs/p", "--steps", "300"], POINTS].concat());
    let axis = || (-SIDE..=SIDE).map(|i| STEP * f64::from(i));
    let grid: Vec<[f64; 2]> = axis().flat_map(|u| axis().map(move |v| [u, v])).collect();
    points(&dir.join("grid.npy"), &grid.iter().map(|at| at.map(|u| u.sinh() as f32)).collect::<Vec<_>>());
    let args = ["--in-order", "--tolerance", "1e-3", "--batch-size", "2048"];
    let found = flow(dir, "runs/p/model", "npy:grid.npy", &args);
    let cells = grid.iter().map(|at| at.iter().map(|u| STEP * u.cosh()).product::<f64>());
    let total: f64 = totals(&found).iter().zip(cells).map(|(nats, cell)| (-nats).exp() * cell).sum();
    assert!((total - 1.0).abs() < 0.01, "{total}");
}

#[test]
fn what_has_no_flow_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let refused = |code, args: &[&str], parts: &[&str]| {
        let all = ["eval", "--model", "m", "--dataset", &data, "--json", "e.json"];
        contains(&unwrapped(&fail(dir, code, &all.iter().chain(args).copied().collect::<Vec<_>>())), parts);
        assert!(!dir.join("e.json").exists(), "{args:?}");
    };
    refused(2, &["--flow", "--probes", "0"], &["--probes must be at least 1 (found 0)"]);
    refused(2, &["--flow", "--tolerance", "0"], &["--tolerance must be a number above 0"]);
    refused(2, &["--flow", "--tolerance", "nan"], &["--tolerance"]);
    refused(2, &["--flow", "--flow-steps", "0"], &["--flow-steps must be at least 1"]);
    refused(2, &["--flow", "--flow-steps", "3", "--tolerance", "1e-3"], &["--tolerance"]);
    refused(2, &["--flow", "--trace", "skilling"], &["skilling", "rademacher"]);
    refused(2, &["--flow", "--trace", "exact", "--probes", "2"], &["--probes 2", "--trace exact has no random probes"]);
    refused(2, &["--probes", "2"], &["--flow"]);
    refused(2, &["--flow", "--steps", "5"], &["--steps 5", "leave --steps out"]);
    refused(2, &["--flow", "--spacing", "leading"], &["--spacing leading", "leave --spacing out"]);
    refused(2, &["--flow", "--noise", "n.npy"], &["--noise n.npy", "--seed"]);
    refused(2, &["--no-bound"], &["--regret, --fit or --flow"]);
    refused(1, &["--flow", "--no-bound", "--limit", "41"], &["--limit 41", "40 examples"]);
    refused(1, &["--flow", "--no-bound", "--variance", "analytic"], &["fit.json is not there"]);
    let said = fail(dir, 2, &["eval", "--dataset", &data, "--samples", "nothing", "--flow"]);
    contains(&unwrapped(&said), &["--model"]);
    // Points have no levels.
    succeed(dir, &[&["train", "--out", "runs/p", "--steps", "1"], POINTS].concat());
    let args = ["eval", "--model", "runs/p/model", "--dataset", "toy:swiss-roll", "--no-bound", "--flow"];
    let said = fail(dir, 1, &[&args[..], &["--dequantization", "uniform"]].concat());
    contains(&unwrapped(&said), &["--dequantization uniform", "no 8-bit values"]);
    // Weights that are not numbers.
    let weights = dir.join("m/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 400..].fill(0xff);
    fs::write(&weights, bytes).unwrap();
    refused(1, &["--flow", "--no-bound", "--in-order"], &["diffusion_pytorch_model.safetensors", "not finite"]);
}

/// What is done by then is the result.
#[test]
fn a_signal_leaves_the_examples_that_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let args =
        ["eval", "--model", "m", "--dataset", &data, "--flow", "--no-bound", "--draws", "3000", "--json", "e.json"];
    let mut child = sfumato(dir).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("computing the likelihood of 40 of 40 examples") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    let found = json(&dir.join("e.json"));
    // Before the first example is done there is no likelihood.
    match found.get("flow") {
        Some(flow) => assert!(flow["stopped"].as_bool().unwrap() && number(&flow["examples"]) < 40.0, "{flow}"),
        None => assert!(rest.contains("stopped before there was a likelihood"), "{rest}"),
    }
}
