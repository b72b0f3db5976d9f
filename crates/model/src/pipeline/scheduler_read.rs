//! Reading `scheduler_config.json`.

use serde_json::Value;
use sfumato_nets::ConfigError;
use sfumato_process::{ModelVariance, Parameterization};
use sfumato_schedule::{Cosine, Explicit, Linear, MAX_STEPS, ScaledLinear, ScheduleConfig, Sigmoid};

use super::{
    SamplingDefaults, Scheduler, Thresholding,
    keys::{Keys, unsupported},
    scheduler_class::{self, ClassDefaults},
    scheduler_solvers,
    scheduler_write::{LEARNED_LOG, SIGMOID_RANGE},
};
use crate::sampling::{FinalSigma, SamplerKind};

/// Steps of the chain if nothing is said: the default of every class.
const DEFAULT_STEPS: usize = 1000;

impl Scheduler {
    /// Reads a `scheduler_config.json` of any class that works with the noise schedules of DDPM.
    ///
    /// Every key that changes what diffusers' class of 0.35 computes is read; missing ones take the class's defaults.
    /// `fixed_small_log` and `fixed_large_log` are the variances without `_log`, written otherwise.
    ///
    /// # Errors
    /// [`ConfigError`] with key and value where a value is malformed, or asks for something that is not supported.
    pub fn from_json(value: &Value) -> Result<Self, ConfigError> {
        let Some(map) = value.as_object() else {
            return Err(ConfigError::NotAnObject { found: value.to_string() });
        };
        let keys = Keys::new(map);
        let class_name = keys.get("_class_name", "a string", "DDPMScheduler".to_owned())?;
        let class_name = scheduler_class::today(&class_name).to_owned();
        if let Some(expected) = scheduler_class::refusal(&class_name) {
            return Err(unsupported("_class_name", &class_name.into(), &expected));
        }
        let (kind, class) = (scheduler_class::sampler(&class_name), scheduler_class::defaults(&class_name));
        // Of versions of 2022; without effect even then.
        keys.skip("tensor_format");
        keys.skip("timestep_values");
        refuse_unsupported(&keys, kind)?;
        let reads = |kinds: &[SamplerKind]| kind.is_none_or(|kind| kinds.contains(&kind));
        use SamplerKind::{Ddim, Ddpm, DpmSolver, Euler, EulerAncestral, Heun, UniPc};

        let defaults = Self::default();
        let parameterization = parameterization(&keys)?;
        let zero_terminal_snr = reads(&[Ddpm, Ddim, DpmSolver, UniPc, Euler, EulerAncestral])
            && keys.flag("rescale_betas_zero_snr", false)?;
        if zero_terminal_snr && parameterization == Parameterization::Epsilon {
            let expected = "false, or prediction_type sample or v_prediction: at zero signal the noise says nothing about the data";
            return Err(unsupported("rescale_betas_zero_snr", &true.into(), expected));
        }
        let variance = if reads(&[Ddpm, DpmSolver]) { variance(&keys)? } else { Default::default() };
        let (mut clip_sample, mut clip_sample_range) = (false, defaults.clip_sample_range);
        if reads(&[Ddpm, Ddim, Heun]) {
            clip_sample = keys.flag("clip_sample", class.clip_sample)?;
            clip_sample_range =
                keys.number("clip_sample_range", "a positive number", clip_sample_range, |range| range > 0.0)?;
        }
        let reads_thresholding = reads(&[Ddpm, Ddim, DpmSolver, UniPc]);
        let thresholding = if reads_thresholding { thresholding(&keys)? } else { Thresholding::default() };
        let sampling = sampling(&keys, kind, (&class_name, &class))?;
        if kind == Some(UniPc) && thresholding.enabled && !sampling.uni_pc.predict_x0 {
            let expected = "false beside predict_x0 false, with which diffusers' class passes over it";
            return Err(unsupported("thresholding", &true.into(), expected));
        }
        Ok(Self {
            schedule: schedule(&keys, kind, &class)?,
            zero_terminal_snr,
            parameterization,
            variance,
            clip_sample,
            clip_sample_range,
            thresholding,
            sampling,
            other: keys.rest(),
            class_name,
        })
    }
}

/// Settings of diffusers' classes that would make another sampler of them.
fn refuse_unsupported(keys: &Keys, kind: Option<SamplerKind>) -> Result<(), ConfigError> {
    use SamplerKind::{DpmSolver, Euler, Heun, UniPc};
    if matches!(kind, Some(DpmSolver | UniPc | Euler | Heun)) {
        keys.only_false("use_exponential_sigmas")?;
        keys.only_false("use_beta_sigmas")?;
    }
    match kind {
        Some(DpmSolver | UniPc) => {
            if kind == Some(DpmSolver) {
                keys.only_false("use_lu_lambdas")?;
            }
            keys.only_false("use_flow_sigmas")?;
            keys.only_false("use_dynamic_shifting")?;
            // Settings of what was refused above.
            keys.skip("flow_shift");
            keys.skip("time_shift_type");
        }
        Some(Euler) => {
            keys.only("interpolation_type", "linear")?;
            keys.only("timestep_type", "discrete")?;
            keys.only_null("sigma_min")?;
            keys.only_null("sigma_max")?;
        }
        _ => {}
    }
    Ok(())
}

fn schedule(keys: &Keys, kind: Option<SamplerKind>, class: &ClassDefaults) -> Result<ScheduleConfig, ConfigError> {
    let steps = steps(keys)?;
    let beta_start = keys.get("beta_start", "a number", class.beta_start)?;
    let beta_end = keys.get("beta_end", "a number", class.beta_end)?;
    let name = keys.get("beta_schedule", "a string", class.beta_schedule.to_owned())?;
    if let Some(betas) = keys.get::<Option<Vec<f64>>>("trained_betas", "a list of numbers or null", None)? {
        if steps.is_some_and(|steps| betas.len() != steps) {
            let steps = steps.unwrap_or_default();
            let expected = format!("{}, the number of trained_betas", betas.len());
            return Err(ConfigError::Value { key: "num_train_timesteps", value: steps.to_string(), expected });
        }
        // The name is of no use beside betas, except to the class that rounds times by it.
        let rounds = kind == Some(SamplerKind::DpmSolver) && keys.flag("use_karras_sigmas", false)?;
        if rounds && name == "squaredcos_cap_v2" {
            let expected = "another name beside trained_betas and use_karras_sigmas";
            return Err(unsupported("beta_schedule", &name.into(), expected));
        }
        return Ok(Explicit { betas }.into());
    }
    let steps = steps.unwrap_or(DEFAULT_STEPS);
    Ok(match name.as_str() {
        "linear" => Linear { steps, beta_start, beta_end, ..Linear::default() }.into(),
        "scaled_linear" => ScaledLinear { steps, beta_start, beta_end }.into(),
        "squaredcos_cap_v2" => Cosine { steps, ..Cosine::default() }.into(),
        "sigmoid" => Sigmoid { steps, beta_start, beta_end, range: SIGMOID_RANGE }.into(),
        _ => {
            let expected = "linear, scaled_linear, squaredcos_cap_v2 or sigmoid";
            return Err(unsupported("beta_schedule", &name.into(), expected));
        }
    })
}

/// Steps of the chain, if they are given; `timesteps` is the name of the first releases.
fn steps(keys: &Keys) -> Result<Option<usize>, ConfigError> {
    const EXPECTED: &str = "a positive integer";
    let today: Option<usize> = keys.get("num_train_timesteps", EXPECTED, None)?;
    let old: Option<usize> = keys.get("timesteps", EXPECTED, None)?;
    match (today, old) {
        (Some(0), _) | (None, Some(0)) => {
            let key = if today.is_some() { "num_train_timesteps" } else { "timesteps" };
            Err(ConfigError::Value { key, value: "0".into(), expected: EXPECTED.into() })
        }
        (Some(today), Some(old)) if today != old => {
            let expected = format!("{today}, as num_train_timesteps");
            Err(ConfigError::Value { key: "timesteps", value: old.to_string(), expected })
        }
        _ => Ok(today.or(old)),
    }
}

/// What the network predicts: `prediction_type`, or the key before it, `predict_epsilon` (diffusers 0.3 to 0.8).
fn parameterization(keys: &Keys) -> Result<Parameterization, ConfigError> {
    let name: Option<String> = keys.get("prediction_type", "a string", None)?;
    let old: Option<bool> = keys.get("predict_epsilon", "true or false", None)?;
    let old = old.map(|epsilon| if epsilon { "epsilon" } else { "sample" });
    if let (Some(name), Some(old)) = (&name, old)
        && name != old
    {
        let expected =
            format!("{}, or no such key: prediction_type is {name:?}, which contradicts it", name == "epsilon");
        return Err(ConfigError::Value { key: "predict_epsilon", value: (old == "epsilon").to_string(), expected });
    }
    let name = name.unwrap_or_else(|| old.unwrap_or("epsilon").to_owned());
    Ok(match name.as_str() {
        "epsilon" => Parameterization::Epsilon,
        "sample" => Parameterization::X0,
        "v_prediction" => Parameterization::V,
        _ => return Err(unsupported("prediction_type", &name.into(), "epsilon, sample or v_prediction")),
    })
}

/// The variance of the reverse steps.
///
/// `learned` is refused: diffusers takes the square root of the network's output then, which is NaN wherever that is negative. A free
/// variance of ours is `learned_log`.
fn variance(keys: &Keys) -> Result<ModelVariance, ConfigError> {
    let name = keys.get::<Option<String>>("variance_type", "a string or null", None)?;
    Ok(match name.as_deref() {
        // DPMSolverMultistepScheduler leaves it null.
        None | Some("fixed_small" | "fixed_small_log") => ModelVariance::FixedSmall,
        Some("fixed_large" | "fixed_large_log") => ModelVariance::FixedLarge,
        Some("learned_range") => ModelVariance::LearnedRange,
        Some(LEARNED_LOG) => ModelVariance::Learned,
        Some(other) => {
            return Err(unsupported("variance_type", &other.into(), "fixed_small, fixed_large or learned_range"));
        }
    })
}

fn thresholding(keys: &Keys) -> Result<Thresholding, ConfigError> {
    let Thresholding { enabled, ratio, max } = Thresholding::default();
    Ok(Thresholding {
        enabled: keys.flag("thresholding", enabled)?,
        ratio: keys.number("dynamic_thresholding_ratio", "a number above 0, at most 1", ratio, |ratio| {
            ratio > 0.0 && ratio <= 1.0
        })?,
        max: keys.number("sample_max_value", "a number of at least 1", max, |max| max >= 1.0)?,
    })
}

fn sampling(
    keys: &Keys,
    kind: Option<SamplerKind>,
    (class_name, class): (&str, &ClassDefaults),
) -> Result<SamplingDefaults, ConfigError> {
    use SamplerKind::{Ddim, DpmSolver, Euler, Heun, UniPc};
    let mut sampling = SamplingDefaults::default();
    let name = keys.get("timestep_spacing", "a string", class.spacing.name().to_owned())?;
    sampling.spacing =
        name.parse().map_err(|_| unsupported("timestep_spacing", &name.into(), "leading, linspace or trailing"))?;
    sampling.steps_offset = keys.get("steps_offset", "a number of steps", 0)?;
    if sampling.steps_offset > MAX_STEPS {
        let (value, expected) = (sampling.steps_offset.to_string(), format!("at most {MAX_STEPS} steps"));
        return Err(ConfigError::Value { key: "steps_offset", value, expected });
    }
    if kind == Some(Ddim) {
        sampling.set_alpha_to_one = keys.flag("set_alpha_to_one", true)?;
    }
    // Classes whose samplers do not exist here have the key where the one that stands in for theirs visits levels.
    let has_karras = match kind {
        Some(kind) => matches!(kind, DpmSolver | UniPc | Euler | Heun),
        None => scheduler_class::nearest(class_name).info().visits_levels,
    };
    if has_karras {
        sampling.karras = keys.flag("use_karras_sigmas", false)?;
    }
    if matches!(kind, Some(DpmSolver | UniPc | Euler)) {
        let name = keys.get("final_sigmas_type", "a string", "zero".to_owned())?;
        sampling.end = match name.as_str() {
            "zero" => FinalSigma::Zero,
            "sigma_min" => FinalSigma::First,
            _ => return Err(unsupported("final_sigmas_type", &name.into(), "zero or sigma_min")),
        };
    }
    if kind == Some(DpmSolver) {
        sampling.lambda_min = lambda_min(keys)?;
        sampling.solver = scheduler_solvers::dpm_solver(keys)?;
    }
    if kind == Some(UniPc) {
        sampling.uni_pc = scheduler_solvers::uni_pc(keys)?;
    }
    Ok(sampling)
}

/// Python writes the default as `-Infinity`, which is no JSON and arrives here as a string.
fn lambda_min(keys: &Keys) -> Result<f64, ConfigError> {
    const KEY: &str = "lambda_min_clipped";
    let expected = "a number or -Infinity";
    match keys.get::<Value>(KEY, expected, Value::Null)? {
        Value::Null => Ok(f64::NEG_INFINITY),
        Value::String(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => keys.get(KEY, expected, f64::NEG_INFINITY),
    }
}
