//! Writing `scheduler_config.json`.

use serde_json::{Map, Value, json};
use sfumato_process::{ModelVariance, Parameterization};
use sfumato_schedule::{Cosine, Linear, ScaledLinear, ScheduleConfig, ScheduleError, Sigmoid};

use super::{Scheduler, scheduler_class, scheduler_solvers};
use crate::sampling::{FinalSigma, SamplerKind};

/// Half width of diffusers' sigmoid schedule.
pub(super) const SIGMOID_RANGE: f64 = 6.0;
/// `variance_type` of a free variance. diffusers' `learned` would take the square root of the output, and its readers would draw noise
/// without a word; of a name that diffusers does not know, its DDPM refuses the output with twice the channels.
pub(super) const LEARNED_LOG: &str = "learned_log";

impl Scheduler {
    /// The `scheduler_config.json`, sorted: the keys that diffusers' class has, and what was kept of others.
    ///
    /// Schedules that diffusers knows under a name and computes alike are written by name, all others as `trained_betas`.
    ///
    /// # Errors
    /// [`ScheduleError`] if the schedule cannot be built.
    pub fn to_json(&self) -> Result<Map<String, Value>, ScheduleError> {
        use SamplerKind::{Ddim, Ddpm, DpmSolver, Euler, EulerAncestral, Heun, UniPc};
        // That of the class, whichever of its algorithms it is.
        let kind = scheduler_class::sampler(&self.class_name);
        let mut map = self.other.clone();
        let mut put = |kinds: &[SamplerKind], key: &str, value: Value| {
            if kind.is_none_or(|kind| kinds.contains(&kind)) {
                map.insert(key.into(), value);
            }
        };
        const ALL: [SamplerKind; 7] = [Ddpm, Ddim, DpmSolver, UniPc, Euler, EulerAncestral, Heun];
        put(&ALL, "_class_name", json!(self.class_name));
        put(&ALL, "_diffusers_version", json!(super::write::DIFFUSERS_VERSION));
        for (key, value) in schedule(&self.schedule)? {
            put(&ALL, key, value);
        }
        put(&ALL, "prediction_type", json!(prediction(self.parameterization)));
        let sampling = &self.sampling;
        put(&ALL, "timestep_spacing", json!(sampling.spacing.name()));
        put(&ALL, "steps_offset", json!(sampling.steps_offset));
        let rescaling = [Ddpm, Ddim, DpmSolver, UniPc, Euler, EulerAncestral];
        put(&rescaling, "rescale_betas_zero_snr", json!(self.zero_terminal_snr));
        put(&[Ddpm], "variance_type", json!(self.variance_type()));
        put(&[Ddpm, Ddim, Heun], "clip_sample", json!(self.clip_sample));
        put(&[Ddpm, Ddim, Heun], "clip_sample_range", json!(self.clip_sample_range));
        let thresholding = [Ddpm, Ddim, DpmSolver, UniPc];
        put(&thresholding, "thresholding", json!(self.thresholding.enabled));
        put(&thresholding, "dynamic_thresholding_ratio", json!(self.thresholding.ratio));
        put(&thresholding, "sample_max_value", json!(self.thresholding.max));
        if kind.is_some() || scheduler_class::nearest(&self.class_name).info().visits_levels {
            put(&[DpmSolver, UniPc, Euler, Heun], "use_karras_sigmas", json!(sampling.karras));
        }
        if kind.is_some() {
            put(&[Ddim], "set_alpha_to_one", json!(sampling.set_alpha_to_one));
            let end = match sampling.end {
                FinalSigma::Zero => "zero",
                FinalSigma::First => "sigma_min",
            };
            put(&[DpmSolver, UniPc, Euler], "final_sigmas_type", json!(end));
        }
        if kind == Some(DpmSolver) {
            // Null where the network has learned none; the first half of its output is all that the solver reads.
            put(
                &[DpmSolver],
                "variance_type",
                if self.variance.learned().is_some() { json!(self.variance_type()) } else { Value::Null },
            );
            if sampling.lambda_min.is_finite() {
                put(&[DpmSolver], "lambda_min_clipped", json!(sampling.lambda_min));
            }
            scheduler_solvers::write_dpm_solver(sampling.solver, &mut map);
        }
        if kind == Some(UniPc) {
            scheduler_solvers::write_uni_pc(&sampling.uni_pc, &mut map);
        }
        map.sort_keys();
        Ok(map)
    }

    fn variance_type(&self) -> &'static str {
        match self.variance {
            ModelVariance::FixedSmall => "fixed_small",
            ModelVariance::FixedLarge => "fixed_large",
            ModelVariance::LearnedRange => "learned_range",
            ModelVariance::Learned => LEARNED_LOG,
        }
    }
}

fn prediction(parameterization: Parameterization) -> &'static str {
    match parameterization {
        Parameterization::Epsilon => "epsilon",
        Parameterization::X0 => "sample",
        Parameterization::V => "v_prediction",
    }
}

/// diffusers' name of a schedule, where it computes the same under one.
pub(super) fn beta_schedule(config: &ScheduleConfig) -> Option<&'static str> {
    match config {
        ScheduleConfig::Linear(Linear { rescale: false, .. }) => Some("linear"),
        ScheduleConfig::ScaledLinear(_) => Some("scaled_linear"),
        ScheduleConfig::Sigmoid(Sigmoid { range, .. }) if *range == SIGMOID_RANGE => Some("sigmoid"),
        ScheduleConfig::Cosine(cosine) if *cosine == (Cosine { steps: cosine.steps, ..Cosine::default() }) => {
            Some("squaredcos_cap_v2")
        }
        _ => None,
    }
}

/// The keys that describe the noise schedule.
fn schedule(config: &ScheduleConfig) -> Result<[(&'static str, Value); 5], ScheduleError> {
    let built = config.build()?;
    let name = beta_schedule(config);
    let (start, end) = match config {
        ScheduleConfig::Linear(Linear { beta_start, beta_end, .. })
        | ScheduleConfig::ScaledLinear(ScaledLinear { beta_start, beta_end, .. })
        | ScheduleConfig::Sigmoid(Sigmoid { beta_start, beta_end, .. })
            if name.is_some() =>
        {
            (*beta_start, *beta_end)
        }
        _ => (1e-4, 0.02),
    };
    let trained = if name.is_some() { Value::Null } else { built.betas().into() };
    Ok([
        ("num_train_timesteps", json!(built.steps())),
        ("beta_schedule", json!(name.unwrap_or("linear"))),
        ("beta_start", json!(start)),
        ("beta_end", json!(end)),
        ("trained_betas", trained),
    ])
}
