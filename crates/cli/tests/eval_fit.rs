//! A model is fitted through the program: better variances and better steps, and what is refused.

mod common;

use std::{fs, path::Path};

use common::{contains, fail, json, read_npy, squares, stderr, stdout, succeed, train_tiny, unwrapped, variant};
use serde_json::Value;

/// A copy of the golden model of 8×8 pictures with twelve steps, fitted at every step on the squares.
fn fitted(dir: &Path) -> String {
    let data = squares(dir);
    variant(dir, "model", "m", |_| ());
    let before = fs::read(dir.join("m/unet/diffusion_pytorch_model.safetensors")).unwrap();
    let args = ["eval", "--model", "m", "--dataset", &data, "--fit", "--fit-examples", "40", "--fit-stride", "1"];
    let said = stdout(&succeed(dir, &[&args[..], &["--no-bound", "--json", "fitted.json"]].concat()));
    contains(&said, &["m/fit.json", "fixed-small, even / best", "analytic, even / best", "--spacing best"]);
    assert!(before == fs::read(dir.join("m/unet/diffusion_pytorch_model.safetensors")).unwrap(), "weights stay");
    data
}

/// The bound on the examples of the fit.
fn bound(dir: &Path, model: &str, data: &str, args: &[&str]) -> f64 {
    let all = ["eval", "--model", model, "--dataset", data, "--split", "train", "--stride", "1", "--json", "b.json"];
    succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    json(&dir.join("b.json"))["total"]["bits_per_dim"].as_f64().unwrap()
}

#[test]
fn the_terms_of_the_fit_are_the_bound_and_the_best_steps_are_never_worse() {
    let dir = tempfile::tempdir().unwrap();
    let data = fitted(dir.path());
    let rows = json(&dir.path().join("fitted.json"))["fit"]["bits_per_dim"].as_array().unwrap().clone();
    let of = |row: &Value, rule: &str, which: &str| row[rule][which].as_f64().unwrap();
    let counts: Vec<u64> = rows.iter().map(|row| row["steps"].as_u64().unwrap()).collect();
    assert_eq!(counts, [5, 10, 12]);
    let mut improved = false;
    for row in &rows {
        for rule in ["fixed-small", "analytic", "optimal"] {
            let (even, best) = (of(row, rule, "even"), of(row, rule, "best"));
            assert!(best <= even + 1e-12, "{row}");
            improved |= best < even - 0.01;
            assert!(of(row, "optimal", "even") <= even + 1e-3 && of(row, "optimal", "best") <= best + 1e-3, "{row}");
        }
    }
    assert!(improved, "{rows:?}");
    // All steps have the noise of the fit: the same numbers, but for the interpolation of the decoder's term.
    let row = &rows[2];
    for rule in ["fixed-small", "analytic", "optimal"] {
        let found = bound(dir.path(), "m", &data, &["--variance", rule]);
        let expected = of(row, rule, "even");
        assert!((found - expected).abs() < 2e-3, "{rule}: {found} for {expected}");
    }
    let small = bound(dir.path(), "m", &data, &[]);
    let optimal = bound(dir.path(), "m", &data, &["--variance", "optimal"]);
    assert!(optimal < small, "{optimal} for {small}");
    // Fewer steps have other noise; the standard error of the difference is far below what the steps gain.
    for count in ["3", "5", "8"] {
        let even = bound(dir.path(), "m", &data, &["--steps", count, "--draws", "8"]);
        let best = bound(dir.path(), "m", &data, &["--steps", count, "--draws", "8", "--spacing", "best"]);
        assert!(best <= even + 0.01, "{count} steps: {best} for {even}");
    }
}

#[test]
fn a_fit_is_shown_exported_and_drawn_with() {
    let dir = tempfile::tempdir().unwrap();
    let data = fitted(dir.path());
    let info = unwrapped(&stdout(&succeed(dir.path(), &["info", "m"])));
    contains(&info, &["fit on 40 training examples of npy:squares.npy", "--spacing best"]);
    let file = json(&dir.path().join("m/fit.json"));
    assert_eq!(file["log_variances"]["analytic"].as_array().unwrap().len(), 12);
    assert_eq!(file["best_steps"]["fixed-small"]["12"].as_array().unwrap().len(), 12);
    assert_eq!(file["data"]["dataset"], "npy:squares.npy");
    // Another fit of the same is the same, but for the time.
    let again = |name: &str| {
        variant(dir.path(), "model", name, |_| ());
        let args = ["eval", "--model", name, "--dataset", &data, "--fit", "--fit-examples", "40", "--fit-stride", "1"];
        succeed(dir.path(), &[&args[..], &["--no-bound", "--batch-size", "7", "--threads", "1"]].concat());
        json(&dir.path().join(name).join("fit.json"))
    };
    let other = again("n");
    let error = |file: &Value, i: usize| file["measured"]["nodes"][i]["error"].as_f64().unwrap();
    for i in 0..12 {
        assert!((error(&file, i) / error(&other, i) - 1.0).abs() < 1e-4, "{i}");
    }
    assert_eq!(file["best_steps"], other["best_steps"]);
    // Drawn with, and it is known with which fit.
    let draw = |out: &str, args: &[&str]| {
        let all = ["sample", "--model", "m", "--num", "3", "--out", out];
        succeed(dir.path(), &all.iter().chain(args).copied().collect::<Vec<_>>());
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    let whole = draw("whole", &["--steps", "12", "--spacing", "linspace"]);
    assert!(whole == draw("best", &["--steps", "12", "--spacing", "best"]), "all steps are all steps");
    let six = draw("six", &["--steps", "6", "--spacing", "best", "--variance", "analytic"]);
    assert!(six.iter().all(|x| x.is_finite()) && six != draw("even", &["--steps", "6", "--spacing", "linspace"]));
    let small = draw("small", &["--steps", "12", "--spacing", "linspace", "--variance", "fixed-small"]);
    assert!(
        whole == small
            && whole != draw("large", &["--steps", "12", "--spacing", "linspace", "--variance", "fixed-large"])
    );
    let ddim = draw("ddim", &["--sampler", "ddim", "--steps", "5", "--spacing", "best"]);
    assert!(ddim.iter().all(|x| x.is_finite()));
    let record = json(&dir.path().join("six/sample.json"));
    assert_eq!((&record["settings"]["spacing"], &record["settings"]["variance"]), (&"best".into(), &"analytic".into()));
    assert!(record["settings"]["fit_sha256"].is_string());
    // An exported model has the fit, also of weights in another file.
    succeed(dir.path(), &["export", "--model", "m", "--out", "out"]);
    let same = ["--steps", "5", "--spacing", "best", "--variance", "optimal"];
    assert_eq!(bound(dir.path(), "out", &data, &same), bound(dir.path(), "m", &data, &same));
    let narrow = succeed(dir.path(), &["export", "--model", "m", "--out", "narrow", "--dtype", "f16"]);
    assert!(stderr(&narrow).contains("rounded") && !dir.path().join("narrow/fit.json").exists());
}

#[test]
fn what_cannot_be_fitted_or_has_no_fit_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = fitted(dir.path());
    let eval = |model: &str, args: &[&str]| {
        let all = ["eval", "--model", model, "--dataset", &data, "--limit", "2"];
        all.iter().chain(args).map(ToString::to_string).collect::<Vec<_>>()
    };
    let refused = |code: i32, args: &[String], parts: &[&str]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        contains(&unwrapped(&fail(dir.path(), code, &args)), parts);
    };
    let way = "`sfumato eval --model bare --dataset SPEC --fit`";
    variant(dir.path(), "model", "bare", |_| ());
    for args in [&["--variance", "analytic"][..], &["--spacing", "best", "--steps", "5"], &["--variance", "optimal"]] {
        refused(1, &eval("bare", args), &["fit.json is not there", way]);
    }
    refused(1, &["compare", "m", "bare", "--dataset", &data, "--variance", "analytic"].map(str::to_owned), &[way]);
    let sample = |model: &str, args: &[&str]| {
        let all = ["sample", "--model", model, "--num", "1", "--out", "s"];
        all.iter().chain(args).map(ToString::to_string).collect::<Vec<_>>()
    };
    refused(1, &sample("bare", &["--variance", "analytic"]), &[way]);
    refused(2, &sample("m", &["--sampler", "heun", "--spacing", "best"]), &["--spacing best", "ddpm and ddim"]);
    refused(2, &sample("m", &["--sampler", "ddim", "--variance", "analytic"]), &["--variance analytic: only ddpm"]);
    refused(
        2,
        &sample("m", &["--sampler", "ddim", "--ddim", "diffusers", "--spacing", "best"]),
        &["--ddim diffusers", "T/S steps down"],
    );
    refused(2, &eval("m", &["--steps", "13", "--spacing", "best"]), &["--steps 13", "1 to 12"]);
    refused(2, &eval("m", &["--spacing", "bset"]), &["did you mean `best`?"]);
    refused(2, &eval("m", &["--fit", "--fit-stride", "13"]), &["--fit-stride 13", "1 to 12"]);
    // A learned variance.
    variant(dir.path(), "model-learned", "learned", |_| ());
    for args in [&["--fit"][..], &["--variance", "analytic"], &["--spacing", "best"]] {
        refused(1, &eval("learned", args), &["the network says its variances itself (learned-range)"]);
    }
    assert!(!dir.path().join("learned/fit.json").exists());
    // A place that cannot be written is known before the work.
    fs::create_dir(dir.path().join("bare/fit.json")).unwrap();
    refused(1, &eval("bare", &["--fit"]), &["bare/fit.json", "a copy of the directory can be fitted"]);
}

#[test]
fn fits_of_others_and_damaged_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = fitted(dir.path());
    // The errors of clipped predictions say nothing about those of a call that does not clip.
    for fit in [["--variance", "optimal"], ["--spacing", "best"]] {
        let draw = ["sample", "--model", "m", "--steps", "4", "--num", "1", "--out", "drawn", "--overwrite"];
        let said = unwrapped(&fail(dir.path(), 1, &[&draw[..], &fit, &["--no-clip"]].concat()));
        contains(&said, &["m/fit.json", "clipping", "without --no-clip"]);
        succeed(dir.path(), &[&draw[..], &fit].concat());
    }
    let path = dir.path().join("m/fit.json");
    let whole = fs::read_to_string(&path).unwrap();
    let refused = |content: &str, parts: &[&str]| {
        fs::write(&path, content).unwrap();
        let args = ["eval", "--model", "m", "--dataset", &data, "--limit", "2", "--variance", "analytic"];
        let said = unwrapped(&fail(dir.path(), 1, &args));
        contains(&said, parts);
        contains(&said, &["m/fit.json", "`sfumato eval --model m --dataset SPEC --fit`"]);
        let info = unwrapped(&stdout(&succeed(dir.path(), &["info", "m"])));
        contains(&info, &["the fit cannot be used"]);
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&whole).unwrap();
        change(&mut value);
        value.to_string()
    };
    refused(&whole[..whole.len() / 2], &["not valid JSON"]);
    refused("{}", &["missing field"]);
    refused(
        &changed(&|value| value["format"] = "sfumato-fit-9".into()),
        &["sfumato-fit-9", "expected `sfumato-fit-1`"],
    );
    refused(&changed(&|value| value["measured"]["nodes"][3]["error"] = (-1.0).into()), &["error at step 4 is -1"]);
    refused(&changed(&|value| value["measured"]["nodes"][3]["error"] = "many".into()), &["invalid type"]);
    refused(
        &changed(&|value| drop(value["measured"]["nodes"].as_array_mut().unwrap().pop())),
        &["11 steps", "12 steps"],
    );
    refused(&changed(&|value| value["measured"]["nodes"][3]["decoder"] = Value::Array(vec![])), &["step 4 has 0"]);
    refused(&changed(&|value| value["measured"]["nodes"][2]["log_snr"] = 0.5.into()), &["log-SNR 0.5 at step 3"]);
    refused(&changed(&|value| value["clipping"]["range"] = 2.0.into()), &["clipping"]);
    refused(&changed(&|value| value["weights_sha256"][0] = "0".into()), &["the fit of other weights"]);
    // Weights that were trained on, with the fit of those before.
    fs::write(&path, &whole).unwrap();
    let weights = dir.path().join("m/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    refused(&whole, &["the fit of other weights"]);
}

/// Points: the decoder is a density. In one call, the bound is that of the fit.
#[test]
fn a_model_of_points_is_fitted_and_scored_in_one_call() {
    let dir = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--preset",
        "swiss-roll",
        "--dataset",
        "toy:eight-gaussians",
        "--steps",
        "300",
        "--sample-every",
        "0",
    ];
    succeed(dir.path(), &[&train[..], &["--threads", "1", "--out", "runs/points"]].concat());
    let args = [
        "eval",
        "--model",
        "runs/points/model",
        "--dataset",
        "toy:eight-gaussians",
        "--limit",
        "200",
        "--json",
        "b.json",
    ];
    let found = |more: &[&str]| {
        succeed(dir.path(), &[&args[..], more].concat());
        json(&dir.path().join("b.json"))
    };
    let fitted = found(&["--fit", "--variance", "analytic"]);
    assert_eq!(fitted["variance"], "analytic");
    let total = |value: &Value| value["total"]["nats"].as_f64().unwrap();
    assert_eq!(total(&fitted), total(&found(&["--variance", "analytic"])));
    assert!(total(&fitted) < total(&found(&[])), "the analytic variance lowers the bound");
    for row in fitted["fit"]["bits_per_dim"].as_array().unwrap() {
        for rule in
            ["fixed-small", "analytic", "optimal"].map(|rule| &row[rule]).into_iter().filter(|rule| !rule.is_null())
        {
            assert!(rule["best"].as_f64().unwrap() <= rule["even"].as_f64().unwrap() + 1e-12, "{row}");
        }
    }
    let few = |spacing: &str| total(&found(&["--steps", "10", "--stride", "1", "--spacing", spacing]));
    assert!(few("best") < few("linspace"), "ten steps");
    let compared =
        ["compare", "runs/points/model", "runs/points/model", "--dataset", "toy:eight-gaussians", "--limit", "20"];
    let said = stdout(&succeed(dir.path(), &[&compared[..], &["--steps", "5", "--spacing", "best"]].concat()));
    contains(&said, &["5 of ", "(best) steps"]);
}

/// A run's model is fitted where its checkpoint is; the next checkpoint has no fit.
#[test]
fn a_run_is_fitted_at_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "2", "--sample-every", "0"]);
    let args = [
        "eval",
        "--model",
        "runs/a",
        "--dataset",
        "fashion-mnist-mini",
        "--fit",
        "--fit-examples",
        "2",
        "--fit-stride",
        "500",
    ];
    succeed(dir.path(), &[&args[..], &["--no-bound"]].concat());
    assert!(run.join("checkpoints/step-0000002/fit.json").is_file());
    succeed(dir.path(), &["train", "--resume", "runs/a", "--steps", "4"]);
    let said = fail(dir.path(), 1, &["sample", "--model", "runs/a", "--spacing", "best", "--out", "s"]);
    assert!(said.contains("not been fitted"), "{said}");
}
