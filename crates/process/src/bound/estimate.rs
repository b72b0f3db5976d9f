//! The KL form over many examples, batch by batch.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{Bound, BoundError, Plan, Point, prior_term, result::Gather, step_terms};
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
    let size = examples.shape().iter().product();
    let mut run = Run { chain, predict, plan, device, size, rows: Rows::default(), gather: Gather::new(chain.steps()) };
    let mut progress =
        Progress { examples: 0, evaluations: 0, total: (plan.points_per_example() * examples.len()) as u64 };
    let mut shape = [0; D];
    shape[1..].copy_from_slice(examples.shape());
    let mut x_0 = vec![0.0; size];
    'examples: for example in 0..examples.len() {
        examples.write(example, &mut x_0);
        let last = plan.points_per_example() - 1;
        for (i, point) in plan.points(examples.id(example)).enumerate() {
            run.rows.push(point, i == last, &x_0, plan)?;
            let end = example + 1 == examples.len() && i == last;
            if run.rows.points.len() == batch_size.max(1) || end {
                progress.evaluations += run.rows.points.len() as u64;
                progress.examples += run.flush(shape)?;
                if observe(progress).is_break() && !end {
                    break 'examples;
                }
            }
        }
    }
    let bound = run.gather.bound(size, plan.decoder, |i| chain.original_step(i));
    bound.ok_or(BoundError::Stopped { done: progress.examples, total: examples.len() })
}

struct Run<'a, B: Backend, const D: usize> {
    chain: &'a Chain,
    predict: &'a Predict<'a, B, D>,
    plan: &'a Plan<'a>,
    device: &'a B::Device,
    /// Values in an example.
    size: usize,
    rows: Rows,
    gather: Gather,
}

/// Evaluations that wait for the batch to fill.
#[derive(Default)]
struct Rows {
    points: Vec<Point>,
    /// Whether the point is its example's last.
    last: Vec<bool>,
    x_0: Vec<f32>,
    epsilon: Vec<f32>,
}

impl Rows {
    fn push(&mut self, point: Point, last: bool, x_0: &[f32], plan: &Plan<'_>) -> Result<(), BoundError> {
        self.points.push(point);
        self.last.push(last);
        self.x_0.extend(x_0);
        let start = self.epsilon.len();
        self.epsilon.resize(start + x_0.len(), 0.0);
        Ok(plan.noise.fill(point.example, point.entry, &mut self.epsilon[start..])?)
    }
}

impl<B: Backend, const D: usize> Run<'_, B, D> {
    /// Evaluates the waiting rows and says how many examples are complete now that were not before.
    fn flush(&mut self, mut shape: [usize; D]) -> Result<usize, BoundError> {
        let Rows { points, last, x_0: values, epsilon } = std::mem::take(&mut self.rows);
        shape[0] = points.len();
        let steps: Vec<usize> = points.iter().map(|point| point.step).collect();
        let examples: Vec<usize> = points.iter().map(|point| point.example).collect();
        let known = WithExamples { predict: self.predict, examples: &examples };
        let tensor = |values: Vec<f32>| Tensor::<B, D>::from_data(TensorData::new(values, shape), self.device);
        let x_0 = tensor(values.clone());
        let x_t = q_sample(self.chain.schedule(), x_0.clone(), &steps, tensor(epsilon));
        let terms = step_terms(self.chain, &known, self.plan.decoder, x_0, x_t, &steps)
            .map_err(|error| at_example(error, &points))?;
        let mut complete = 0;
        for (((point, nats), last), values) in points.iter().zip(terms).zip(last).zip(values.chunks_exact(self.size)) {
            self.gather.term(*point, nats);
            if last {
                let x_0: Vec<f64> = values.iter().map(|&x| x.into()).collect();
                self.gather.finish(point.example, prior_term(self.chain, &x_0));
                complete += 1;
            }
        }
        Ok(complete)
    }
}

/// The error of a row as one of its example.
fn at_example(error: BoundError, points: &[Point]) -> BoundError {
    match error {
        BoundError::NotALevel { example, value } => BoundError::NotALevel { example: points[example].example, value },
        BoundError::NotFinite { example, step, nats } => {
            BoundError::NotFinite { example: points[example].example, step, nats }
        }
        other => other,
    }
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
