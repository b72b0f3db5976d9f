//! Which sampler, and over which steps: what the model's scheduler says, and what the caller says instead.

use sfumato_process::{
    Chain, NoiseLevels,
    levels::LevelOptions,
    sampler::{Ddim, DpmSolverOptions, Leaps, SamplerKind, SolverOrder},
};
use sfumato_schedule::{NoiseSchedule, ScheduleError, Spacing, evenly_spaced, leading, trailing};

use super::Sampler;
use crate::pipeline::Scheduler;

/// Steps of the samplers that take small steps, if nothing is said.
const MANY_STEPS: usize = 50;
/// Steps of the solvers, if nothing is said.
const FEW_STEPS: usize = 20;

/// Steps below which a sampler's pictures of the default preset's model are blurred or full of holes; `docs/guides/sample.md` has the
/// measurement.
pub fn fewest_steps(kind: SamplerKind) -> usize {
    match kind {
        SamplerKind::Ddpm | SamplerKind::DpmSolver => 10,
        SamplerKind::Ddim | SamplerKind::Euler => 20,
        SamplerKind::Heun => 4,
    }
}

/// Whose DDIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdimConvention {
    /// Each step leads to the next one that is visited, and where `x_0` was clipped the noise is derived from it again.
    Consistent,
    /// As diffusers' DDIMScheduler: each step leads `⌊T / S⌋` steps down, and the noise stays the network's own.
    Diffusers,
}

/// A sampler, with what is left open taken from the model's scheduler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerChoice {
    /// Which sampler.
    pub kind: SamplerKind,
    /// Steps; none for 50 with ddpm and ddim and 20 with the solvers, or as many as the scheduler's settings leave.
    pub steps: Option<usize>,
    /// How they are spread over the trained chain.
    pub spacing: Option<Spacing>,
    /// Noise of DDIM, in [0, 1].
    pub eta: f64,
    /// Whose DDIM; none for diffusers' if the model's scheduler is a DDIMScheduler, and the consistent one otherwise.
    pub ddim: Option<DdimConvention>,
    /// Order of DPM-Solver++.
    pub order: Option<SolverOrder>,
    /// Whether the solvers visit levels after Karras et al.
    pub karras: Option<bool>,
}

impl SamplerChoice {
    /// The sampler of the given kind with everything else as the scheduler says.
    pub fn new(kind: SamplerKind) -> Self {
        Self { kind, steps: None, spacing: None, eta: 0.0, ddim: None, order: None, karras: None }
    }

    /// The chain of the model and the sampler over its steps.
    ///
    /// # Errors
    /// [`ScheduleError`] if the schedule cannot be built, or does not have the steps that were asked for.
    pub fn resolve(&self, scheduler: &Scheduler) -> Result<(Chain, Sampler), ScheduleError> {
        self.resolve_on(scheduler, &scheduler.noise_schedule()?)
    }

    /// The same on a noise schedule that is known already, in place of the scheduler's own.
    ///
    /// # Errors
    /// [`ScheduleError`] if the schedule does not have the steps that were asked for.
    pub fn resolve_on(
        &self,
        scheduler: &Scheduler,
        schedule: &NoiseSchedule,
    ) -> Result<(Chain, Sampler), ScheduleError> {
        if let Some(count) = self.steps {
            return self.over(count, scheduler, schedule);
        }
        let usual = if matches!(self.kind, SamplerKind::Ddpm | SamplerKind::Ddim) { MANY_STEPS } else { FEW_STEPS };
        let most = usual.min(schedule.steps());
        self.over(most, scheduler, schedule).or_else(|error| {
            // A `steps_offset` or a `lambda_min_clipped` may leave a few less; much fewer are for the caller to choose.
            (most.div_ceil(2)..most).rev().find_map(|count| self.over(count, scheduler, schedule).ok()).ok_or(error)
        })
    }

    /// The sampler over `count` steps.
    fn over(
        &self,
        count: usize,
        scheduler: &Scheduler,
        schedule: &NoiseSchedule,
    ) -> Result<(Chain, Sampler), ScheduleError> {
        let defaults = &scheduler.sampling;
        let spacing = self.spacing.unwrap_or(defaults.spacing);
        let levels =
            LevelOptions { spacing, karras: self.karras.unwrap_or(defaults.karras), ..scheduler.level_options() };
        let whole = || scheduler.chain(schedule, &(1..=schedule.steps()).collect::<Vec<_>>());
        let spread = || {
            let steps = match spacing {
                Spacing::Leading => leading(schedule.steps(), count, defaults.steps_offset)?,
                Spacing::Linspace => evenly_spaced(schedule.steps(), count)?,
                Spacing::Trailing => trailing(schedule.steps(), count)?,
            };
            scheduler.chain(schedule, &steps)
        };
        Ok(match self.kind {
            SamplerKind::Ddpm => (spread()?, Sampler::Ddpm),
            SamplerKind::Ddim => {
                let chain = spread()?;
                let (options, leaps) = self.ddim(scheduler, &chain);
                (chain, Sampler::Ddim { options, leaps })
            }
            SamplerKind::DpmSolver => {
                let options =
                    DpmSolverOptions { order: self.order.unwrap_or(defaults.solver.order), ..defaults.solver };
                let levels = NoiseLevels::for_dpm_solver(schedule, count, &levels)?;
                (whole()?, Sampler::DpmSolver { levels, options })
            }
            SamplerKind::Euler => (whole()?, Sampler::Euler(NoiseLevels::for_euler(schedule, count, &levels)?)),
            SamplerKind::Heun => (whole()?, Sampler::Heun(NoiseLevels::for_euler(schedule, count, &levels)?)),
        })
    }

    fn ddim(&self, scheduler: &Scheduler, chain: &Chain) -> (Ddim, Leaps) {
        let made_for_ddim = scheduler.sampler() == Some(SamplerKind::Ddim);
        let usual = if made_for_ddim { DdimConvention::Diffusers } else { DdimConvention::Consistent };
        let (keep_epsilon, leaps) = match self.ddim.unwrap_or(usual) {
            DdimConvention::Consistent => (false, Leaps::visited(chain)),
            DdimConvention::Diffusers => (true, Leaps::strided(chain)),
        };
        let leaps = if scheduler.sampling.set_alpha_to_one { leaps } else { leaps.ending_at_first_step() };
        (Ddim { eta: self.eta, keep_epsilon }, leaps)
    }
}
