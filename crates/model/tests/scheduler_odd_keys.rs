//! `scheduler_config.json` of older releases, with keys of other classes, and with values that cannot be.

use serde_json::{Value, json};
use sfumato_model::pipeline::Scheduler;

fn read(json: Value) -> Scheduler {
    Scheduler::from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn old_and_odd_keys_are_read_or_pass_without_a_word() {
    let default = Scheduler::default();
    for json in [
        json!({"num_train_timesteps": 1000.0}),
        json!({"timesteps": 1000}),
        json!({"timesteps": 1000, "num_train_timesteps": 1000}),
        json!({"tensor_format": "pt", "timestep_values": null, "trained_betas": null}),
        json!({"beta_start": null, "beta_end": null, "beta_schedule": null, "steps_offset": null, "clip_sample_range": null}),
        json!({"_class_name": null, "variance_type": null, "timestep_spacing": null, "prediction_type": null}),
        json!({"_diffusers_version": "0.3.0", "_name_or_path": "x"}),
    ] {
        assert_eq!(read(json.clone()), default, "{json}");
    }
    // Of other classes, and without effect on this one.
    for (class, json) in [
        ("DDPMScheduler", json!({"skip_prk_steps": true, "set_alpha_to_one": false, "use_karras_sigmas": false})),
        (
            "DDIMScheduler",
            json!({"skip_prk_steps": true, "variance_type": "fixed_small", "interpolation_type": "linear"}),
        ),
        ("EulerDiscreteScheduler", json!({"clip_sample": false, "skip_prk_steps": true, "thresholding": false})),
        ("HeunDiscreteScheduler", json!({"rescale_betas_zero_snr": false, "thresholding": false, "sigma_max": null})),
        ("DPMSolverMultistepScheduler", json!({"clip_sample": false, "set_alpha_to_one": false, "something": null})),
        // What `DDPMScheduler.from_config` keeps of a DPMSolverMultistepScheduler, and of a UniPCMultistepScheduler.
        (
            "DDPMScheduler",
            json!({
                "algorithm_type": "dpmsolver++", "euler_at_final": false, "lambda_min_clipped": "-Infinity", "lower_order_final": true,
                "solver_order": 2, "solver_type": "midpoint", "time_shift_type": "exponential", "use_dynamic_shifting": false,
            }),
        ),
        (
            "EulerDiscreteScheduler",
            json!({"disable_corrector": [], "predict_x0": true, "solver_order": 2, "solver_type": "bh2"}),
        ),
    ] {
        let mut json = json;
        json["_class_name"] = class.into();
        assert_eq!(read(json.clone()).unused_keys().next(), None, "{json}");
    }
    // With an effect, or not known.
    for (class, json) in [
        ("HeunDiscreteScheduler", json!({"rescale_betas_zero_snr": true})),
        ("DDPMScheduler", json!({"use_karras_sigmas": true})),
        ("DDIMScheduler", json!({"variance_type": "learned_range"})),
        ("DDPMScheduler", json!({"flavour": 3})),
    ] {
        let mut json = json;
        json["_class_name"] = class.into();
        assert_eq!(read(json.clone()).unused_keys().count(), 1, "{json}");
    }
}

/// Of classes whose samplers do not exist here.
#[test]
fn karras_levels_are_those_of_the_sampler_that_stands_in() {
    for class in ["LMSDiscreteScheduler", "DEISMultistepScheduler", "DPMSolverSDEScheduler", "KDPM2DiscreteScheduler"] {
        let scheduler = read(json!({"_class_name": class, "use_karras_sigmas": true}));
        assert!(scheduler.sampling.karras && scheduler.unused_keys().next().is_none(), "{class}");
        assert_eq!(scheduler.to_json().unwrap()["use_karras_sigmas"], true, "{class}");
        assert!(!read(json!({"_class_name": class})).sampling.karras, "{class}");
        let other = read(json!({"_class_name": class, "use_beta_sigmas": true}));
        assert_eq!(other.unused_keys().count(), 1, "{class}");
    }
    assert!(!read(json!({"_class_name": "PNDMScheduler", "use_karras_sigmas": true})).sampling.karras);
}

#[test]
fn a_number_of_steps_that_cannot_be_is_named() {
    // A list of betas says how many steps there are.
    assert_eq!(read(json!({"trained_betas": [0.1, 0.2]})).schedule.steps(), 2);
    assert_eq!(read(json!({"trained_betas": [0.1, 0.2], "num_train_timesteps": 2.0})).schedule.steps(), 2);
    for (json, expected) in [
        (json!({"num_train_timesteps": 1000.5}), "`num_train_timesteps` is 1000.5"),
        (json!({"num_train_timesteps": "1000"}), "`num_train_timesteps` is \"1000\""),
        (json!({"num_train_timesteps": 0}), "`num_train_timesteps` is 0, expected a positive integer"),
        (json!({"timesteps": 0}), "`timesteps` is 0"),
        (json!({"timesteps": 4000, "num_train_timesteps": 1000}), "`timesteps` is 4000"),
        (json!({"steps_offset": 1e12}), "`steps_offset` is 1000000000000"),
        (json!({"clip_sample": "yes"}), "`clip_sample` is \"yes\""),
        (json!({"beta_schedule": 3}), "`beta_schedule` is 3"),
    ] {
        let message = Scheduler::from_json(&json).unwrap_err().to_string();
        assert!(message.contains(expected), "{json}: {message}");
    }
}

#[test]
fn the_schedule_in_words_says_that_it_is_rescaled() {
    let rescaled = read(json!({"rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}));
    assert!(rescaled.describe_schedule().ends_with(", rescaled to end in pure noise"));
    let listed = read(json!({"trained_betas": vec![0.25; 10]}));
    assert_eq!(listed.describe_schedule(), "explicit, 10 betas from 2.500e-1 to 2.500e-1");
}
