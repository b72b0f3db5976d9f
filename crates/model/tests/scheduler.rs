//! `scheduler_config.json` of every class: what is read, what is refused, what goes back.

use std::fs;

use serde_json::{Value, json};
use sfumato_model::Spacing;
use sfumato_model::pipeline::{Pipeline, Scheduler, Thresholding, Warning};
use sfumato_model::sampling::{FinalSigma, SamplerKind};
use sfumato_process::{
    Clipping, ModelVariance, Parameterization,
    sampler::{DpmSolverOptions, SolverEquation, SolverOrder, SolverType, UniPcOptions, UniPcScale},
};
use sfumato_schedule::{Cosine, Linear, ScheduleConfig};

fn read(json: Value) -> Scheduler {
    Scheduler::from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn every_class_brings_its_own_defaults() {
    for (class, kind, clips, spacing) in [
        ("DDPMScheduler", SamplerKind::Ddpm, true, Spacing::Leading),
        ("DDIMScheduler", SamplerKind::Ddim, true, Spacing::Leading),
        ("DPMSolverMultistepScheduler", SamplerKind::DpmSolver, false, Spacing::Linspace),
        ("UniPCMultistepScheduler", SamplerKind::UniPc, false, Spacing::Linspace),
        ("EulerDiscreteScheduler", SamplerKind::Euler, false, Spacing::Linspace),
        ("EulerAncestralDiscreteScheduler", SamplerKind::EulerAncestral, false, Spacing::Linspace),
        ("HeunDiscreteScheduler", SamplerKind::Heun, false, Spacing::Linspace),
    ] {
        let scheduler = read(json!({"_class_name": class}));
        assert_eq!(scheduler.sampler(), Some(kind));
        assert_eq!((scheduler.clip_sample, scheduler.sampling.spacing), (clips, spacing), "{class}");
        assert_eq!(scheduler.sampling.solver, DpmSolverOptions::default());
        assert_eq!(scheduler.sampling.uni_pc, UniPcOptions::default());
        let expected = if kind == SamplerKind::Heun {
            Linear { beta_start: 0.00085, beta_end: 0.012, ..Linear::default() }.into()
        } else {
            ScheduleConfig::default()
        };
        assert_eq!(scheduler.schedule, expected, "{class}");
    }
    assert_eq!(Scheduler::default(), read(json!({})));
}

#[test]
fn settings_reach_the_sampler_and_go_back_under_their_names() {
    for json in [
        json!({"_class_name": "DDPMScheduler", "variance_type": "fixed_large", "clip_sample_range": 2.0, "steps_offset": 1}),
        json!({"_class_name": "DDPMScheduler", "variance_type": "learned_range", "thresholding": true, "sample_max_value": 1.5}),
        json!({"_class_name": "DDIMScheduler", "set_alpha_to_one": false, "clip_sample": false, "timestep_spacing": "trailing"}),
        json!({
            "_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "solver_type": "heun", "lower_order_final": false,
            "euler_at_final": true, "use_karras_sigmas": true, "final_sigmas_type": "sigma_min", "lambda_min_clipped": -5.1,
            "variance_type": "learned_range", "timestep_spacing": "leading",
        }),
        json!({
            "_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction",
            "use_karras_sigmas": true, "final_sigmas_type": "sigma_min",
        }),
        json!({
            "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 1, "solver_type": "heun",
            "use_karras_sigmas": true, "timestep_spacing": "trailing",
        }),
        json!({
            "_class_name": "UniPCMultistepScheduler", "solver_order": 3, "solver_type": "bh1", "predict_x0": false,
            "lower_order_final": false, "disable_corrector": [0, 4], "use_karras_sigmas": true, "final_sigmas_type": "sigma_min",
            "timestep_spacing": "leading", "steps_offset": 1,
        }),
        json!({
            "_class_name": "UniPCMultistepScheduler", "thresholding": true, "sample_max_value": 1.5, "rescale_betas_zero_snr": true,
            "prediction_type": "v_prediction",
        }),
        json!({
            "_class_name": "EulerAncestralDiscreteScheduler", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction",
            "timestep_spacing": "trailing", "steps_offset": 1,
        }),
        json!({"_class_name": "HeunDiscreteScheduler", "clip_sample": true, "use_karras_sigmas": true}),
        // The sampler does not exist here, and all that is said about it stays.
        json!({"_class_name": "PNDMScheduler", "skip_prk_steps": true, "set_alpha_to_one": false}),
    ] {
        let scheduler = read(json.clone());
        let written = Value::from(scheduler.to_json().unwrap());
        for (key, value) in json.as_object().unwrap() {
            assert_eq!(&written[key], value, "{json}: {key}");
        }
        assert_eq!(read(written), scheduler, "{json}");
        assert!(scheduler.sampler().is_some() != scheduler.class_name.starts_with("PNDM"));
    }
    let solver = read(json!({
        "_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "solver_type": "heun", "final_sigmas_type": "sigma_min",
        "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": "-Infinity",
    }));
    assert_eq!(solver.sampling.solver.solver_type, SolverType::Heun);
    assert_eq!(solver.level_options().end, FinalSigma::First);
    assert!(solver.level_options().round_down && solver.sampling.lambda_min == f64::NEG_INFINITY);
}

#[test]
fn the_algorithm_and_the_options_of_the_multistep_classes_choose_the_sampler() {
    let dpm =
        |algorithm: &str| read(json!({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": algorithm}));
    let (ode, sde) = (dpm("dpmsolver++"), dpm("sde-dpmsolver++"));
    assert_eq!((ode.sampler(), ode.sampling.solver.equation), (Some(SamplerKind::DpmSolver), SolverEquation::Ode));
    assert_eq!((sde.sampler(), sde.sampling.solver.equation), (Some(SamplerKind::DpmSolverSde), SolverEquation::Sde));
    assert_eq!(
        (sde.nearest_sampler(), sde.class_name.as_str()),
        (SamplerKind::DpmSolverSde, "DPMSolverMultistepScheduler")
    );
    let uni_pc = |json: Value| {
        let mut json = json;
        json["_class_name"] = "UniPCMultistepScheduler".into();
        read(json).sampling.uni_pc
    };
    assert_eq!(uni_pc(json!({})).scale, UniPcScale::Bh2);
    // The names of other solvers are read as bh2, as diffusers does.
    for name in ["midpoint", "heun", "logrho"] {
        assert_eq!(uni_pc(json!({"solver_type": name})).scale, UniPcScale::Bh2, "{name}");
    }
    let all = uni_pc(json!({
        "solver_order": 3, "solver_type": "bh1", "predict_x0": false, "lower_order_final": false, "disable_corrector": [2],
        "solver_p": null,
    }));
    let expected = UniPcOptions {
        order: SolverOrder::Third,
        scale: UniPcScale::Bh1,
        predict_x0: false,
        lower_order_final: false,
        disable_corrector: vec![2],
    };
    assert_eq!(all, expected);
}

#[test]
fn only_the_schedule_that_goes_by_its_name_is_rounded_down() {
    let named = ScheduleConfig::from(Cosine { steps: 10, ..Cosine::default() });
    let other = ScheduleConfig::from(Cosine { steps: 10, max_beta: 0.5, ..Cosine::default() });
    for (schedule, down) in [(named, true), (other, false), (ScheduleConfig::default(), false)] {
        let scheduler = Scheduler { schedule, ..Scheduler::default() };
        assert_eq!(scheduler.level_options().round_down, down);
        // And from the file, where the others are betas.
        let again = read(scheduler.to_json().unwrap().into());
        assert_eq!(again.level_options().round_down, down);
    }
}

#[test]
fn clipping_follows_the_keys() {
    let clipping = |json| read(json).clipping();
    assert_eq!(clipping(json!({})), Clipping::UNIT);
    assert_eq!(clipping(json!({"clip_sample": false, "clip_sample_range": 2.0})), Clipping::Off);
    assert_eq!(clipping(json!({"clip_sample": null})), Clipping::Off);
    assert_eq!(clipping(json!({"clip_sample_range": 2.0})), Clipping::Fixed { range: 2.0 });
    let dynamic = Clipping::Dynamic { ratio: 0.9, max: 1.0 };
    assert_eq!(clipping(json!({"thresholding": true, "dynamic_thresholding_ratio": 0.9})), dynamic);
    assert_eq!(read(json!({})).thresholding, Thresholding { enabled: false, ratio: 0.995, max: 1.0 });
}

#[test]
fn logarithmic_variances_are_the_same_variances() {
    for (name, variance) in [
        ("fixed_small", ModelVariance::FixedSmall),
        ("fixed_small_log", ModelVariance::FixedSmall),
        ("fixed_large", ModelVariance::FixedLarge),
        ("fixed_large_log", ModelVariance::FixedLarge),
        ("learned_range", ModelVariance::LearnedRange),
        ("learned_log", ModelVariance::Learned),
    ] {
        let scheduler = read(json!({"variance_type": name}));
        assert_eq!(scheduler.variance, variance, "{name}");
    }
}

#[test]
fn a_rescaled_schedule_ends_in_noise_and_is_not_for_predictions_of_it() {
    let json = json!({"rescale_betas_zero_snr": true, "prediction_type": "sample"});
    let scheduler = read(json);
    assert_eq!(scheduler.parameterization, Parameterization::X0);
    assert!(scheduler.noise_schedule().unwrap().alpha_bar(1000) < 1e-16);
    // torch 2.9.1, diffusers 0.35.2: DDPMScheduler(rescale_betas_zero_snr=True, …).alphas_cumprod[[0, 500, 998]].
    for (t, expected) in [(1, 0.99989998), (501, 0.0752462), (999, 4.2132733e-9)] {
        let found = scheduler.noise_schedule().unwrap().alpha_bar(t);
        assert!((found / expected - 1.0).abs() < 1e-3, "{t}: {found}");
    }
    let refused = Scheduler::from_json(&json!({"rescale_betas_zero_snr": true})).unwrap_err().to_string();
    assert!(refused.contains("`rescale_betas_zero_snr` = true") && refused.contains("v_prediction"), "{refused}");
}

#[test]
fn what_would_change_the_samples_is_refused_by_key_and_value() {
    let solver = "DPMSolverMultistepScheduler";
    let euler = "EulerDiscreteScheduler";
    let unipc = "UniPCMultistepScheduler";
    for (json, expected) in [
        (json!({"_class_name": "ScoreSdeVeScheduler"}), "`_class_name` = \"ScoreSdeVeScheduler\""),
        (json!({"variance_type": "learned"}), "`variance_type` = \"learned\""),
        (json!({"prediction_type": "flow_prediction"}), "`prediction_type` = \"flow_prediction\""),
        (json!({"beta_schedule": "laplace"}), "`beta_schedule` = \"laplace\""),
        (json!({"timestep_spacing": "log"}), "`timestep_spacing` = \"log\""),
        (json!({"steps_offset": -1}), "`steps_offset` is -1"),
        (json!({"clip_sample_range": 0.0}), "`clip_sample_range` is 0"),
        (json!({"clip_sample_range": "Infinity"}), "`clip_sample_range` is \"Infinity\""),
        (json!({"dynamic_thresholding_ratio": 1.5}), "`dynamic_thresholding_ratio` is 1.5"),
        (json!({"sample_max_value": 0.5}), "`sample_max_value` is 0.5"),
        (json!({"num_train_timesteps": -3}), "`num_train_timesteps` is -3"),
        (json!({"num_train_timesteps": 3, "trained_betas": [0.1]}), "expected 1, the number of trained_betas"),
        (json!({"trained_betas": "many"}), "`trained_betas` is \"many\""),
        (json!({"beta_start": "small"}), "`beta_start` is \"small\""),
        (json!([]), "expected an object"),
        (json!({"_class_name": solver, "algorithm_type": "sde-dpmsolver"}), "`algorithm_type` = \"sde-dpmsolver\""),
        (
            json!({"_class_name": solver, "algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
            "`solver_order` = 3 is not supported, expected 1 or 2 with algorithm_type sde-dpmsolver++",
        ),
        (json!({"_class_name": unipc, "solver_order": 4}), "`solver_order` is 4, expected 1, 2 or 3"),
        (json!({"_class_name": unipc, "solver_type": "bh3"}), "`solver_type` = \"bh3\""),
        (json!({"_class_name": unipc, "solver_p": {"_class_name": "DDIMScheduler"}}), "`solver_p` = {"),
        (json!({"_class_name": unipc, "disable_corrector": [-1]}), "`disable_corrector` is [-1]"),
        (json!({"_class_name": unipc, "predict_x0": "no"}), "`predict_x0` is \"no\""),
        (json!({"_class_name": unipc, "use_flow_sigmas": true}), "`use_flow_sigmas` = true"),
        (json!({"_class_name": unipc, "use_exponential_sigmas": true}), "`use_exponential_sigmas` = true"),
        (json!({"_class_name": unipc, "predict_x0": false, "thresholding": true}), "`thresholding` = true"),
        (json!({"_class_name": solver, "solver_order": 4}), "`solver_order` is 4, expected 1, 2 or 3"),
        (json!({"_class_name": solver, "solver_type": "euler"}), "`solver_type` = \"euler\""),
        (
            json!({
                "_class_name": solver, "use_karras_sigmas": true, "beta_schedule": "squaredcos_cap_v2",
                "num_train_timesteps": 1, "trained_betas": [0.1],
            }),
            "`beta_schedule` = \"squaredcos_cap_v2\"",
        ),
        (json!({"_class_name": solver, "use_lu_lambdas": true}), "`use_lu_lambdas` = true"),
        (json!({"_class_name": solver, "use_flow_sigmas": true}), "`use_flow_sigmas` = true"),
        (json!({"_class_name": solver, "use_beta_sigmas": true}), "`use_beta_sigmas` = true"),
        (json!({"_class_name": solver, "final_sigmas_type": "one"}), "`final_sigmas_type` = \"one\""),
        (json!({"_class_name": solver, "lambda_min_clipped": "low"}), "`lambda_min_clipped` is \"low\""),
        (json!({"_class_name": euler, "interpolation_type": "log_linear"}), "`interpolation_type` = \"log_linear\""),
        (json!({"_class_name": euler, "timestep_type": "continuous"}), "`timestep_type` = \"continuous\""),
        (json!({"_class_name": euler, "sigma_max": 80.0}), "`sigma_max` = 80.0"),
        (json!({"_class_name": "HeunDiscreteScheduler", "use_exponential_sigmas": true}), "`use_exponential_sigmas`"),
    ] {
        let message = Scheduler::from_json(&json).unwrap_err().to_string();
        assert!(message.contains(expected), "{json}: {message}");
    }
}

#[test]
fn keys_of_other_classes_are_named_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fourier");
    fs::create_dir_all(dir.path().join("unet")).unwrap();
    for file in ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        fs::copy(golden.join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().join("scheduler_config.json");
    // As Python writes it: minus infinity is no JSON.
    let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "flavour": "NaN \" -Infinity"}"#;
    fs::write(&path, text).unwrap();
    let pipeline = Pipeline::open(dir.path()).unwrap();
    assert_eq!(pipeline.warnings, [Warning::UnknownKey { path, key: "flavour".into() }]);
    assert_eq!(pipeline.spec.scheduler.other["flavour"], "NaN \" -Infinity");
    assert_eq!(pipeline.spec.scheduler.sampling.lambda_min, f64::NEG_INFINITY);
}

#[test]
fn predict_epsilon_of_older_releases_says_what_the_network_predicts() {
    for (json, expected) in [
        (json!({"predict_epsilon": false}), Parameterization::X0),
        (json!({"predict_epsilon": true}), Parameterization::Epsilon),
        (json!({"predict_epsilon": null}), Parameterization::Epsilon),
        (json!({"predict_epsilon": null, "prediction_type": "v_prediction"}), Parameterization::V),
        (json!({"predict_epsilon": false, "prediction_type": null}), Parameterization::X0),
        (json!({"predict_epsilon": false, "prediction_type": "sample"}), Parameterization::X0),
        (json!({"predict_epsilon": true, "prediction_type": "epsilon"}), Parameterization::Epsilon),
        (json!({"predict_epsilon": false, "_class_name": "DDIMScheduler"}), Parameterization::X0),
        (json!({"predict_epsilon": false, "_class_name": "PNDMScheduler"}), Parameterization::X0),
    ] {
        let scheduler = read(json.clone());
        assert_eq!(scheduler.parameterization, expected, "{json}");
        assert_eq!(scheduler.unused_keys().count(), 0, "{json}");
        // In today's words.
        let written = scheduler.to_json().unwrap();
        assert!(written.contains_key("prediction_type") && !written.contains_key("predict_epsilon"), "{json}");
    }
    for json in [
        json!({"predict_epsilon": false, "prediction_type": "epsilon"}),
        json!({"predict_epsilon": true, "prediction_type": "sample"}),
        json!({"predict_epsilon": true, "prediction_type": "v_prediction"}),
        json!({"predict_epsilon": "no"}),
    ] {
        let message = Scheduler::from_json(&json).unwrap_err().to_string();
        assert!(message.contains("`predict_epsilon`"), "{json}: {message}");
    }
}

#[test]
fn every_class_is_the_same_as_one_here_near_to_one_or_refused_by_its_process() {
    for (class, kind) in [
        ("DDPMParallelScheduler", SamplerKind::Ddpm),
        ("DDIMParallelScheduler", SamplerKind::Ddim),
        ("FlaxDDPMScheduler", SamplerKind::Ddpm),
        ("FlaxDDIMScheduler", SamplerKind::Ddim),
        ("FlaxDPMSolverMultistepScheduler", SamplerKind::DpmSolver),
        ("GaussianDDPMScheduler", SamplerKind::Ddpm),
    ] {
        let scheduler = read(json!({"_class_name": class}));
        assert_eq!(scheduler.sampler(), Some(kind), "{class}");
        assert_eq!(read(scheduler.to_json().unwrap().into()), scheduler, "{class}");
    }
    for (class, nearest) in [
        ("PNDMScheduler", SamplerKind::Ddim),
        ("DDIMInverseScheduler", SamplerKind::Ddim),
        ("DPMSolverSinglestepScheduler", SamplerKind::DpmSolver),
        ("DEISMultistepScheduler", SamplerKind::DpmSolver),
        ("DPMSolverSDEScheduler", SamplerKind::DpmSolverSde),
        ("LMSDiscreteScheduler", SamplerKind::Euler),
        ("KDPM2DiscreteScheduler", SamplerKind::Heun),
        ("KDPM2AncestralDiscreteScheduler", SamplerKind::EulerAncestral),
    ] {
        let scheduler = read(json!({"_class_name": class, "beta_schedule": "squaredcos_cap_v2"}));
        assert_eq!((scheduler.sampler(), scheduler.nearest_sampler()), (None, nearest), "{class}");
        assert_eq!(scheduler.schedule, Cosine::default().into(), "{class}");
    }
    // diffusers 0.35.2: defaults of the classes' signatures.
    let latent = Linear { beta_start: 0.00085, beta_end: 0.012, ..Linear::default() };
    for (class, schedule, spacing, clips) in [
        ("DDPMParallelScheduler", ScheduleConfig::default(), Spacing::Leading, true),
        ("DDIMInverseScheduler", ScheduleConfig::default(), Spacing::Leading, true),
        ("PNDMScheduler", ScheduleConfig::default(), Spacing::Leading, false),
        ("UnCLIPScheduler", Cosine::default().into(), Spacing::Leading, true),
        ("KDPM2AncestralDiscreteScheduler", latent.into(), Spacing::Linspace, false),
        ("UniPCMultistepScheduler", ScheduleConfig::default(), Spacing::Linspace, false),
    ] {
        let scheduler = read(json!({"_class_name": class}));
        assert_eq!(
            (scheduler.schedule, scheduler.sampling.spacing, scheduler.clip_sample),
            (schedule, spacing, clips),
            "{class}"
        );
    }
    for (class, process) in [
        ("ScoreSdeVeScheduler", "variance-exploding"),
        ("ScoreSdeVpScheduler", "continuous"),
        ("KarrasVeScheduler", "Karras"),
        ("EDMEulerScheduler", "EDM"),
        ("FlowMatchEulerDiscreteScheduler", "flow matching"),
        ("FlowMatchHeunDiscreteScheduler", "flow matching"),
        ("CMStochasticIterativeScheduler", "consistency"),
        ("LCMScheduler", "consistency"),
        ("VQDiffusionScheduler", "discrete"),
        ("MyScheduler", "expected a scheduler for DDPM's noise schedules"),
    ] {
        let message = Scheduler::from_json(&json!({"_class_name": class})).unwrap_err().to_string();
        assert!(message.contains(class) && message.contains(process), "{message}");
    }
}
