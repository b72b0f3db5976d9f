//! Which examples are scored while a model is trained, and how often.

use serde::{Deserialize, Serialize};
use sfumato_process::bound::Strata;

use super::{TrainConfig, check};
use crate::TrainError;

/// Of the time of training what scoring may take where `every` is chosen here.
const COST: f64 = 0.03;
/// Evaluations of the network that a step of training costs for each example: once forward, about twice as much backward.
const EVALUATIONS_PER_EXAMPLE: f64 = 3.0;
/// Examples that are scored at a time: as many as there are in a batch, within these limits.
const EXAMPLES: [usize; 2] = [16, 128];
/// Share of the data that is held out, where it has no test split.
const SHARE: f64 = 0.02;
/// Most examples that are held out by themselves.
const MOST: usize = 1000;
/// Of the data that there is at most one in so many is held out by itself: fewer pictures than 320 are all trained on.
const ONE_IN: usize = 20;

/// Which examples are scored while a model is trained, and how often. What is left out is chosen when the run starts, by
/// [`TrainConfig::settle_held_out`], and stands in the run's `config.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeldOutConfig {
    /// Steps between two scores; 0 for none. The end of a run is scored too, unless the run is shorter than a quarter of this. Chosen so that scoring takes about 3 % of the time of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Examples that are scored each time, held-out ones and as many that are trained on. Chosen by the size of a batch, 16 to 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<usize>,
    /// Share of the training data that is held out: scored, and not trained on. Chosen as 0 where there is a test split, which is scored
    /// then, and where there are fewer than 320 examples; else 0.02, at least 16 examples and at most 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl HeldOutConfig {
    /// Nothing is held out and nothing is scored.
    pub const OFF: Self = Self { every: Some(0), examples: Some(EXAMPLES[0]), share: Some(0.0) };

    /// How many of `count` examples of the training data are held out.
    pub fn count(&self, count: usize) -> usize {
        let share = self.share.unwrap_or(0.0);
        // One example alone is trained on.
        if share > 0.0 && count > 1 { ((share * count as f64).round() as usize).clamp(1, count - 1) } else { 0 }
    }

    /// Whether nothing is said yet: all is chosen when the run starts.
    pub(super) fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether models are scored at all.
    pub fn is_on(&self) -> bool {
        self.every != Some(0)
    }

    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let Self { examples, share, .. } = *self;
        check("held_out.examples", examples.unwrap_or(1), examples != Some(0), "at least 1")?;
        let share = share.unwrap_or(0.0);
        check("held_out.share", share, (0.0..=0.5).contains(&share), "a number in [0, 0.5]")
    }
}

impl TrainConfig {
    /// Chooses what `held_out` leaves open, for data of `count` examples that has a test split or none.
    ///
    /// Nothing is scored then where nothing is held out.
    ///
    /// # Errors
    /// [`TrainError::Schedule`] if the schedule cannot be built.
    pub fn settle_held_out(&mut self, count: usize, has_test_split: bool) -> Result<(), TrainError> {
        let (every, examples) = self.scoring()?;
        let share = self.held_out.share.unwrap_or_else(|| {
            let most = count / ONE_IN;
            if every == 0 || has_test_split || most < EXAMPLES[0] {
                return 0.0;
            }
            let held = ((SHARE * count as f64) as usize).max(examples.min(most)).min(MOST);
            held as f64 / count as f64
        });
        let every = if share == 0.0 && !has_test_split { 0 } else { every };
        self.held_out = HeldOutConfig { every: Some(every), examples: Some(examples), share: Some(share) };
        Ok(())
    }

    /// Steps between two scores (0 for none), and the examples of each, as set or chosen.
    pub(crate) fn scoring(&self) -> Result<(u64, usize), TrainError> {
        let batch = self.training.batch_size;
        let examples = self.held_out.examples.unwrap_or(batch.clamp(EXAMPLES[0], EXAMPLES[1]));
        if let Some(every) = self.held_out.every {
            return Ok((every, examples));
        }
        let steps = self.diffusion.schedule.build()?.steps();
        let evaluations = (2 * examples * Strata::with_stride(steps, steps).len()) as f64;
        let exact = evaluations / (COST * EVALUATIONS_PER_EXAMPLE * batch as f64);
        // A round number; the end of a run is scored besides.
        Ok((((exact / 50.0).ceil() as u64).max(1) * 50, examples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(count: usize, has_test_split: bool, set: impl FnOnce(&mut TrainConfig)) -> HeldOutConfig {
        let mut config = TrainConfig::default();
        set(&mut config);
        config.settle_held_out(count, has_test_split).unwrap();
        config.held_out
    }

    #[test]
    fn a_test_split_is_scored_and_without_one_some_examples_are_held_out() {
        let test = settled(60_000, true, |_| ());
        assert_eq!((test.share, test.examples, test.count(60_000)), (Some(0.0), Some(64), 0));
        assert!(test.is_on());
        let held = |count| {
            let config = settled(count, false, |_| ());
            assert_eq!(config.is_on(), config.count(count) > 0);
            config.count(count)
        };
        let counts = [1, 319, 320, 500, 2000, 10_000, 1_000_000].map(held);
        assert_eq!(counts, [0, 0, 16, 25, 64, 200, 1000]);
        // What the user says goes before.
        let half = settled(10, false, |config| config.held_out.share = Some(0.5));
        assert_eq!((half.count(10), half.is_on()), (5, true));
        assert!(!settled(10_000, false, |config| config.held_out.share = Some(0.0)).is_on());
        // One example alone is trained on.
        let one = settled(1, false, |config| config.held_out.share = Some(0.5));
        assert_eq!((one.count(0), one.count(1), one.count(2)), (0, 0, 1));
        let off = settled(10_000, false, |config| config.held_out.every = Some(0));
        assert_eq!((off.count(10_000), off.is_on()), (0, false));
    }

    #[test]
    fn the_cost_is_the_same_for_every_size_of_a_batch() {
        for (batch, examples) in [(1, 16), (8, 16), (16, 16), (64, 64), (100, 100), (128, 128), (1024, 128)] {
            let held = settled(60_000, true, |config| config.training.batch_size = batch);
            let strata = Strata::with_stride(1000, 1000).len();
            let cost = (2 * examples * strata) as f64 / (3 * batch as u64 * held.every.unwrap()) as f64;
            assert_eq!(held.examples, Some(examples));
            assert!(cost <= COST && (cost > 0.6 * COST || batch > 200), "batch {batch}: {cost}");
        }
    }

    #[test]
    fn settling_twice_changes_nothing() {
        let mut config = TrainConfig::default();
        config.settle_held_out(5000, false).unwrap();
        let once = config.clone();
        config.settle_held_out(9, true).unwrap();
        assert_eq!(config, once);
    }
}
