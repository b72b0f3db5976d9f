//! The steps of batches.

use rand::RngExt;
use sfumato_schedule::NoiseSchedule;

use super::{Density, ImportanceTimes, TimeDraw, TimesError, table::StepTable};
use crate::noise::{Purpose, stream};

/// Draws the steps of batches by a [`Density`].
///
/// # Examples
/// A loop of one's own, with noise levels by importance: `losses` is what an [`Objective`](crate::Objective) gives.
/// ```
/// use sfumato_process::times::{Density, TimeSampler};
/// use sfumato_schedule::ScheduleConfig;
///
/// let schedule = ScheduleConfig::default().with_steps(8)?.build()?;
/// let mut times = TimeSampler::new(Density::IMPORTANCE, &schedule)?;
/// for step in 0..40 {
///     let draws = times.draws(7, 16 * step, 16); // seed 7, examples 16 step, 16 step + 1, …
///     let t: Vec<usize> = draws.iter().map(|draw| draw.t).collect();
///     let losses: Vec<f64> = t.iter().map(|&t| 1.0 / t as f64).collect();
///     let loss = draws.iter().zip(&losses).map(|(draw, loss)| draw.weight * loss).sum::<f64>() / 16.0;
///     assert!(loss > 0.0); // its expectation is the mean over uniform steps
///     times.record(&t, &losses);
/// }
/// assert!(times.probability(1) > 0.3 && times.probability(8) < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TimeSampler {
    density: Density,
    steps: usize,
    source: Source,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Uniform,
    Levels(StepTable),
    Importance(ImportanceTimes),
}

impl TimeSampler {
    /// For the chain of `schedule`.
    ///
    /// # Errors
    /// [`TimesError::Parameter`] for a parameter out of range, [`TimesError::NoMass`] if the density is nowhere near the schedule's
    /// noise levels.
    pub fn new(density: Density, schedule: &NoiseSchedule) -> Result<Self, TimesError> {
        let steps = schedule.steps();
        let source = match (density, density.probabilities(schedule)?) {
            (Density::Importance { .. }, _) => Source::Importance(ImportanceTimes::new(steps)),
            (_, Some(probabilities)) => Source::Levels(StepTable::new(probabilities.into_iter())),
            (_, None) => Source::Uniform,
        };
        Ok(Self { density, steps, source })
    }

    /// Goes on with what importance sampling had seen; other densities have seen nothing.
    ///
    /// # Errors
    /// [`TimesError::Length`] if it is the history of a chain of another length.
    pub fn with_history(mut self, history: ImportanceTimes) -> Result<Self, TimesError> {
        if let Source::Importance(times) = &mut self.source {
            // Checked once more: it may come from a file.
            *times = ImportanceTimes::resumed(self.steps, history.losses().to_vec(), history.counts().to_vec())?;
        }
        Ok(self)
    }

    /// What importance sampling has seen.
    pub fn history(&self) -> Option<&ImportanceTimes> {
        match &self.source {
            Source::Importance(times) => Some(times),
            _ => None,
        }
    }

    /// The density.
    pub fn density(&self) -> Density {
        self.density
    }

    /// Whether weights other than 1 can come with draws.
    pub fn is_weighted(&self) -> bool {
        !matches!(self.source, Source::Uniform) && self.density.is_unbiased()
    }

    /// `p_t`, as things are now.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    pub fn probability(&self, t: usize) -> f64 {
        assert!((1..=self.steps).contains(&t), "step t = {t} is outside 1..={}", self.steps);
        match &self.source {
            Source::Uniform => 1.0 / self.steps as f64,
            Source::Levels(table) => table.probability(t),
            Source::Importance(times) => times.probability(t),
        }
    }

    /// The step for a uniform number `u` in [0, 1).
    pub fn draw(&self, u: f64) -> TimeDraw {
        match &self.source {
            Source::Uniform => TimeDraw::uniform(self.steps, u),
            Source::Importance(times) => times.draw(u),
            Source::Levels(table) => {
                let t = table.quantile(u);
                let weight =
                    if self.density.is_unbiased() { 1.0 / (self.steps as f64 * table.probability(t)) } else { 1.0 };
                TimeDraw { t, weight }
            }
        }
    }

    /// The steps of a batch of `size` examples, the first of which is the `first`-th that the run sees: a function of these, of `seed`, and
    /// of the losses recorded so far.
    ///
    /// An example's number is its own, unless they are evenly spread: then all of a batch follow from that of its first example.
    pub fn draws(&self, seed: u64, first: u64, size: usize) -> Vec<TimeDraw> {
        let numbers = |example: u64| stream(seed, Purpose::TrainingStep, example, 0);
        if self.density.is_stratified() {
            let u: f64 = numbers(first).random();
            return (0..size).map(|i| self.draw((u + i as f64 / size as f64).fract())).collect();
        }
        let each = (first..first + size as u64).map(|example| match &self.source {
            Source::Uniform => TimeDraw { t: numbers(example).random_range(1..=self.steps), weight: 1.0 },
            _ => self.draw(numbers(example).random()),
        });
        each.collect()
    }

    /// Whether losses have to be [recorded](Self::record).
    pub fn learns(&self) -> bool {
        matches!(self.source, Source::Importance(_))
    }

    /// Remembers the losses of a batch at steps `t`, not divided by `T p_t`; nothing, for densities that do not learn.
    ///
    /// # Panics
    /// As [`ImportanceTimes::record`].
    pub fn record(&mut self, t: &[usize], losses: &[f64]) {
        if let Source::Importance(times) = &mut self.source {
            times.record(t, losses);
        }
    }
}
