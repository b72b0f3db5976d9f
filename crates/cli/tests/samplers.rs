//! Every sampler through the program: its options, its defaults from the model, and replayed noise.

mod common;

use std::path::Path;

use common::{fail, read_npy, stderr, succeed, train_tiny};
use serde_json::{Value, json};

const SAMPLERS: [&str; 8] =
    ["ddpm", "ddim", "dpm-solver++", "dpm-solver++-sde", "unipc", "euler", "euler-ancestral", "heun"];

/// A model of one training step, with the given changes to its scheduler.
fn model(dir: &Path, changes: Value) -> String {
    let run = train_tiny(dir, "a", &["--steps", "1", "--sample-every", "0"]);
    change_scheduler(&run.join("model"), &changes);
    run.join("model").to_str().unwrap().to_owned()
}

/// Sets keys of a model's scheduler.
fn change_scheduler(model: &Path, changes: &Value) {
    let path = model.join("scheduler/scheduler_config.json");
    let mut scheduler: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        scheduler[key] = value.clone();
    }
    std::fs::write(&path, scheduler.to_string()).unwrap();
}

fn sample(dir: &Path, model: &str, args: &[&str]) -> (Vec<f32>, String) {
    let all = ["sample", "--model", model, "--num", "2", "--out", "out", "--overwrite"];
    let output = succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    let (shape, values) = read_npy(&dir.join("out/samples.npy"));
    assert_eq!(shape, [2, 1, 28, 28]);
    assert!(values.iter().all(|value| value.is_finite()), "{args:?}");
    (values, stderr(&output))
}

#[test]
fn every_sampler_draws_with_its_options_and_the_same_seed_gives_the_same_samples() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for args in [
        &["--sampler", "ddpm", "--steps", "5"][..],
        &["--sampler", "ddpm", "--steps", "5", "--spacing", "linspace"],
        &["--sampler", "ddim", "--steps", "5"],
        &["--sampler", "ddim", "--steps", "5", "--ddim", "diffusers"],
        &["--sampler", "ddim", "--steps", "5", "--eta", "0.5"],
        &["--sampler", "dpm-solver++", "--steps", "5", "--order", "1"],
        &["--sampler", "dpm-solver++", "--steps", "5", "--order", "2"],
        &["--sampler", "dpm-solver++", "--steps", "5", "--order", "3"],
        &["--sampler", "dpm-solver++", "--steps", "5", "--karras"],
        &["--sampler", "dpm-solver++-sde", "--steps", "5"],
        &["--sampler", "dpm-solver++-sde", "--steps", "5", "--order", "1", "--karras"],
        &["--sampler", "unipc", "--steps", "5"],
        &["--sampler", "unipc", "--steps", "5", "--order", "3", "--karras"],
        &["--sampler", "euler-ancestral", "--steps", "5"],
        &["--sampler", "euler-ancestral", "--steps", "5", "--karras"],
        &["--sampler", "euler", "--steps", "5"],
        &["--sampler", "euler", "--steps", "5", "--karras=true", "--spacing", "leading"],
        &["--sampler", "heun", "--steps", "5"],
    ] {
        let (values, said) = sample(dir.path(), &model, args);
        assert!(said.contains(&format!("5 steps of {} each", args[1])), "{said}");
        // One by one they are the same.
        let singly = [args, &["--batch-size", "1"]].concat();
        assert_eq!(values, sample(dir.path(), &model, &singly).0, "{args:?}");
        assert!(!seen.contains(&values), "{args:?} is different from all others");
        seen.push(values);
    }
}

#[test]
fn the_models_scheduler_decides_what_is_not_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = model(
        dir.path(),
        json!({"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "timestep_spacing": "trailing"}),
    );
    let (values, said) = sample(dir.path(), &path, &[]);
    assert!(said.contains("20 steps of dpm-solver++"), "{said}");
    // The solver's class has no clipping, here as in diffusers.
    assert!(said.contains("`clip_sample` is true, which another scheduler has left there"), "{said}");
    let said_aloud = ["--sampler", "dpm-solver++", "--steps", "20", "--order", "3", "--spacing", "trailing"];
    assert_eq!(values, sample(dir.path(), &path, &said_aloud).0);
    assert_ne!(values, sample(dir.path(), &path, &["--order", "2"]).0);

    let path = model_again(dir.path(), json!({"_class_name": "PNDMScheduler"}));
    let (values, said) = sample(dir.path(), &path, &["--steps", "2"]);
    assert!(said.contains("PNDMScheduler") && said.contains("ddim is used instead (--sampler"), "{said}");
    assert_eq!(values, sample(dir.path(), &path, &["--sampler", "ddim", "--steps", "2"]).0);
    sample(dir.path(), &path, &["--sampler", "euler", "--steps", "2"]);
}

/// As [`model`], in another run.
fn model_again(dir: &Path, changes: Value) -> String {
    let folder = dir.join("again");
    std::fs::create_dir_all(&folder).unwrap();
    model(&folder, changes)
}

#[test]
fn one_entry_of_noise_is_enough_for_what_draws_none() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    let mut noise = vec![0.0; 2 * 784];
    for (sample, values) in noise.chunks_exact_mut(784).enumerate() {
        let purpose = sfumato_process::noise::Purpose::Sampling;
        sfumato_process::noise::fill_normal(9, purpose, sample as u64, 0, values);
    }
    sfumato_files::write_npy_f32(&dir.path().join("noise.npy"), &[1, 2, 1, 28, 28], &noise).unwrap();
    for sampler in ["ddim", "dpm-solver++", "unipc", "euler", "heun"] {
        let args = ["--sampler", sampler, "--steps", "3"];
        let replayed = sample(dir.path(), &model, &[&args[..], &["--noise", "noise.npy"]].concat()).0;
        assert_eq!(replayed, sample(dir.path(), &model, &[&args[..], &["--seed", "9"]].concat()).0, "{sampler}");
    }
    for args in [
        &["--sampler", "ddpm"][..],
        &["--sampler", "ddim", "--eta", "1"],
        &["--sampler", "dpm-solver++-sde"],
        &["--sampler", "euler-ancestral"],
    ] {
        let all = ["sample", "--model", &model, "--num", "2", "--steps", "3", "--out", "x", "--noise", "noise.npy"];
        let said = fail(dir.path(), 1, &[&all[..], args].concat());
        assert!(said.contains("noise.npy") && said.contains("1 entries"), "{said}");
    }
}

/// The numbers that a seed stands for, from a file: entry `k` for step `k`, none for the last one.
#[test]
fn the_noise_of_every_step_can_be_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    let mut noise = vec![0.0; 4 * 2 * 784];
    for (i, values) in noise.chunks_exact_mut(784).enumerate() {
        let (draw, sample) = (i as u64 / 2, i as u64 % 2);
        sfumato_process::noise::fill_normal(9, sfumato_process::noise::Purpose::Sampling, sample, draw, values);
    }
    sfumato_files::write_npy_f32(&dir.path().join("noise.npy"), &[4, 2, 1, 28, 28], &noise).unwrap();
    for args in [
        &["--sampler", "ddpm"][..],
        &["--sampler", "dpm-solver++-sde", "--order", "2"],
        &["--sampler", "dpm-solver++-sde", "--karras"],
        &["--sampler", "euler-ancestral"],
    ] {
        let all = |more: &[&'static str]| sample(dir.path(), &model, &[args, &["--steps", "4"], more].concat()).0;
        assert_eq!(all(&["--noise", "noise.npy"]), all(&["--seed", "9"]), "{args:?}");
    }
}

/// diffusers' classes and algorithms, as `save_pretrained` writes them.
#[test]
fn a_pipeline_is_drawn_by_the_sampler_that_its_scheduler_names() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({"clip_sample": false, "timestep_spacing": "linspace"}));
    for (scheduler, name, args) in [
        (json!({"_class_name": "EulerAncestralDiscreteScheduler"}), "euler-ancestral", &[][..]),
        (
            json!({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": true}),
            "dpm-solver++-sde",
            &["--karras"],
        ),
        (
            json!({"_class_name": "UniPCMultistepScheduler", "solver_order": 3, "solver_type": "bh2", "use_karras_sigmas": false}),
            "unipc",
            &["--order", "3"],
        ),
    ] {
        change_scheduler(Path::new(&model), &json!({"_class_name": "DDPMScheduler"}));
        let asked = sample(dir.path(), &model, &[&["--steps", "4", "--sampler", name], args].concat()).0;
        change_scheduler(Path::new(&model), &scheduler);
        let (values, said) = sample(dir.path(), &model, &["--steps", "4"]);
        assert!(said.contains(&format!("4 steps of {name} each")) && !said.contains("instead"), "{said}");
        assert_eq!(values, asked, "{name}");
        let written = std::fs::read(dir.path().join("out/sample.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap()["settings"]["sampler"], name);
    }
}

#[test]
fn options_of_another_sampler_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    for (args, expected) in [
        (&["--sampler", "euler", "--eta", "0.5"][..], "--eta 0.5"),
        (&["--sampler", "ddpm", "--order", "2"], "--order 2: only dpm-solver++, dpm-solver++-sde, unipc have it"),
        (&["--sampler", "euler-ancestral", "--eta", "0.5"], "--eta 0.5"),
        (&["--sampler", "ddim", "--karras"], "--karras"),
        (&["--sampler", "heun", "--ddim", "diffusers"], "--ddim"),
        (&["--sampler", "dpm-solver++", "--order", "4"], "4"),
        (&["--sampler", "plms"], "dpm-solver++"),
        (&["--sampler", "dpm++"], "did you mean `dpm-solver++`?"),
        (&["--sampler", "dpmpp_2m"], "did you mean `dpm-solver++`"),
        (&["--sampler", "euler_a_karras"], "`euler-ancestral --karras`"),
        (&["--sampler", "ddmp"], "did you mean `ddpm`?"),
        (&["--spacing", "middle"], "leading, linspace, trailing"),
        (&["--spacing", "trailling"], "did you mean `trailing`?"),
        (&["--spacing", "karras"], "--karras"),
        (&["--seed", "-1"], "--seed must be at least 0 (found -1)"),
        (&["--seed", "first"], "--seed must be a whole number"),
        (&["--eta", "-0.5"], "--eta must be a number from 0 to 1 (found -0.5)"),
        (&["--guidance", "-1"], "--guidance must be 0 or a number above it (found -1)"),
        (&["--steps", "0"], "1 to 1000"),
        (&["--steps", "2000"], "1 to 1000"),
        (&["--steps", "-3"], "--steps"),
        (&["--sampler", "heun", "--steps", "1001"], "1 to 1000"),
    ] {
        let all = ["sample", "--model", &model, "--out", "x"];
        let said = fail(dir.path(), 2, &all.iter().chain(args).copied().collect::<Vec<_>>());
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn samplers_and_spacings_go_by_names_in_any_case_and_by_those_of_diffusers() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    let values = |args: &[&str]| sample(dir.path(), &model, &[&["--steps", "2"], args].concat()).0;
    for (name, other) in [
        ("ddim", "DDIM"),
        ("ddim", "DDIMScheduler"),
        ("dpm-solver++", "DPMSolverMultistepScheduler"),
        ("heun", "HeunDiscreteScheduler"),
        ("unipc", "UniPCMultistepScheduler"),
        ("euler-ancestral", "euler_a"),
        ("dpm-solver++-sde", "dpmpp_2m_sde"),
    ] {
        assert_eq!(values(&["--sampler", name]), values(&["--sampler", other]), "{other}");
    }
    assert_eq!(values(&["--spacing", "leading"]), values(&["--spacing", "Leading"]));
}

/// `⌊T/S⌋` is 1 from 501 steps on: the chain starts at step S, in whose state much of the picture should be.
#[test]
fn a_start_where_much_of_the_picture_should_be_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({"timestep_spacing": "leading"}));
    let said = |args: &[&str]| sample(dir.path(), &model, &[&["--batch-size", "2"], args].concat()).1;
    for sampler in [&["--steps", "600"][..], &["--steps", "501", "--sampler", "ddim"]] {
        let warning = said(sampler);
        let steps = sampler[1];
        let share = if steps == "600" { "16 %" } else { "28 %" };
        for part in [
            &format!("{steps} steps with spacing `leading` start at step {steps} of 1000"),
            share,
            "--spacing trailing",
        ] {
            assert!(warning.contains(part), "'{part}' is not in:\n{warning}");
        }
        assert!(warning.contains("linspace") && warning.contains("step 1000"), "{warning}");
    }
    assert!(said(&["--steps", "600", "--sampler", "euler"]).contains("start at step 600 of 1000, where 16 %"));
    assert!(said(&["--steps", "1"]).contains("1 step with spacing `leading` starts at step 1 of 1000"));
    for quiet in [&["--steps", "500"][..], &["--steps", "600", "--spacing", "linspace"], &["--steps", "50"], &[]] {
        let said = said(quiet);
        assert!(!said.contains("spacing"), "{quiet:?}: {said}");
    }
}

#[test]
fn steps_that_are_too_few_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    let said = |args: &[&str]| sample(dir.path(), &model, args).1;
    for (sampler, few, enough) in [
        ("ddpm", "9", "10"),
        ("ddim", "19", "20"),
        ("dpm-solver++", "9", "10"),
        ("dpm-solver++-sde", "9", "10"),
        ("unipc", "9", "10"),
        ("euler", "19", "20"),
        ("euler-ancestral", "9", "10"),
        ("heun", "3", "4"),
    ] {
        let note = said(&["--sampler", sampler, "--steps", few]);
        assert!(note.contains(&format!("{few} steps of {sampler} draw blurred")) && note.contains(enough), "{note}");
        assert!(!said(&["--sampler", sampler, "--steps", enough]).contains("note: "), "{sampler}");
    }
}

/// Karras levels on the cosine schedule, of which several share a step.
#[test]
fn karras_levels_on_the_cosine_schedule_give_finite_samples() {
    let dir = tempfile::tempdir().unwrap();
    for (order, solver_type) in [(2, "midpoint"), (3, "heun")] {
        for (end, limit) in [("zero", Value::Null), ("sigma_min", json!(-5.1))] {
            let folder = dir.path().join(format!("{order}-{end}"));
            std::fs::create_dir(&folder).unwrap();
            let model = model(
                &folder,
                json!({
                    "_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "squaredcos_cap_v2",
                    "use_karras_sigmas": true, "solver_order": order, "solver_type": solver_type,
                    "final_sigmas_type": end, "lower_order_final": false, "lambda_min_clipped": limit,
                }),
            );
            for steps in ["1", "2", "20", "1000"] {
                let said = sample(&folder, &model, &["--steps", steps]).1;
                let plural = if steps == "1" { "" } else { "s" };
                assert!(said.contains(&format!("{steps} step{plural} of dpm-solver++")), "{said}");
            }
        }
    }
}

#[test]
fn an_animation_can_have_one_step_and_one_sample_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), json!({}));
    for sampler in SAMPLERS {
        sample(dir.path(), &model, &["--sampler", sampler, "--steps", "1", "--batch-size", "1", "--gif"]);
        let gif = std::fs::read(dir.path().join("out/denoising.gif")).unwrap();
        assert_eq!(&gif[..4], b"GIF8", "{sampler}");
    }
}

#[test]
fn help_explains_every_sampler_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    let help = common::stdout(&succeed(dir.path(), &["sample", "--help"]));
    for sampler in SAMPLERS {
        assert!(help.contains(&format!("--sampler {sampler} ")), "{sampler}");
    }
}

#[test]
fn a_schedule_is_checked_with_the_spacing_of_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = model(dir.path(), json!({"timestep_spacing": "leading"}));
    let check = |path: &str, args: &[&str]| {
        common::stdout(&succeed(dir.path(), &[&["schedule", "check", path], args].concat()))
    };
    let said = check(&path, &[]);
    assert!(said.contains("note: with spacing `leading`, 501 to 999 sampling steps"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    // The default of 50 steps is more than half of 60.
    let short = check(&path, &["--steps", "60"]);
    assert!(short.contains("warning: 50 steps with spacing `leading` start at step 50 of 60"), "{short}");
    fail(dir.path(), 1, &["schedule", "check", &path, "--steps", "60", "--strict"]);
    let found: Value = serde_json::from_str(&check(&path, &["--steps", "60", "--json"])).unwrap();
    let findings = found[0]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["finding"] == "late-start"), "{found}");
    let linspace = model_again(dir.path(), json!({"timestep_spacing": "linspace"}));
    assert!(!check(&linspace, &["--steps", "60"]).contains("spacing"));
}
