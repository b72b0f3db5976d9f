//! Reading `scheduler_config.json`.

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sfumato_process::{
    Parameterization, ReverseVariance,
    levels::FinalSigma,
    sampler::{DpmSolverOptions, SamplerKind, SolverOrder, SolverType},
};
use sfumato_schedule::{Cosine, Explicit, Linear, ScaledLinear, ScheduleConfig, Sigmoid, Spacing};

use super::{SamplingDefaults, Scheduler, Thresholding, scheduler::sampler_of, scheduler_write::SIGMOID_RANGE};
use crate::ConfigError;

/// Classes that work with the noise schedules of DDPM, but whose samplers do not exist here.
const OTHER_CLASSES: [&str; 6] = [
    "PNDMScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
];

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
        let keys = Keys { map, read: RefCell::default() };
        let class_name = keys.get("_class_name", "a string", "DDPMScheduler".to_owned())?;
        let kind = sampler_of(&class_name);
        if kind.is_none() && !OTHER_CLASSES.contains(&class_name.as_str()) {
            let expected = "a scheduler for DDPM's noise schedules (DDPM, DDIM, DPMSolverMultistep, Euler, Heun, …)";
            return Err(unsupported("_class_name", &class_name.into(), expected));
        }
        refuse_unsupported(&keys, kind)?;
        let reads = |kinds: &[SamplerKind]| kind.is_none_or(|kind| kinds.contains(&kind));
        use SamplerKind::{Ddim, Ddpm, DpmSolver, Euler, Heun};

        let defaults = Self::default();
        let parameterization = parameterization(&keys)?;
        let zero_terminal_snr = reads(&[Ddpm, Ddim, DpmSolver, Euler]) && keys.flag("rescale_betas_zero_snr", false)?;
        if zero_terminal_snr && parameterization == Parameterization::Epsilon {
            let expected = "false, or prediction_type sample or v_prediction: at zero signal the noise says nothing about the data";
            return Err(unsupported("rescale_betas_zero_snr", &true.into(), expected));
        }
        let (variance, learned_range) = if reads(&[Ddpm, DpmSolver]) { variance(&keys)? } else { Default::default() };
        let (mut clip_sample, mut clip_sample_range) = (false, defaults.clip_sample_range);
        if reads(&[Ddpm, Ddim, Heun]) {
            clip_sample = keys.flag("clip_sample", matches!(kind, Some(Ddpm | Ddim)))?;
            clip_sample_range =
                keys.number("clip_sample_range", "a positive number", clip_sample_range, |range| range > 0.0)?;
        }
        let thresholding = if reads(&[Ddpm, Ddim, DpmSolver]) { thresholding(&keys)? } else { Thresholding::default() };
        Ok(Self {
            schedule: schedule(&keys, kind)?,
            zero_terminal_snr,
            parameterization,
            variance,
            learned_range,
            clip_sample,
            clip_sample_range,
            thresholding,
            sampling: sampling(&keys, kind, &class_name)?,
            other: keys.rest(),
            class_name,
        })
    }
}

/// Settings of diffusers' classes that would make another sampler of them.
fn refuse_unsupported(keys: &Keys, kind: Option<SamplerKind>) -> Result<(), ConfigError> {
    use SamplerKind::{DpmSolver, Euler, Heun};
    if matches!(kind, Some(DpmSolver | Euler | Heun)) {
        keys.only_false("use_exponential_sigmas")?;
        keys.only_false("use_beta_sigmas")?;
    }
    match kind {
        Some(DpmSolver) => {
            keys.only("algorithm_type", "dpmsolver++")?;
            keys.only_false("use_lu_lambdas")?;
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

fn schedule(keys: &Keys, kind: Option<SamplerKind>) -> Result<ScheduleConfig, ConfigError> {
    let (start, end) = if kind == Some(SamplerKind::Heun) { (0.00085, 0.012) } else { (1e-4, 0.02) };
    let steps: usize = keys.get("num_train_timesteps", "a positive integer", 1000)?;
    let beta_start = keys.get("beta_start", "a number", start)?;
    let beta_end = keys.get("beta_end", "a number", end)?;
    let name = keys.get("beta_schedule", "a string", "linear".to_owned())?;
    if let Some(betas) = keys.get::<Option<Vec<f64>>>("trained_betas", "a list of numbers or null", None)? {
        if betas.len() != steps {
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

fn parameterization(keys: &Keys) -> Result<Parameterization, ConfigError> {
    let name = keys.get("prediction_type", "a string", "epsilon".to_owned())?;
    Ok(match name.as_str() {
        "epsilon" => Parameterization::Epsilon,
        "sample" => Parameterization::X0,
        "v_prediction" => Parameterization::V,
        _ => return Err(unsupported("prediction_type", &name.into(), "epsilon, sample or v_prediction")),
    })
}

/// The fixed variance, and whether it is learned.
///
/// `learned` is refused: diffusers takes the square root of the network's output then, which is NaN wherever that is negative.
fn variance(keys: &Keys) -> Result<(ReverseVariance, bool), ConfigError> {
    let name = keys.get::<Option<String>>("variance_type", "a string or null", None)?;
    Ok(match name.as_deref() {
        // DPMSolverMultistepScheduler leaves it null.
        None | Some("fixed_small" | "fixed_small_log") => (ReverseVariance::FixedSmall, false),
        Some("fixed_large" | "fixed_large_log") => (ReverseVariance::FixedLarge, false),
        Some("learned_range") => (ReverseVariance::FixedSmall, true),
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

fn sampling(keys: &Keys, kind: Option<SamplerKind>, class_name: &str) -> Result<SamplingDefaults, ConfigError> {
    use SamplerKind::{Ddim, Ddpm, DpmSolver, Euler, Heun};
    let mut sampling = SamplingDefaults::default();
    let leads = matches!(kind, Some(Ddpm | Ddim)) || class_name == "PNDMScheduler";
    let spacing = if leads { Spacing::Leading } else { Spacing::Linspace };
    let name = keys.get("timestep_spacing", "a string", spacing.name().to_owned())?;
    sampling.spacing =
        name.parse().map_err(|_| unsupported("timestep_spacing", &name.into(), "leading, linspace or trailing"))?;
    sampling.steps_offset = keys.get("steps_offset", "a number of steps", 0)?;
    if kind == Some(Ddim) {
        sampling.set_alpha_to_one = keys.flag("set_alpha_to_one", true)?;
    }
    if matches!(kind, Some(DpmSolver | Euler | Heun)) {
        sampling.karras = keys.flag("use_karras_sigmas", false)?;
    }
    if matches!(kind, Some(DpmSolver | Euler)) {
        let name = keys.get("final_sigmas_type", "a string", "zero".to_owned())?;
        sampling.end = match name.as_str() {
            "zero" => FinalSigma::Zero,
            "sigma_min" => FinalSigma::First,
            _ => return Err(unsupported("final_sigmas_type", &name.into(), "zero or sigma_min")),
        };
    }
    if kind == Some(DpmSolver) {
        sampling.lambda_min = lambda_min(keys)?;
        sampling.solver = solver(keys)?;
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

fn solver(keys: &Keys) -> Result<DpmSolverOptions, ConfigError> {
    let DpmSolverOptions { lower_order_final, euler_at_final, .. } = DpmSolverOptions::default();
    let name = keys.get("solver_type", "a string", "midpoint".to_owned())?;
    let solver_type = match name.as_str() {
        // The other names are those of other solvers, which diffusers reads as this one.
        "midpoint" | "logrho" | "bh1" | "bh2" => SolverType::Midpoint,
        "heun" => SolverType::Heun,
        _ => return Err(unsupported("solver_type", &name.into(), "midpoint or heun")),
    };
    Ok(DpmSolverOptions {
        order: keys.get("solver_order", "1, 2 or 3", SolverOrder::Second)?,
        solver_type,
        lower_order_final: keys.flag("lower_order_final", lower_order_final)?,
        euler_at_final: keys.flag("euler_at_final", euler_at_final)?,
    })
}

/// The keys of a configuration, with a record of those that were read.
struct Keys<'a> {
    map: &'a Map<String, Value>,
    read: RefCell<Vec<&'static str>>,
}

impl Keys<'_> {
    /// The value at `key`, `default` if there is none.
    fn get<T: DeserializeOwned>(&self, key: &'static str, expected: &str, default: T) -> Result<T, ConfigError> {
        self.skip(key);
        let Some(value) = self.map.get(key) else { return Ok(default) };
        serde_json::from_value(value.clone()).map_err(|_| {
            let value = value.to_string().chars().take(80).collect();
            ConfigError::Value { key, value, expected: expected.into() }
        })
    }

    /// A flag; null is false, as in Python.
    fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        Ok(self.get(key, "true or false", Some(default))?.unwrap_or(false))
    }

    /// A finite number for which `fits` holds.
    fn number(
        &self,
        key: &'static str,
        expected: &str,
        default: f64,
        fits: impl Fn(f64) -> bool,
    ) -> Result<f64, ConfigError> {
        let number = self.get(key, expected, default)?;
        if number.is_finite() && fits(number) {
            return Ok(number);
        }
        Err(ConfigError::Value { key, value: number.to_string(), expected: expected.into() })
    }

    /// Refuses any name but `supported`, which is the default.
    fn only(&self, key: &'static str, supported: &str) -> Result<(), ConfigError> {
        let name = self.get(key, "a string", supported.to_owned())?;
        if name == supported { Ok(()) } else { Err(unsupported(key, &name.into(), supported)) }
    }

    fn only_false(&self, key: &'static str) -> Result<(), ConfigError> {
        if self.flag(key, false)? { Err(unsupported(key, &true.into(), "false")) } else { Ok(()) }
    }

    fn only_null(&self, key: &'static str) -> Result<(), ConfigError> {
        match self.get::<Value>(key, "null", Value::Null)? {
            Value::Null => Ok(()),
            value => Err(unsupported(key, &value, "null")),
        }
    }

    fn skip(&self, key: &'static str) {
        self.read.borrow_mut().push(key);
    }

    /// What nobody has read, without private keys.
    fn rest(&self) -> Map<String, Value> {
        let read = self.read.borrow();
        let rest = self.map.iter().filter(|(key, _)| !key.starts_with('_') && !read.contains(&key.as_str()));
        rest.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

fn unsupported(key: &'static str, value: &Value, expected: &str) -> ConfigError {
    ConfigError::Unsupported { key, value: value.to_string(), expected: expected.into() }
}
