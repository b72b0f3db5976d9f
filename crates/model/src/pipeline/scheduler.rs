//! The noise schedule and what goes with it.

use serde_json::{Map, Value};
use sfumato_process::{
    Chain, Clipping, ModelVariance, Parameterization,
    sampler::{DpmSolverOptions, SolverEquation, UniPcOptions},
};
use sfumato_schedule::{Explicit, NoiseSchedule, ScheduleConfig, ScheduleError, evenly_spaced};

use super::{
    scheduler_class,
    scheduler_keys::{is_idle, is_of_others, is_of_solvers},
    scheduler_write::beta_schedule,
};
use crate::Spacing;
use crate::sampling::{FinalSigma, LevelOptions, SamplerKind};

/// Betas that are listed one by one.
const LISTED: usize = 8;

/// What `scheduler_config.json` says about the process that a network was trained for, and about sampling from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    /// Class in diffusers: `DDPMScheduler` for models made here.
    pub class_name: String,
    /// The noise schedule as it is described; [`Scheduler::noise_schedule`] builds it.
    pub schedule: ScheduleConfig,
    /// Whether it is rescaled to end in pure noise (`rescale_betas_zero_snr`).
    pub zero_terminal_snr: bool,
    /// What the network's output means.
    pub parameterization: Parameterization,
    /// Variance of the reverse steps (`variance_type`); where it is learned, the network's output has twice the channels.
    pub variance: ModelVariance,
    /// Whether predictions of the clean data are clipped while sampling; [`Scheduler::clipping`] is the whole answer.
    pub clip_sample: bool,
    /// Largest magnitude that clipping leaves.
    pub clip_sample_range: f64,
    /// Dynamic thresholding.
    pub thresholding: Thresholding,
    /// How to sample, unless the caller says otherwise.
    pub sampling: SamplingDefaults,
    /// Keys that nothing here reads, kept as they are.
    pub other: Map<String, Value>,
}

/// Dynamic thresholding of predictions of the clean data: see [`Clipping::Dynamic`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholding {
    /// Whether it takes the place of clipping.
    pub enabled: bool,
    /// Which quantile of the magnitudes (`dynamic_thresholding_ratio`).
    pub ratio: f64,
    /// Ceiling of the threshold (`sample_max_value`).
    pub max: f64,
}

impl Default for Thresholding {
    fn default() -> Self {
        Self { enabled: false, ratio: 0.995, max: 1.0 }
    }
}

/// What a scheduler's configuration says about the steps of a sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingDefaults {
    /// How the steps are spread (`timestep_spacing`).
    pub spacing: Spacing,
    /// Steps by which `leading` starts later.
    pub steps_offset: usize,
    /// Whether the last step of DDIM leads to clean data, or to the trained chain's first step.
    pub set_alpha_to_one: bool,
    /// Levels after Karras et al. for the ODE solvers (`use_karras_sigmas`).
    pub karras: bool,
    /// Where the ODE solvers stop (`final_sigmas_type`).
    pub end: FinalSigma,
    /// Least half log-SNR that DPM-Solver++ visits (`lambda_min_clipped`).
    pub lambda_min: f64,
    /// Options of DPM-Solver++.
    pub solver: DpmSolverOptions,
    /// Options of UniPC.
    pub uni_pc: UniPcOptions,
}

impl Default for SamplingDefaults {
    /// The class defaults of diffusers' `DDPMScheduler`, and of the solvers for what that does not have.
    fn default() -> Self {
        Self {
            spacing: Spacing::Leading,
            steps_offset: 0,
            set_alpha_to_one: true,
            karras: false,
            end: FinalSigma::Zero,
            lambda_min: f64::NEG_INFINITY,
            solver: DpmSolverOptions::default(),
            uni_pc: UniPcOptions::default(),
        }
    }
}

impl Default for Scheduler {
    /// The class defaults of diffusers' `DDPMScheduler`.
    fn default() -> Self {
        Self {
            class_name: "DDPMScheduler".into(),
            schedule: ScheduleConfig::default(),
            zero_terminal_snr: false,
            parameterization: Parameterization::Epsilon,
            variance: ModelVariance::FixedSmall,
            clip_sample: true,
            clip_sample_range: 1.0,
            thresholding: Thresholding::default(),
            sampling: SamplingDefaults::default(),
            other: Map::new(),
        }
    }
}

impl Scheduler {
    /// The sampler that the class and its `algorithm_type` stand for; none for classes whose sampler does not exist here (their noise schedules are
    /// understood all the same).
    pub fn sampler(&self) -> Option<SamplerKind> {
        let kind = scheduler_class::sampler(&self.class_name)?;
        let is_sde = kind == SamplerKind::DpmSolver && self.sampling.solver.equation == SolverEquation::Sde;
        Some(if is_sde { SamplerKind::DpmSolverSde } else { kind })
    }

    /// The sampler that the class stands for, or the one that comes nearest where that does not exist here.
    pub fn nearest_sampler(&self) -> SamplerKind {
        self.sampler().unwrap_or_else(|| scheduler_class::nearest(&self.class_name))
    }

    /// The schedule that the network was trained with: the only way to it, since a file may ask for the described one
    /// to be rescaled.
    ///
    /// # Errors
    /// [`ScheduleError`] if it cannot be built or rescaled.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, ScheduleError> {
        let schedule = self.schedule.build()?;
        if self.zero_terminal_snr { schedule.with_zero_terminal_snr() } else { Ok(schedule) }
    }

    /// The reverse chain of the model over the given steps of `schedule`, which is [the model's own](Self::noise_schedule) unless the caller
    /// knows better: with the model's parameterization, variance and clipping.
    ///
    /// # Errors
    /// [`ScheduleError`] if the steps are none, out of range or out of order.
    pub fn chain(&self, schedule: &NoiseSchedule, steps: &[usize]) -> Result<Chain, ScheduleError> {
        let chain = Chain::respaced(schedule, steps, self.parameterization)?;
        Ok(chain.with_model_variance(self.variance).with_clipping(self.clipping()))
    }

    /// The reverse chain of the model over `count` of its steps, spread evenly from 1 to T whatever the scheduler's spacing: what is scored.
    ///
    /// # Errors
    /// [`ScheduleError`] if the schedule cannot be built or has fewer steps.
    pub fn evenly_spaced_chain(&self, count: usize) -> Result<Chain, ScheduleError> {
        let schedule = self.noise_schedule()?;
        self.chain(&schedule, &evenly_spaced(schedule.steps(), count)?)
    }

    /// What is done to predictions of the clean data while sampling.
    pub fn clipping(&self) -> Clipping {
        let Thresholding { enabled, ratio, max } = self.thresholding;
        match (enabled, self.clip_sample) {
            (true, _) => Clipping::Dynamic { ratio, max },
            (false, true) => Clipping::Fixed { range: self.clip_sample_range },
            (false, false) => Clipping::Off,
        }
    }

    /// Which levels an ODE solver visits.
    pub fn level_options(&self) -> LevelOptions {
        let SamplingDefaults { spacing, steps_offset, karras, end, lambda_min, .. } = self.sampling;
        // diffusers tells the network the step below a Karras level where the schedule is this one by name.
        let round_down = beta_schedule(&self.schedule) == Some("squaredcos_cap_v2");
        LevelOptions { spacing, offset: steps_offset, karras, end, lambda_min, round_down }
    }

    /// The schedule in words: its name and parameters, the ends of a long list of betas, and whether it is rescaled.
    pub fn describe_schedule(&self) -> String {
        let text = match &self.schedule {
            ScheduleConfig::Explicit(Explicit { betas }) if betas.len() > LISTED => {
                format!("explicit, {} betas from {:.3e} to {:.3e}", betas.len(), betas[0], betas[betas.len() - 1])
            }
            named => named.to_string(),
        };
        if self.zero_terminal_snr { format!("{text}, rescaled to end in pure noise") } else { text }
    }

    /// Keys of the configuration that have a value and that nothing here reads.
    pub fn unused_keys(&self) -> impl Iterator<Item = (&String, &Value)> {
        // Of classes whose sampler does not exist here, the keys are not known.
        let known = self.sampler().is_some();
        self.other.iter().filter(move |(key, value)| !(is_idle(key, value) || known && is_of_solvers(key)))
    }

    /// Keys of the configuration that neither diffusers' class nor anything here reads; of a class whose sampler does not exist here, those
    /// with which it may draw other samples than the one that stands in for it.
    pub(super) fn unknown_keys(&self) -> impl Iterator<Item = (&String, &Value)> {
        let known = self.sampler().is_some();
        self.unused_keys().filter(move |(key, _)| known || is_of_others(key))
    }
}
