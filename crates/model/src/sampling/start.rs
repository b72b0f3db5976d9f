//! Where a sampler starts: how much of the data should still be in the state that it takes for noise.

use std::fmt;

use sfumato_schedule::NoiseSchedule;

use super::{Sampler, SamplerChoice, SamplerError, SamplerKind};
use crate::Spacing;
use crate::pipeline::Scheduler;

/// Signal that the first state may lack, beyond what the chain's own last step keeps: `√ᾱ` in parts of 1.
const TOLERANCE: f64 = 0.01;
/// The spacings that start at the chain's last step, the better one first.
const WHOLE: [Spacing; 2] = [Spacing::Trailing, Spacing::Linspace];

/// A sampler whose first state should hold much of the data, but is drawn as noise alone: its samples are flat or wrong.
///
/// With spacing `leading` the steps are `⌊T / S⌋` apart, so that more than half of the steps start at step `S`; few steps start late
/// as well.
#[derive(Clone, Debug, PartialEq)]
pub struct LateStart {
    /// The sampler.
    pub kind: SamplerKind,
    /// Its steps.
    pub steps: usize,
    /// How they are spread.
    pub spacing: Spacing,
    /// `lambda_min_clipped`, where that is why.
    pub lambda_min: Option<f64>,
    /// The first step that is visited.
    pub first: usize,
    /// Steps of the chain, `T`.
    pub total: usize,
    /// `√ᾱ` at the first step: the share of the data's amplitude.
    pub signal: f64,
    /// The spacings with which the same number of steps starts at `T`.
    pub better: Vec<Spacing>,
}

impl LateStart {
    /// What is wrong with where `choice` starts; nothing if the first state has no more signal than step `T`, give or take 1 %.
    ///
    /// # Errors
    /// [`SamplerError`] as [`SamplerChoice::resolve_on`].
    pub fn find(
        choice: &SamplerChoice,
        scheduler: &Scheduler,
        schedule: &NoiseSchedule,
    ) -> Result<Option<Self>, SamplerError> {
        let sampler = choice.resolve_on(scheduler, schedule)?;
        let (first, signal) = start(&sampler);
        if !is_late(signal, schedule) {
            return Ok(None);
        }
        let steps = sampler.steps();
        let starts_late = |choice: &SamplerChoice| {
            let resolved = choice.resolve_on(scheduler, schedule);
            resolved.map_or(true, |sampler| is_late(start(&sampler).1, schedule))
        };
        let with = |spacing: &Spacing| SamplerChoice { steps: Some(steps), spacing: Some(*spacing), ..*choice };
        let better: Vec<Spacing> = WHOLE.into_iter().filter(|spacing| !starts_late(&with(spacing))).collect();
        let lambda_min = Some(scheduler.sampling.lambda_min).filter(|limit| better.is_empty() && limit.is_finite());
        Ok(Some(Self {
            kind: choice.kind,
            steps,
            spacing: choice.spacing.unwrap_or(scheduler.sampling.spacing),
            lambda_min,
            first,
            total: schedule.steps(),
            signal,
            better,
        }))
    }
}

/// The first step that is visited, and `√ᾱ` there.
fn start(sampler: &Sampler) -> (usize, f64) {
    match sampler.levels() {
        Some(levels) => {
            let level = levels.levels()[0];
            (level.t.round() as usize, level.signal())
        }
        None => {
            let chain = sampler.chain();
            let t = chain.original_step(chain.steps());
            (t, chain.trained_schedule().alpha_bar(t).sqrt())
        }
    }
}

fn is_late(signal: f64, schedule: &NoiseSchedule) -> bool {
    signal - schedule.alpha_bar(schedule.steps()).sqrt() > TOLERANCE
}

impl fmt::Display for LateStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, spacing, first, total, signal, .. } = self;
        let s = if *steps == 1 { "" } else { "s" };
        let verb = if *steps == 1 { "starts" } else { "start" };
        write!(f, "{steps} step{s} with spacing `{spacing}`")?;
        if let Some(limit) = self.lambda_min {
            write!(f, " and lambda_min_clipped {limit}")?;
        }
        write!(
            f,
            " {verb} at step {first} of {total}, where {:.0} % of the picture's signal is expected, but only noise is given",
            100.0 * signal
        )?;
        match self.better.as_slice() {
            [] => Ok(()),
            [one] => write!(f, "; --spacing {one} starts at step {total}"),
            [one, others @ ..] => {
                let others: Vec<String> = others.iter().map(Spacing::to_string).collect();
                write!(f, "; --spacing {one} (or {}) starts at step {total}", others.join(", "))
            }
        }
    }
}
