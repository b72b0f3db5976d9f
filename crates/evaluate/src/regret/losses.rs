//! Losses of examples at levels, and the figures that they give.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Level, Verdict};
use crate::distances::Estimate;

/// What was compared, and what came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regret {
    /// The figures at each level, from little noise to much.
    pub levels: Vec<LevelFigures>,
    /// Means over all steps, each with the same weight: the levels by their shares.
    pub mean: Figures,
    /// What the gap between training and held-out examples says.
    pub verdict: Verdict,
    /// Training examples with noise; where the training set is smaller, its examples come several times, with other noise.
    pub train_examples: usize,
    /// Held-out examples with noise.
    pub held_out_examples: usize,
    /// Examples of the training set, which the optimum knows all.
    pub mixture: usize,
    /// Whether the optimum knows each of them mirrored too.
    pub mirrored: bool,
    /// Whether the optimum knows the example's class, and looks at the training examples of that class alone.
    pub within_classes: bool,
}

/// The figures at a level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelFigures {
    /// The level.
    #[serde(flatten)]
    pub level: Level,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Losses `‖ε - ε̂‖²`, averaged over dimensions and examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Of the perfect denoiser of the training set, on training examples: nothing is lower.
    pub optimum: Estimate,
    /// Of the model, on the same examples with the same noise.
    pub train: Estimate,
    /// `train - optimum`. The standard error is that of the difference, example by example.
    pub regret: Estimate,
    /// On held-out examples, if there are any.
    pub held_out: Option<HeldOut>,
}

/// Losses on examples that are not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Of the model.
    pub loss: Estimate,
    /// Of the perfect denoiser of the training set: what it would cost to have learned that by heart.
    pub memoriser: Estimate,
    /// `loss - train`. The standard error is that of two sets of examples drawn alike: training examples that come several times count
    /// once. Where none does, both sets have the same noise in the same order, and the standard error takes that into account.
    pub gap: Estimate,
}

/// Losses of the model and of the optimum on one set: a row for each example, with a number for each level.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Losses {
    /// Which example each row is of.
    pub(super) ids: Vec<usize>,
    pub(super) model: Vec<Vec<f64>>,
    pub(super) optimum: Vec<Vec<f64>>,
}

impl Losses {
    pub(super) fn len(&self) -> usize {
        self.model.len()
    }

    /// How far the mean of `held_out` is above that of `model`, the losses of these examples.
    fn gap(&self, held_out: &[f64], model: &[f64]) -> Estimate {
        let mut examples: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        self.ids.iter().zip(model).for_each(|(id, loss)| examples.entry(*id).or_default().push(*loss));
        if examples.len() == model.len() {
            return difference(held_out, model);
        }
        let each: Vec<f64> = examples.values().map(|losses| losses.iter().sum::<f64>() / losses.len() as f64).collect();
        let (held_out, train) = (mean(held_out), mean(&each));
        // One example alone says nothing about others.
        let error = if each.len() < 2 { f64::INFINITY } else { train.standard_error.hypot(held_out.standard_error) };
        let all = model.iter().sum::<f64>() / model.len() as f64;
        Estimate::new(held_out.value - all, error)
    }

    fn map(&self, figure: impl Fn(&[f64]) -> f64) -> [Vec<f64>; 2] {
        [&self.model, &self.optimum].map(|rows| rows.iter().map(|row| figure(row)).collect())
    }
}

/// The figures of both sets, each with two examples at least; `held_out` may be empty.
pub(super) fn figures(levels: &[Level], train: &Losses, held_out: &Losses) -> (Vec<LevelFigures>, Figures) {
    let figures = |figure: &dyn Fn(&[f64]) -> f64| {
        let [model, optimum] = train.map(figure);
        let above: Vec<f64> = model.iter().zip(&optimum).map(|(model, optimum)| model - optimum).collect();
        let held_out = (held_out.len() > 0).then(|| {
            let [held, memoriser] = held_out.map(figure);
            HeldOut { loss: mean(&held), memoriser: mean(&memoriser), gap: train.gap(&held, &model) }
        });
        Figures { optimum: mean(&optimum), train: mean(&model), regret: mean(&above), held_out }
    };
    let at = |(i, level): (usize, &Level)| LevelFigures { level: *level, figures: figures(&|row| row[i]) };
    let weighted = |row: &[f64]| row.iter().zip(levels).map(|(loss, level)| level.share * loss).sum();
    (levels.iter().enumerate().map(at).collect(), figures(&weighted))
}

/// Mean and variance with `n - 1`.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// The mean of independent values.
fn mean(values: &[f64]) -> Estimate {
    let (mean, variance) = moments(values);
    Estimate::new(mean, (variance / values.len() as f64).sqrt())
}

/// The difference of the means of two lists. Values at the same place of both have something in common; those at different places do not.
///
/// # Formula
/// `Var(ā - b̄) = s_a²/n_a + s_b²/n_b - 2 m c/(n_a n_b)`, with `c` the covariance of the `m = min(n_a, n_b)` pairs.
fn difference(a: &[f64], b: &[f64]) -> Estimate {
    let ((mean_a, variance_a), (mean_b, variance_b)) = (moments(a), moments(b));
    let (n_a, n_b) = (a.len() as f64, b.len() as f64);
    let pairs = a.len().min(b.len());
    let (first, second) = (&a[..pairs], &b[..pairs]);
    let (middle_a, middle_b) = (moments(first).0, moments(second).0);
    let products = first.iter().zip(second).map(|(a, b)| (a - middle_a) * (b - middle_b));
    let covariance = products.sum::<f64>() / (pairs as f64 - 1.0);
    let variance = variance_a / n_a + variance_b / n_b - 2.0 * pairs as f64 * covariance / (n_a * n_b);
    Estimate::new(mean_a - mean_b, variance.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use sfumato_process::noise::{Purpose, fill_normal};

    use super::*;

    /// `count` standard normal numbers, which have nothing in common with those of another salt.
    fn values(count: usize, salt: u64) -> Vec<f64> {
        let mut values = vec![0.0; count];
        fill_normal(7, Purpose::Forward, salt, 0, &mut values);
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn the_standard_error_of_a_difference_is_that_of_the_pairs() {
        let (common, own, other) = (values(500, 1), values(500, 2), values(500, 3));
        let a: Vec<f64> = common.iter().zip(&own).map(|(c, x)| c + 0.1 * x).collect();
        let b: Vec<f64> = common.iter().zip(&other).map(|(c, x)| c + 0.1 * x - 1.0).collect();
        let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let (paired, expected) = (difference(&a, &b), mean(&apart));
        assert!((paired.value - expected.value).abs() < 1e-12);
        assert!((paired.standard_error - expected.standard_error).abs() < 1e-12);
        // What has nothing in common adds its variances.
        let (alone, other) = (difference(&own, &other[..250]), &other[..250]);
        let expected = mean(&own).standard_error.hypot(mean(other).standard_error);
        assert!((alone.standard_error / expected - 1.0).abs() < 0.1, "{} for {expected}", alone.standard_error);
    }

    #[test]
    fn examples_that_come_again_count_once() {
        let ids: Vec<usize> = (0..400).map(|i| i % 20).collect();
        let (of_examples, noise, held_out) = (values(20, 4), values(400, 5), values(300, 6));
        let model: Vec<f64> = ids.iter().zip(&noise).map(|(id, x)| of_examples[*id] + 0.01 * x).collect();
        let losses = Losses { ids, ..Losses::default() };
        let gap = losses.gap(&held_out, &model);
        assert!((gap.value - mean(&held_out).value + mean(&model).value).abs() < 1e-12);
        let expected = mean(&of_examples).standard_error.hypot(mean(&held_out).standard_error);
        assert!((gap.standard_error / expected - 1.0).abs() < 0.05, "{} for {expected}", gap.standard_error);
        let alone = Losses { ids: vec![3, 3], ..Losses::default() };
        assert_eq!(alone.gap(&held_out, &[1.0, 2.0]).standard_error, f64::INFINITY);
    }

    #[test]
    fn means_over_the_levels_weigh_them_by_their_shares() {
        let level = |t, share| Level { t, log_snr: 0.0, share };
        let levels = [level(1, 0.25), level(2, 0.75)];
        let train = Losses {
            ids: vec![0, 1],
            model: vec![vec![4.0, 1.0], vec![2.0, 1.0]],
            optimum: vec![vec![0.0, 1.0], vec![0.0, 0.0]],
        };
        let (each, all) = figures(&levels, &train, &Losses::default());
        assert_eq!((each[0].figures.train.value, each[1].figures.optimum.value), (3.0, 0.5));
        assert_eq!((all.train.value, all.optimum.value, all.regret.value), (1.5, 0.375, 1.125));
        assert_eq!(all.held_out, None);
        // (4, 0), (2, 1) by shares: 1 and 1.25.
        let error = Estimate::new(0.0, (0.03125_f64 / 2.0).sqrt()).standard_error;
        assert!((all.regret.standard_error - error).abs() < 1e-12);
    }
}
