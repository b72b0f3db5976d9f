//! Every sampler against diffusers', for the same noise.

use std::path::Path;

use serde_json::Value;

use crate::{
    common::{read_npy, succeed},
    golden::{REFERENCES, SAMPLES, path, with_scheduler, write_noise},
};

/// Largest difference from diffusers' steps in float64, of the samples' largest value, at least 1.
const FROM_FLOAT64: f64 = 2e-4;
/// The same from diffusers as it is: the tolerance of `cargo xtask conformance`, or where that is more, twice what diffusers is away from its
/// own steps in float64. On the cosine schedule its first level is 20291, which leaves three digits of float32 for the next states.
const FROM_FLOAT32: f64 = 1e-3;

/// Draws from the model in `model` with the first `entries` of the noise, and compares with the case `name`.
pub(crate) fn compare(dir: &Path, model: &str, name: &str, entries: usize, args: &[&str]) {
    write_noise(&dir.join("noise.npy"), entries, SAMPLES);
    let num = SAMPLES.to_string();
    let all = ["sample", "--model", model, "--num", &num, "--noise", "noise.npy", "--out", "out", "--overwrite"];
    succeed(dir, &[&all[..], args, &["--threads", "1"]].concat());
    let (_, found) = read_npy(&dir.join("out/samples.npy"));
    let (single, double) = (&REFERENCES.samples[name], &REFERENCES.samples[&format!("{name}/float64")]);
    let (from_double, from_single, rounding) =
        (difference(&found, double), difference(&found, single), difference(single, double));
    let what = format!("{name}, {}", args.join(" "));
    println!(
        "{what}: {from_double:.1e} from float64, {from_single:.1e} from diffusers, which is {rounding:.1e} from float64"
    );
    assert!(from_double <= FROM_FLOAT64, "{what}: {from_double}");
    assert!(from_single <= FROM_FLOAT32.max(2.0 * rounding), "{what}: {from_single}");
}

/// The largest difference, of the largest value of what is expected, at least 1.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    assert!(found.len() == expected.len() && found.iter().chain(expected).all(|value| value.is_finite()));
    let largest = expected.iter().fold(1.0, |largest: f64, value| largest.max(f64::from(value.abs())));
    let differences = found.iter().zip(expected).map(|(found, expected)| f64::from((found - expected).abs()));
    differences.fold(0.0, f64::max) / largest
}

/// All cases of a model, each with the scheduler that diffusers wrote.
fn every_sampler(model: &str) {
    let cases = REFERENCES.json["cases"].as_array().unwrap().iter();
    let own: Vec<&Value> = cases.filter(|case| case["model"] == model).collect();
    assert!(own.len() >= 10, "{}", own.len());
    for case in own {
        let dir = tempfile::tempdir().unwrap();
        with_scheduler(dir.path(), model, case["scheduler"].as_str().unwrap());
        let args: Vec<&str> = case["arguments"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let entries = case["entries"].as_u64().unwrap() as usize;
        compare(dir.path(), "model", case["name"].as_str().unwrap(), entries, &args);
    }
}

#[test]
fn predictions_of_the_noise_on_linear_betas_give_the_samples_of_diffusers() {
    every_sampler("linear-epsilon");
}

#[test]
fn predictions_of_v_on_the_cosine_schedule_give_the_samples_of_diffusers() {
    every_sampler("cosine-v");
}

/// The directories as they were trained, with a DDPMScheduler: `--sampler` does what a change of the class does in diffusers, where both
/// clip.
#[test]
fn a_sampler_that_was_asked_for_does_what_its_class_would() {
    let dir = tempfile::tempdir().unwrap();
    for model in ["linear-epsilon", "cosine-v"] {
        let ddim = ["--sampler", "ddim", "--ddim", "diffusers", "--steps", "50"];
        for (case, entries, args) in [
            ("ddpm-50", 51, &["--steps", "50"][..]),
            ("ddim-50", 1, &ddim[..]),
            ("ddim-50-eta-1", 51, &[&ddim[..], &["--eta", "1"]].concat()[..]),
            ("heun-18", 1, &["--sampler", "heun", "--steps", "18"][..]),
            ("heun-18-karras", 1, &["--sampler", "heun", "--steps", "18", "--karras"][..]),
        ] {
            compare(dir.path(), &path(model), &format!("{model}/{case}"), entries, args);
        }
    }
}
