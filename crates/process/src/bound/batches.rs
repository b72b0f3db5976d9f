//! The loop of every estimate: examples one after the other, evaluations of the network a batch at a time.

use std::ops::ControlFlow;

use super::{BoundError, Examples, Heard, Point, Progress, result::Gather};
use crate::NoiseError;

/// Fills the noise of an evaluation.
type Fill<'a, P> = dyn Fn(&P, &mut [f32]) -> Result<(), NoiseError> + 'a;
/// The terms of some evaluations, given the examples and the noise of each.
type Terms<'a, P> = dyn Fn(&[P], &[f32], &[f32]) -> Result<Vec<f64>, BoundError> + 'a;

/// What is evaluated for each example, and how; `P` is an evaluation, and holds its [`Point`].
pub(super) struct Batches<'a, P> {
    /// Evaluations for each example.
    pub(super) per_example: usize,
    /// Those of the example with this id, in order.
    pub(super) visits: &'a dyn Fn(usize) -> Vec<P>,
    /// Fills the noise of one.
    pub(super) noise: &'a Fill<'a, P>,
    /// The term in nats of each, given the examples and the noise, row after row.
    pub(super) terms: &'a Terms<'a, P>,
    /// `L_T` of an example.
    pub(super) prior: &'a dyn Fn(&[f64]) -> f64,
}

/// Evaluations that wait for the batch to fill.
struct Rows<P> {
    visits: Vec<P>,
    /// Whether it is its example's last.
    last: Vec<bool>,
    x_0: Vec<f32>,
    epsilon: Vec<f32>,
}

impl<P> Default for Rows<P> {
    fn default() -> Self {
        Self { visits: Vec::new(), last: Vec::new(), x_0: Vec::new(), epsilon: Vec::new() }
    }
}

impl<P: Copy + Into<Point>> Batches<'_, P> {
    /// Evaluates all of it, or what is complete where `observe` breaks off, and gathers the terms in `gather`.
    ///
    /// # Errors
    /// Those of the noise and of the terms, with the example's id in place of the row; [`BoundError::Stopped`] before an example is complete.
    pub(super) fn run(
        &self,
        gather: &mut Gather,
        examples: &dyn Examples,
        batch_size: usize,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), BoundError> {
        let mut x_0 = vec![0.0; examples.shape().iter().product()];
        let mut rows = Rows::default();
        let total = (self.per_example * examples.len()) as u64;
        let mut progress = Progress { examples: 0, evaluations: 0, total };
        'examples: for example in 0..examples.len() {
            examples.write(example, &mut x_0);
            for (i, visit) in (self.visits)(examples.id(example)).into_iter().enumerate() {
                let last = i + 1 == self.per_example;
                self.push(&mut rows, visit, last, &x_0)?;
                let end = example + 1 == examples.len() && last;
                if rows.visits.len() == batch_size.max(1) || end {
                    progress.evaluations += rows.visits.len() as u64;
                    progress.examples += self.flush(&mut rows, gather, examples)?;
                    if observe(progress).is_break() && !end {
                        break 'examples;
                    }
                }
            }
        }
        if progress.examples == 0 {
            return Err(BoundError::Stopped { done: 0, total: examples.len() });
        }
        Ok(())
    }

    fn push(&self, rows: &mut Rows<P>, visit: P, last: bool, x_0: &[f32]) -> Result<(), BoundError> {
        rows.visits.push(visit);
        rows.last.push(last);
        rows.x_0.extend(x_0);
        let start = rows.epsilon.len();
        rows.epsilon.resize(start + x_0.len(), 0.0);
        Ok((self.noise)(&visit, &mut rows.epsilon[start..])?)
    }

    /// Evaluates the waiting rows and says how many examples are complete now that were not before.
    fn flush(&self, rows: &mut Rows<P>, gather: &mut Gather, examples: &dyn Examples) -> Result<usize, BoundError> {
        let size = examples.shape().iter().product();
        let Rows { visits, last, x_0, epsilon } = std::mem::take(rows);
        let points: Vec<Point> = visits.iter().map(|&visit| visit.into()).collect();
        let terms =
            (self.terms)(&visits, &x_0, &epsilon).map_err(|error| error.of_example(|row| points[row].example))?;
        let mut complete = 0;
        for (((point, nats), last), values) in points.iter().zip(terms).zip(last).zip(x_0.chunks_exact(size)) {
            gather.term(*point, nats);
            if last {
                let x_0: Vec<f64> = values.iter().map(|&x| x.into()).collect();
                let (example, prior) = (point.example, (self.prior)(&x_0));
                if examples.listens() {
                    examples.hear(&Heard { example, prior, terms: gather.current().to_vec() });
                }
                gather.finish(example, prior);
                complete += 1;
            }
        }
        Ok(complete)
    }
}
