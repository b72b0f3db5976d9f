//! `scheduler_config.json`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sfumato_process::{Parameterization, ReverseVariance};
use sfumato_schedule::{Cosine, Explicit, Linear, ScaledLinear, ScheduleConfig, ScheduleError, Sigmoid};

use super::Scheduler;
use crate::ConfigError;

/// Half width of diffusers' sigmoid schedule.
const SIGMOID_RANGE: f64 = 6.0;

/// What differs between scheduler classes: whether they clip by default, first and last beta by default.
fn class_defaults(class: &str) -> Option<(bool, f64, f64)> {
    Some(match class {
        "DDPMScheduler" | "DDIMScheduler" => (true, 1e-4, 0.02),
        "PNDMScheduler"
        | "DPMSolverMultistepScheduler"
        | "DPMSolverSinglestepScheduler"
        | "DEISMultistepScheduler"
        | "UniPCMultistepScheduler"
        | "EulerDiscreteScheduler"
        | "EulerAncestralDiscreteScheduler" => (false, 1e-4, 0.02),
        "HeunDiscreteScheduler" => (false, 0.00085, 0.012),
        _ => return None,
    })
}

/// Defaults of the keys of `DDPMScheduler` that are not interpreted here; written so that the file is complete.
fn uninterpreted<'a>() -> [(&'a str, Value); 4] {
    [
        ("dynamic_thresholding_ratio", json!(0.995)),
        ("sample_max_value", json!(1.0)),
        ("steps_offset", json!(0)),
        ("timestep_spacing", json!("leading")),
    ]
}

impl Scheduler {
    /// Reads a `scheduler_config.json` of any class that works with the noise schedules of DDPM.
    ///
    /// # Errors
    /// [`ConfigError`] with key and value where a value is malformed, or would change the process in a way that is not supported:
    /// learned variances, thresholding, clipping to other limits, zero terminal SNR.
    pub fn from_json(value: &Value) -> Result<Self, ConfigError> {
        let Some(map) = value.as_object() else {
            return Err(ConfigError::NotAnObject { found: value.to_string() });
        };
        let class_name = read(map, "_class_name", "a string", "DDPMScheduler".to_owned())?;
        let Some((clips, beta_start, beta_end)) = class_defaults(&class_name) else {
            let expected = "a scheduler for DDPM's noise schedules (DDPM, DDIM, PNDM, DPMSolver, Euler, Heun, …)";
            return Err(unsupported("_class_name", &class_name.into(), expected));
        };
        for key in ["thresholding", "rescale_betas_zero_snr"] {
            if read(map, key, "true or false", false)? {
                return Err(unsupported(key, &true.into(), "false"));
            }
        }
        let clip_sample = read(map, "clip_sample", "true or false", clips)?;
        let range = read(map, "clip_sample_range", "a number", 1.0)?;
        if clip_sample && range != 1.0 {
            return Err(unsupported("clip_sample_range", &range.into(), "1.0"));
        }
        let known = [
            "num_train_timesteps",
            "beta_start",
            "beta_end",
            "beta_schedule",
            "trained_betas",
            "thresholding",
            "rescale_betas_zero_snr",
            "clip_sample",
            "clip_sample_range",
            "prediction_type",
            "variance_type",
        ];
        // What `to_json` adds by itself says nothing.
        let implied = |key: &str, value| class_name == "DDPMScheduler" && uninterpreted().contains(&(key, value));
        let other = map.iter().filter(|(key, value)| {
            !key.starts_with('_') && !known.contains(&key.as_str()) && !implied(key, (*value).clone())
        });
        let other = other.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self {
            schedule: schedule(map, beta_start, beta_end)?,
            parameterization: parameterization(map)?,
            variance: variance(map)?,
            clip_sample,
            other,
            class_name,
        })
    }

    /// The `scheduler_config.json`, sorted.
    ///
    /// Schedules that diffusers knows under a name and computes alike are written by name, all others as `trained_betas`.
    ///
    /// # Errors
    /// [`ScheduleError`] if the schedule cannot be built.
    pub fn to_json(&self) -> Result<Map<String, Value>, ScheduleError> {
        let built = self.schedule.build()?;
        let (mut name, mut start, mut end, mut trained) = ("linear", 1e-4, 0.02, Value::Null);
        match &self.schedule {
            ScheduleConfig::Linear(Linear { beta_start, beta_end, rescale: false, .. }) => {
                (start, end) = (*beta_start, *beta_end);
            }
            ScheduleConfig::ScaledLinear(ScaledLinear { beta_start, beta_end, .. }) => {
                (name, start, end) = ("scaled_linear", *beta_start, *beta_end);
            }
            ScheduleConfig::Sigmoid(Sigmoid { beta_start, beta_end, range, .. }) if *range == SIGMOID_RANGE => {
                (name, start, end) = ("sigmoid", *beta_start, *beta_end);
            }
            ScheduleConfig::Cosine(cosine) if *cosine == (Cosine { steps: cosine.steps, ..Cosine::default() }) => {
                name = "squaredcos_cap_v2";
            }
            _ => trained = built.betas().into(),
        }
        let mut map: Map<String, Value> = self.other.clone();
        if self.class_name == "DDPMScheduler" {
            for (key, value) in uninterpreted() {
                map.entry(key).or_insert(value);
            }
        }
        let prediction = match self.parameterization {
            Parameterization::Epsilon => "epsilon",
            Parameterization::X0 => "sample",
            Parameterization::V => "v_prediction",
        };
        let variance = match self.variance {
            ReverseVariance::FixedSmall => "fixed_small",
            ReverseVariance::FixedLarge => "fixed_large",
        };
        for (key, value) in [
            ("_class_name", json!(self.class_name)),
            ("_diffusers_version", json!(super::write::DIFFUSERS_VERSION)),
            ("num_train_timesteps", json!(built.steps())),
            ("beta_schedule", json!(name)),
            ("beta_start", json!(start)),
            ("beta_end", json!(end)),
            ("trained_betas", trained),
            ("prediction_type", json!(prediction)),
            ("variance_type", json!(variance)),
            ("clip_sample", json!(self.clip_sample)),
            ("clip_sample_range", json!(1.0)),
            ("thresholding", json!(false)),
            ("rescale_betas_zero_snr", json!(false)),
        ] {
            map.insert(key.into(), value);
        }
        map.sort_keys();
        Ok(map)
    }
}

fn schedule(map: &Map<String, Value>, default_start: f64, default_end: f64) -> Result<ScheduleConfig, ConfigError> {
    let steps: usize = read(map, "num_train_timesteps", "a positive integer", 1000)?;
    if let Some(betas) = read::<Option<Vec<f64>>>(map, "trained_betas", "a list of numbers or null", None)? {
        if betas.len() != steps {
            let expected = format!("{}, the number of trained_betas", betas.len());
            return Err(ConfigError::Value { key: "num_train_timesteps", value: steps.to_string(), expected });
        }
        return Ok(Explicit { betas }.into());
    }
    let beta_start = read(map, "beta_start", "a number", default_start)?;
    let beta_end = read(map, "beta_end", "a number", default_end)?;
    let name = read(map, "beta_schedule", "a string", "linear".to_owned())?;
    Ok(match name.as_str() {
        "linear" => Linear { steps, beta_start, beta_end, ..Linear::default() }.into(),
        "scaled_linear" => ScaledLinear { steps, beta_start, beta_end }.into(),
        "squaredcos_cap_v2" => Cosine { steps, ..Cosine::default() }.into(),
        "sigmoid" => Sigmoid { steps, beta_start, beta_end, range: SIGMOID_RANGE }.into(),
        _ => {
            return Err(unsupported(
                "beta_schedule",
                &name.into(),
                "linear, scaled_linear, squaredcos_cap_v2 or sigmoid",
            ));
        }
    })
}

fn parameterization(map: &Map<String, Value>) -> Result<Parameterization, ConfigError> {
    let name = read(map, "prediction_type", "a string", "epsilon".to_owned())?;
    Ok(match name.as_str() {
        "epsilon" => Parameterization::Epsilon,
        "sample" => Parameterization::X0,
        "v_prediction" => Parameterization::V,
        _ => return Err(unsupported("prediction_type", &name.into(), "epsilon, sample or v_prediction")),
    })
}

fn variance(map: &Map<String, Value>) -> Result<ReverseVariance, ConfigError> {
    let name = read::<Option<String>>(map, "variance_type", "a string", None)?;
    Ok(match name.as_deref() {
        // The solvers have no such key, or leave it null.
        None | Some("fixed_small" | "fixed_small_log") => ReverseVariance::FixedSmall,
        Some("fixed_large") => ReverseVariance::FixedLarge,
        Some(other) => return Err(unsupported("variance_type", &other.into(), "fixed_small or fixed_large")),
    })
}

/// The value at `key`, `default` if there is none.
fn read<T: DeserializeOwned>(
    map: &Map<String, Value>,
    key: &'static str,
    expected: &str,
    default: T,
) -> Result<T, ConfigError> {
    let Some(value) = map.get(key) else { return Ok(default) };
    serde_json::from_value(value.clone()).map_err(|_| {
        let value = value.to_string().chars().take(80).collect();
        ConfigError::Value { key, value, expected: expected.into() }
    })
}

fn unsupported(key: &'static str, value: &Value, expected: &str) -> ConfigError {
    ConfigError::Unsupported { key, value: value.to_string(), expected: expected.into() }
}
