//! The KL form over many examples, batch by batch.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{Bound, BoundError, Plan, Point, batches::Batches, prior_term, result::Gather, step_terms};
use crate::{Chain, Denoiser, forward::q_sample};

/// Examples that can be asked for by index: a data set, a list.
pub trait Examples {
    /// Number of examples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one example, without a batch.
    fn shape(&self) -> &[usize];

    /// Writes example `i` to `out`, in row-major order.
    fn write(&self, i: usize, out: &mut [f32]);

    /// The number by which example `i` is known elsewhere: it addresses the noise and the choice of steps, and is what `predict`
    /// and errors are told. An example of a part of a data set then gives the same terms as in the whole.
    fn id(&self, i: usize) -> usize {
        i
    }

    /// Hears of the terms of an example once all of them are there, example after example: whoever keeps them can gather those of several runs of examples to the
    /// bits of one ([`Plan::gathered`]).
    fn hear(&self, terms: &Heard) {
        let _ = terms;
    }

    /// Whether [`hear`](Self::hear) listens.
    fn listens(&self) -> bool {
        false
    }
}

/// The terms of one example, as they are gathered.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The example's [`id`](Examples::id).
    pub example: usize,
    /// `L_T`, nats.
    pub prior: f64,
    /// Each evaluation and its term in nats, in order.
    pub terms: Vec<(Point, f64)>,
}

impl Plan<'_> {
    /// The bound of `chain` from terms that were [heard](Examples::hear) under this plan, of examples with `dimensions` numbers each: that of
    /// [`estimate`] over all those examples in this order, to the bit. None without examples.
    pub fn gathered(&self, chain: &Chain, dimensions: usize, heard: impl IntoIterator<Item = Heard>) -> Option<Bound> {
        let gather = Gather::replayed(chain.steps(), heard);
        gather.bound(dimensions, self.decoder, |i| chain.original_step(i))
    }
}

/// A denoiser that may look up more about an example than its noisy values, such as a class label: from `x_t` and `t` as in
/// [`Denoiser::predict`], and the [`id`](Examples::id)s of the batch's examples, the raw prediction.
pub type Predict<'a, B, const D: usize> = dyn Fn(Tensor<B, D>, &[usize], &[usize]) -> Tensor<B, D> + 'a;

/// What an observer sees after each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Examples whose terms are all there.
    pub examples: usize,
    /// Evaluations of the network so far.
    pub evaluations: u64,
    /// Evaluations in all.
    pub total: u64,
}

/// Estimates the bound of `chain` with the predictions of `predict` over `examples` by the KL form.
///
/// `&|x_t, t, _| denoiser.predict(x_t, t)` makes a [`Denoiser`] into a `predict`.
///
/// `batch_size` evaluations at a time go through the network, whichever examples and steps they belong to; the result depends on
/// it only by the network's rounding. Memory depends on the batch and on the number of steps; of each example three numbers are kept.
///
/// Where `observe` breaks off, the result is that of the examples which are complete by then, the first
/// [`Bound::examples`](super::Bound::examples).
///
/// # Errors
/// [`BoundError`]: nothing to average, noise that a recording lacks, data that does not suit the decoder, a prediction that is not
/// finite, or [`BoundError::Stopped`] if `observe` breaks off before an example is complete.
///
/// # Panics
/// If `plan.strata` is for another number of steps than the chain's, or the rank `D` is not one more than the examples'.
pub fn estimate<B: Backend, const D: usize>(
    chain: &Chain,
    predict: &Predict<'_, B, D>,
    plan: &Plan<'_>,
    examples: &dyn Examples,
    batch_size: usize,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, BoundError> {
    assert_eq!(plan.strata.steps(), chain.steps(), "the strata are those of another chain");
    for (what, count) in [("the number of examples", examples.len()), ("the number of draws", plan.draws)] {
        if count == 0 {
            return Err(BoundError::Nothing { what });
        }
    }
    let mut shape = [0; D];
    shape[1..].copy_from_slice(examples.shape());
    let mut gather = Gather::new(chain.steps());
    let batches = Batches {
        per_example: plan.points_per_example(),
        visits: &|example| plan.points(example).collect(),
        noise: &|point: &Point, out| plan.noise.fill(point.example, point.entry, out),
        terms: &|points: &[Point], x_0, epsilon| {
            let mut shape = shape;
            shape[0] = points.len();
            let steps: Vec<usize> = points.iter().map(|point| point.step).collect();
            let ids: Vec<usize> = points.iter().map(|point| point.example).collect();
            let known = WithExamples { predict, examples: &ids };
            let tensor = |values: &[f32]| Tensor::<B, D>::from_data(TensorData::new(values.to_vec(), shape), device);
            let x_0 = tensor(x_0);
            let x_t = q_sample(chain.schedule(), x_0.clone(), &steps, tensor(epsilon));
            step_terms(chain, &known, plan.decoder, x_0, x_t, &steps)
        },
        prior: &|x_0| prior_term(chain, x_0),
    };
    batches.run(&mut gather, examples, batch_size, observe)?;
    let bound = gather.bound(shape[1..].iter().product(), plan.decoder, |i| chain.original_step(i));
    bound.ok_or(BoundError::Stopped { done: 0, total: examples.len() })
}

/// A denoiser for the examples of one batch.
pub(crate) struct WithExamples<'a, B: Backend, const D: usize> {
    pub(crate) predict: &'a Predict<'a, B, D>,
    pub(crate) examples: &'a [usize],
}

impl<B: Backend, const D: usize> Denoiser<B, D> for WithExamples<'_, B, D> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        (self.predict)(x_t, t, self.examples)
    }
}
