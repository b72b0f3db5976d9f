//! The score of a network on some examples.

use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use sfumato_data::{Dataset, Subset};
use sfumato_kernels::Backend;
use sfumato_nets::{Call, Network};
use sfumato_process::{
    Chain, Denoiser, Parameterization,
    bound::{Bound, BoundError, BoundNoise, Decoder, Examples, Plan, Strata, estimate},
};
use sfumato_schedule::probability::LikelihoodCdf;

/// Evaluations of the network at a time.
const BATCH: usize = 64;

/// How well a model predicts some examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Number of examples.
    pub examples: usize,
    /// The variational bound, as `sfumato eval` computes it, in bits for each number of an example; of data that is not of 256 levels
    /// it is that of a density.
    pub bits_per_dim: f64,
    /// Its standard error over the examples; 0 of a single one.
    pub standard_error: f64,
    /// Mean squared error of what the network predicts, over all steps alike: `L_simple`, whatever weight and density it is trained by.
    pub loss: f64,
    /// The same over the steps from the key up to the next key.
    pub loss_by_level: BTreeMap<usize, f64>,
}

/// Scores networks on the same examples with the same noise.
pub(crate) struct Scorer<'a> {
    chain: Chain,
    plan: Plan<'static>,
    part: Part<'a>,
    /// What a class-conditional network is told of an example without a class.
    null_class: Option<usize>,
}

impl<'a> Scorer<'a> {
    /// For networks of `chain`, on `examples` of `data`: those, and the noise, depend on `seed`.
    pub(crate) fn new(
        chain: Chain,
        data: &'a dyn Dataset,
        examples: usize,
        seed: u64,
        null_class: Option<usize>,
    ) -> Self {
        let steps = chain.steps();
        let decoder =
            if data.is_discrete() { Decoder::Discretized(LikelihoodCdf::default()) } else { Decoder::Gaussian };
        let strata = Strata::with_stride(steps, steps);
        let plan = Plan { decoder, strata, draws: 1, noise: BoundNoise::Seeded(seed), seed };
        Self { chain, plan, part: Part::new(data, examples, seed), null_class }
    }

    /// Number of examples.
    pub(crate) fn examples(&self) -> usize {
        self.part.ids.len()
    }

    /// Evaluations of the network for a score.
    pub(crate) fn evaluations(&self) -> usize {
        self.plan.points_per_example() * self.examples()
    }

    /// The score of `net`; `observe` hears of the evaluations that are done, and can break off.
    pub(crate) fn score<B, N, const D: usize>(
        &self,
        net: &N,
        device: &B::Device,
        observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Score, BoundError>
    where
        B: Backend,
        N: Network<B, D>,
    {
        let losses = RefCell::new(Levels::default());
        let predict = |x_t: Tensor<B, D>, t: &[usize], ids: &[usize]| {
            let classes: Option<Vec<usize>> =
                self.null_class.map(|null| ids.iter().map(|&id| self.part.data.label(id).unwrap_or(null)).collect());
            let output = Call { net, classes: classes.as_deref(), dropout: None }.predict(x_t, t);
            let rows = output.to_data().convert::<f32>().into_vec::<f32>().unwrap_or_default();
            let length = rows.len() / t.len().max(1);
            for ((&t, &id), row) in t.iter().zip(ids).zip(rows.chunks_exact(length.max(1))) {
                losses.borrow_mut().add(t, self.error(t, id, row));
            }
            output
        };
        let mut seen = |progress: sfumato_process::bound::Progress| observe(progress.evaluations as usize);
        let bound = estimate::<B, D>(&self.chain, &predict, &self.plan, &self.part, BATCH, device, &mut seen)?;
        if bound.examples < self.examples() as u64 {
            return Err(BoundError::Stopped { done: bound.examples as usize, total: self.examples() });
        }
        Ok(score(&bound, losses.into_inner().means(&self.plan.strata)))
    }

    /// Mean squared error of a prediction for example `id` at step `t`. A learned variance stands behind it.
    fn error(&self, t: usize, id: usize, row: &[f32]) -> f64 {
        let size = self.part.data.example_len();
        let (mut x_0, mut epsilon) = (vec![0.0; size], vec![0.0; size]);
        self.part.data.write(id, &mut x_0);
        if self.plan.noise.fill(id, t - 1, &mut epsilon).is_err() {
            return f64::NAN;
        }
        let schedule = self.chain.schedule();
        let (signal, noise) = (schedule.alpha_bar(t).sqrt(), schedule.one_minus_alpha_bar(t).sqrt());
        let target = |(x_0, epsilon): (&f32, &f32)| match self.chain.parameterization() {
            Parameterization::Epsilon => f64::from(*epsilon),
            Parameterization::X0 => f64::from(*x_0),
            Parameterization::V => signal * f64::from(*epsilon) - noise * f64::from(*x_0),
        };
        let errors =
            x_0.iter().zip(&epsilon).map(target).zip(row).map(|(target, out)| (target - f64::from(*out)).powi(2));
        errors.sum::<f64>() / size as f64
    }
}

fn score(bound: &Bound, (loss, loss_by_level): (f64, BTreeMap<usize, f64>)) -> Score {
    let total = bound.total.bits_per_dim(bound.dimensions);
    Score {
        examples: bound.examples as usize,
        bits_per_dim: total.mean,
        standard_error: total.standard_error.unwrap_or(0.0),
        loss,
        loss_by_level,
    }
}

/// Errors by step.
#[derive(Default)]
struct Levels {
    /// Sum and number.
    by_step: BTreeMap<usize, (f64, usize)>,
}

impl Levels {
    fn add(&mut self, t: usize, error: f64) {
        let (sum, count) = self.by_step.entry(t).or_default();
        *sum += error;
        *count += 1;
    }

    /// The mean over all steps, and over those of each level: from a power of two to the next. A step of a stratum stands for all of its
    /// steps.
    fn means(&self, strata: &Strata) -> (f64, BTreeMap<usize, f64>) {
        let (mut all, mut levels) = ((0.0, 0.0), BTreeMap::<usize, (f64, f64)>::new());
        for stratum in strata.iter() {
            let visited = self.by_step.range(stratum.first..stratum.first + stratum.width);
            let (sum, count) = visited.fold((0.0, 0), |(sum, count), (_, of)| (sum + of.0, count + of.1));
            let (width, mean) = (stratum.width as f64, sum / count as f64);
            let level = levels.entry(1 << stratum.first.ilog2()).or_default();
            for total in [&mut all, level] {
                *total = (total.0 + width * mean, total.1 + width);
            }
        }
        let mean = |(sum, width): (f64, f64)| sum / width;
        (mean(all), levels.into_iter().map(|(first, total)| (first, mean(total))).collect())
    }
}

/// Some examples of a data set, by their places in it.
struct Part<'a> {
    data: &'a dyn Dataset,
    ids: Vec<usize>,
}

impl<'a> Part<'a> {
    fn new(data: &'a dyn Dataset, examples: usize, seed: u64) -> Self {
        let ids = match data.part() {
            Some(part) => part.iter().copied().take(examples).collect(),
            None => {
                let subset = Subset::new(seed, data.len());
                (0..examples.min(data.len())).map(|place| subset.index(place)).collect()
            }
        };
        Self { data, ids }
    }
}

impl Examples for Part<'_> {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        self.data.write(self.ids[i], out);
    }

    fn id(&self, i: usize) -> usize {
        self.ids[i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_for_its_stratum_and_a_level_for_a_power_of_two() {
        let strata = Strata::with_stride(100, 100);
        let mut levels = Levels::default();
        // Errors that are t: the mean of a stratum is that of the step that was visited.
        for example in 0..400 {
            strata.choose(3, example, 0).for_each(|(t, _)| levels.add(t, t as f64));
        }
        let (loss, by_level) = levels.means(&strata);
        assert!((loss - 50.5).abs() < 1.0, "{loss}");
        assert_eq!(by_level.keys().copied().collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!((by_level[&1], by_level[&2]), (1.0, 2.5));
        assert!(by_level[&64] > by_level[&32] && by_level[&32] > 32.0);
    }
}
