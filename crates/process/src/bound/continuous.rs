//! The bound in continuous time: the limit of the KL form as steps are added between the first and the last.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{
    Bound, BoundError, Decoder, Examples, Heard, Level, LevelStrata, LevelTerm, Point, Progress, batches::Batches,
    host, predicted::Predicted, prior_term, result::Gather,
};
use crate::{
    Chain, Denoiser, NoiseLevel,
    forward::q_sample_between,
    noise::{Purpose, fill_normal},
};

/// How the integral over noise levels and the expectation over noise are estimated.
#[derive(Clone, Debug)]
pub struct ContinuousPlan {
    /// `L_0`.
    pub decoder: Decoder,
    /// Which levels stand for which.
    pub levels: LevelStrata,
    /// Draws of levels and noise for each example, at least 1.
    pub draws: usize,
    /// Seed of levels and noise.
    pub seed: u64,
}

impl ContinuousPlan {
    /// Number of evaluations for one example: in each draw the decoder, and two levels of each stratum.
    pub fn points_per_example(&self) -> usize {
        (1 + 2 * self.levels.len()) * self.draws
    }

    /// As [`Plan::gathered`](super::Plan::gathered), for [`estimate_continuous`].
    pub fn gathered(&self, chain: &Chain, dimensions: usize, heard: impl IntoIterator<Item = Heard>) -> Option<Bound> {
        let gather = Gather::replayed(1 + self.levels.len(), heard);
        let bound = gather.bound(dimensions, self.decoder, |_| chain.original_step(1))?;
        Some(with_levels(bound, &self.levels))
    }

    /// The evaluations for one example, in order.
    fn visits(&self, chain: &Chain, example: usize) -> Vec<Visit> {
        let first = chain.original_step(1) as f64;
        let first = NoiseLevel::of_log_snr(chain.schedule().log_snr(1), first);
        let draws = self.draws as f64;
        let of_draw = |draw: usize| {
            // The decoder has the noise that it has in the sum over steps.
            let point = Point { example, step: 1, entry: draw * chain.steps(), weight: 1.0 / draws };
            let decoder = Visit { point, noise: first, level: None };
            let levels = self.levels.choose(self.seed, example, draw).enumerate().map(move |(i, level)| {
                let (step, entry) = (level.stratum + 2, draw * 2 * self.levels.len() + i);
                let point = Point { example, step, entry, weight: 0.5 / draws };
                Visit { point, noise: level.noise, level: Some(level) }
            });
            std::iter::once(decoder).chain(levels)
        };
        (0..self.draws).flat_map(of_draw).collect()
    }
}

/// One evaluation of the network.
#[derive(Clone, Copy)]
struct Visit {
    point: Point,
    noise: NoiseLevel,
    /// None for the decoder.
    level: Option<Level>,
}

impl From<Visit> for Point {
    fn from(visit: Visit) -> Self {
        visit.point
    }
}

/// A denoiser that may look up more about an example than its noisy values: from `x_t` and times as in
/// [`Denoiser::predict_between`], and the [`id`](Examples::id)s of the batch's examples, the raw prediction.
pub type PredictBetween<'a, B, const D: usize> = dyn Fn(Tensor<B, D>, &[f64], &[usize]) -> Tensor<B, D> + 'a;

/// `½ ‖ε - ε̂‖²` at given `x_t` between the steps of the trained chain; nats for each example and for each nat of log-SNR.
///
/// Averaged over `x_t` ([`q_sample_between`]) and integrated over the log-SNR it is the limit of `Σ L_{t-1}`.
///
/// # Shapes
/// - `x_0`, `x_t`: `[batch, …]`, of one element type
/// - `levels`: one for each example; its time is the trained chain's
/// - result: `batch` numbers
///
/// # Formula
/// `½ SNR ‖x_0 - x̂_0‖²`, with the `x̂_0` that the chain uses: it is clipped if the chain clips, and `ε̂` is the noise that follows from it. The
/// variance of the steps plays no part: every variance that lies between `β̃` and `β` becomes the same as steps become short.
///
/// # Errors
/// [`BoundError::NotFiniteBetween`] (with the place in the batch as the example), [`BoundError::NoVariance`], [`BoundError::Device`].
///
/// # Panics
/// If the number of levels is not the batch size.
pub fn level_terms<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &dyn Denoiser<B, D>,
    x_0: Tensor<B, D>,
    x_t: Tensor<B, D>,
    levels: &[NoiseLevel],
) -> Result<Vec<f64>, BoundError> {
    let size: usize = x_0.dims()[1..].iter().product();
    let predicted = Predicted::between(chain, denoiser, x_t, levels)?;
    let x_0 = host::read(x_0)?;
    let rows = x_0.chunks_exact(size).zip(levels).enumerate();
    rows.map(|(example, (x_0, level))| integrand(&predicted, example, x_0, *level)).collect()
}

/// Estimates the bound in continuous time with the predictions of `predict` over `examples`: `L_T` and `L_0` are those of `chain`, and between its
/// first step and its last there are infinitely many.
///
/// This is the bound of a model of its own, with the network of the chain, asked between the steps that it was trained on
/// (Kingma et al. 2021, arXiv:2107.00630, Eqs. 13 and 17). Its decoder `p(x_0 | x_1)` is the chain's: any decoder makes a valid bound, and this one keeps the variance that the
/// chain has at step 1, whereas `β̃_2` of ever shorter steps would go to 0. In [`Bound::diffusion`] is `½ ∫ E‖ε - ε̂‖² dλ`; [`Bound::levels`] has its parts.
///
/// The estimate is unbiased for any strata. It depends on `batch_size` only by the network's rounding. Where `observe` breaks off, the result is
/// that of the examples which are complete by then.
///
/// # Errors
/// [`BoundError`]: nothing to average, data that does not suit the decoder, a prediction that is not finite, or [`BoundError::Stopped`] if
/// `observe` breaks off before an example is complete.
///
/// # Panics
/// If the rank `D` is not one more than the examples'.
pub fn estimate_continuous<B: Backend, const D: usize>(
    chain: &Chain,
    predict: &PredictBetween<'_, B, D>,
    plan: &ContinuousPlan,
    examples: &dyn Examples,
    batch_size: usize,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, BoundError> {
    for (what, count) in [("the number of examples", examples.len()), ("the number of draws", plan.draws)] {
        if count == 0 {
            return Err(BoundError::Nothing { what });
        }
    }
    let mut shape = [0; D];
    shape[1..].copy_from_slice(examples.shape());
    let mut gather = Gather::new(1 + plan.levels.len());
    let batches = Batches {
        per_example: plan.points_per_example(),
        visits: &|example| plan.visits(chain, example),
        noise: &|visit: &Visit, out| {
            let Point { example, entry, .. } = visit.point;
            let purpose = if visit.level.is_some() { Purpose::LevelNoise } else { Purpose::Forward };
            fill_normal(plan.seed, purpose, example as u64, entry as u64, out);
            Ok(())
        },
        terms: &|visits: &[Visit], x_0, epsilon| {
            let mut shape = shape;
            shape[0] = visits.len();
            let tensor = |values: &[f32]| Tensor::<B, D>::from_data(TensorData::new(values.to_vec(), shape), device);
            let ids: Vec<usize> = visits.iter().map(|visit| visit.point.example).collect();
            let levels: Vec<NoiseLevel> = visits.iter().map(|visit| visit.noise).collect();
            let x_t = q_sample_between(tensor(x_0), &levels, tensor(epsilon));
            let known = Between { predict, examples: &ids };
            let predicted = Predicted::between(chain, &known, x_t, &levels)?;
            terms(chain, plan, visits, x_0, &predicted)
        },
        prior: &|x_0| prior_term(chain, x_0),
    };
    batches.run(&mut gather, examples, batch_size, observe)?;
    let bound = gather.bound(shape[1..].iter().product(), plan.decoder, |_| chain.original_step(1));
    let bound = bound.ok_or(BoundError::Stopped { done: 0, total: examples.len() })?;
    Ok(with_levels(bound, &plan.levels))
}

/// The term of each evaluation: the decoder's, or an estimate of its stratum's integral.
fn terms(
    chain: &Chain,
    plan: &ContinuousPlan,
    visits: &[Visit],
    x_0: &[f32],
    predicted: &Predicted,
) -> Result<Vec<f64>, BoundError> {
    let x_0: Vec<f64> = x_0.iter().map(|&x| x.into()).collect();
    let size = x_0.len() / visits.len();
    let rows = x_0.chunks_exact(size).zip(visits).enumerate();
    rows.map(|(example, (x_0, visit))| match visit.level {
        Some(level) => Ok(level.weight * integrand(predicted, example, x_0, level.noise)?),
        None => {
            let row = predicted.row(chain, example, 1);
            let nats = row.decoder(plan.decoder, x_0).map_err(|value| BoundError::NotALevel { example, value })?;
            if nats.is_finite() { Ok(nats) } else { Err(BoundError::NotFinite { example, step: 1, nats }) }
        }
    })
    .collect()
}

/// `½ SNR ‖x_0 - x̂_0‖²` of one example of the batch.
fn integrand(predicted: &Predicted, example: usize, x_0: &[f64], level: NoiseLevel) -> Result<f64, BoundError> {
    let distance = host::squared_distance(x_0, predicted.x_0(example).iter().copied());
    let nats = 0.5 * distance / (level.sigma * level.sigma);
    let NoiseLevel { t, .. } = level;
    if nats.is_finite() {
        Ok(nats)
    } else {
        Err(BoundError::NotFiniteBetween { example, t, log_snr: level.log_snr(), nats })
    }
}

/// The bound with its strata as levels in place of steps.
fn with_levels(mut bound: Bound, strata: &LevelStrata) -> Bound {
    let rest = bound.steps.split_off(1);
    let level = |(i, term): (usize, super::Mean)| {
        let log_snr = strata.edges(i);
        LevelTerm { log_snr, time: log_snr.map(|edge| strata.time_of(edge)), term }
    };
    let terms = rest.into_iter().enumerate().filter_map(|(i, step)| Some((i, step.term?)));
    bound.levels = terms.map(level).collect();
    bound
}

/// A denoiser for the examples of one batch.
pub(crate) struct Between<'a, B: Backend, const D: usize> {
    pub(crate) predict: &'a PredictBetween<'a, B, D>,
    pub(crate) examples: &'a [usize],
}

impl<B: Backend, const D: usize> Denoiser<B, D> for Between<'_, B, D> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        let times: Vec<f64> = t.iter().map(|&t| t as f64).collect();
        self.predict_between(x_t, &times)
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        (self.predict)(x_t, t, self.examples)
    }
}
