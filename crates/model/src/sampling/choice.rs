//! Which sampler, and over which steps: what the model's scheduler says, and what the caller says instead.

use sfumato_process::{
    Chain,
    sampler::{Ddim, Leaps, SolverOrder},
};
use sfumato_schedule::{NoiseSchedule, ScheduleError, evenly_spaced};

use super::{
    LevelOptions, Sampler, SamplerError, SamplerKind,
    leaps::{ending_at_first_step, strided},
    registry,
};
use crate::pipeline::Scheduler;
use crate::{Spacing, leading, trailing};

/// Whose DDIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdimConvention {
    /// Each step leads to the next one that is visited, and where `x_0` was clipped the noise is derived from it again.
    Consistent,
    /// As diffusers' DDIMScheduler: each step leads `⌊T / S⌋` steps down, and the noise stays the network's own.
    Diffusers,
}

impl DdimConvention {
    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Diffusers => "diffusers",
        }
    }
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
    /// Order of DPM-Solver++, for either equation, and of UniPC.
    pub order: Option<SolverOrder>,
    /// Whether the solvers visit levels after Karras et al.
    pub karras: Option<bool>,
}

impl SamplerChoice {
    /// The sampler of the given kind with everything else as the scheduler says.
    pub fn new(kind: SamplerKind) -> Self {
        Self { kind, steps: None, spacing: None, eta: 0.0, ddim: None, order: None, karras: None }
    }

    /// The sampler, over steps of the model's chain.
    ///
    /// # Errors
    /// [`SamplerError`] if the schedule cannot be built, or does not have the steps that were asked for.
    pub fn resolve(&self, scheduler: &Scheduler) -> Result<Sampler, SamplerError> {
        self.resolve_on(scheduler, &scheduler.noise_schedule()?)
    }

    /// The same on a noise schedule that is known already, in place of the scheduler's own.
    ///
    /// # Errors
    /// [`SamplerError`] if the schedule does not have the steps that were asked for.
    pub fn resolve_on(&self, scheduler: &Scheduler, schedule: &NoiseSchedule) -> Result<Sampler, SamplerError> {
        Ok(self.settle(scheduler, schedule)?.1)
    }

    /// How many steps [`resolve`](Self::resolve) asks the schedule for: those that were said, or the usual number. What it gives may be
    /// fewer, with DPM-Solver++ and a scheduler's `lambda_min_clipped`.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn count(&self, scheduler: &Scheduler) -> Result<usize, SamplerError> {
        Ok(self.settle(scheduler, &scheduler.noise_schedule()?)?.0)
    }

    fn settle(&self, scheduler: &Scheduler, schedule: &NoiseSchedule) -> Result<(usize, Sampler), SamplerError> {
        let over = |count| self.over(count, scheduler, schedule).map(|sampler| (count, sampler));
        if let Some(count) = self.steps {
            return over(count);
        }
        let most = self.kind.info().usual_steps.min(schedule.steps());
        over(most).or_else(|error| {
            // A `steps_offset` or a `lambda_min_clipped` may leave a few less; much fewer are for the caller to choose.
            (most.div_ceil(2)..most).rev().find_map(|count| over(count).ok()).ok_or(error)
        })
    }

    fn over(&self, count: usize, scheduler: &Scheduler, schedule: &NoiseSchedule) -> Result<Sampler, SamplerError> {
        registry::resolve(self, count, scheduler, schedule)
    }

    /// The steps of the chain that are visited, `count` of them.
    pub(super) fn steps_of(
        &self,
        count: usize,
        scheduler: &Scheduler,
        schedule: &NoiseSchedule,
    ) -> Result<Vec<usize>, ScheduleError> {
        match self.spacing.unwrap_or(scheduler.sampling.spacing) {
            Spacing::Leading => leading(schedule.steps(), count, scheduler.sampling.steps_offset),
            Spacing::Linspace => evenly_spaced(schedule.steps(), count),
            Spacing::Trailing => trailing(schedule.steps(), count),
        }
    }

    /// Which levels a solver visits.
    pub(super) fn level_options(&self, scheduler: &Scheduler) -> LevelOptions {
        let usual = scheduler.level_options();
        // Two ways of DPM-Solver++ alone.
        let (lambda_min, round_down) = match self.kind {
            SamplerKind::UniPc => (f64::NEG_INFINITY, false),
            _ => (usual.lambda_min, usual.round_down),
        };
        LevelOptions {
            lambda_min,
            round_down,
            spacing: self.spacing.unwrap_or(usual.spacing),
            karras: self.karras.unwrap_or(usual.karras),
            ..usual
        }
    }

    /// The options of DDIM, and where its steps lead.
    pub(super) fn ddim(&self, scheduler: &Scheduler, chain: &Chain) -> (Ddim, Leaps) {
        let made_for_ddim = scheduler.sampler() == Some(SamplerKind::Ddim);
        let usual = if made_for_ddim { DdimConvention::Diffusers } else { DdimConvention::Consistent };
        let (keep_epsilon, leaps) = match self.ddim.unwrap_or(usual) {
            DdimConvention::Consistent => (false, Leaps::visited(chain)),
            DdimConvention::Diffusers => (true, strided(chain)),
        };
        let leaps = if scheduler.sampling.set_alpha_to_one { leaps } else { ending_at_first_step(leaps) };
        (Ddim { eta: self.eta, keep_epsilon }, leaps)
    }
}
