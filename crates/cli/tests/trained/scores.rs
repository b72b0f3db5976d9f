//! Bits/dim against numpy and PyTorch in float64.

use serde_json::Value;

use crate::{
    common::{json, succeed},
    golden::{REFERENCES, path, write_noise},
};

/// Largest difference in bits/dim, of the number, at least 1.
const TOLERANCE: f64 = 1e-5;

/// Scores `model` on the test images, every step of the chain with the noise of `make.py`, and compares with the bound called `name`.
fn compare(model: &str, name: &str, args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let expected = &REFERENCES.json["scores"][model][name];
    let [steps, examples] = ["steps", "examples"].map(|key| expected[key].as_u64().unwrap());
    write_noise(&dir.path().join("noise.npy"), steps as usize, examples as usize);
    let (data, model_dir) = (format!("npy:{}", path("test.npz")), path(model));
    let (steps, examples) = (steps.to_string(), examples.to_string());
    let all = ["eval", "--model", &model_dir, "--dataset", &data, "--noise", "noise.npy", "--stride", "1"];
    let size = ["--steps", &steps, "--limit", &examples, "--threads", "1", "--json", "out.json"];
    succeed(dir.path(), &[&all[..], &size, args].concat());
    let found = json(&dir.path().join("out.json"));
    let bits = |part: &str| found[part]["bits_per_dim"].as_f64().unwrap();
    close(name, "total", bits("total"), &expected["total"]);
    close(name, "prior", bits("prior"), &expected["prior"]);
    close(name, "decoder", bits("decoder_term"), &expected["decoder"]);
    close(name, "diffusion", bits("diffusion"), &expected["diffusion"]);
    let error = found["total"]["bits_per_dim_standard_error"].as_f64().unwrap();
    close(name, "standard error", error, &expected["standard_error"]);
}

fn close(name: &str, what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let difference = (found - expected).abs() / expected.abs().max(1.0);
    println!("{name} {what}: {found}, {difference:.1e}");
    assert!(difference <= TOLERANCE, "{name} {what}: {found} against {expected}");
}

#[test]
fn bits_per_dim_of_predictions_of_the_noise() {
    compare("linear-epsilon", "bound", &[]);
}

#[test]
fn bits_per_dim_of_the_chain_of_all_steps() {
    compare("linear-epsilon", "bound_full", &[]);
}

#[test]
fn bits_per_dim_of_predictions_of_v() {
    compare("cosine-v", "bound", &[]);
}
