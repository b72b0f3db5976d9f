//! The likelihood, and how well it is known.

use super::Start;
use crate::bound::{Mean, Moments};

/// Negative log-likelihoods of examples by the flow; nats for a whole example, unless converted with [`Mean::bits_per_dim`].
///
/// Standard errors treat the examples as a sample of the data's distribution: they hold the spread of the examples, the noise and the probes alike.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowLikelihood {
    /// Numbers in one example.
    pub dimensions: usize,
    /// Evaluations of the network, each with a gradient; those of paths that were stopped do not count.
    pub evaluations: u64,
    /// How examples became states.
    pub start: Start,
    /// `-ln N(x_T; 0, I)`.
    pub prior: Mean,
    /// Minus the integral of the divergence.
    pub volume: Mean,
    /// What the start adds: the width of the levels, or `L_0` and the noise's density.
    pub offset: Mean,
    /// The sum of the three.
    pub total: Mean,
    /// Standard error of `total` that the probes of Hutchinson's estimator make, for just these examples; none where a path has one probe, which does not tell.
    pub probe_error: Option<f64>,
    /// The same of probes and noise together, by the spread of an example's paths; none where it has one.
    pub draw_error: Option<f64>,
    /// Mean over the examples of what the solver's error changes, by the embedded method. It is estimated for the lower of the two orders, of which
    /// the result has the higher: the true error is most often far below.
    pub solver_error: f64,
    /// Each example by itself, in order.
    pub each: Vec<ExampleLikelihood>,
}

/// One example's negative log-likelihood, in nats: means over its paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExampleLikelihood {
    /// The example's [`id`](crate::bound::Examples::id).
    pub example: usize,
    /// `-ln N(x_T; 0, I)`.
    pub prior: f64,
    /// Minus the integral of the divergence.
    pub volume: f64,
    /// What the start adds.
    pub offset: f64,
    /// Standard error of the total by the spread of each path's probes; 0 for an exact trace, none for one probe.
    pub probe_error: Option<f64>,
    /// Standard error of the total by the spread of the paths; none for one path.
    pub draw_error: Option<f64>,
    /// What the solver's error changes, by the embedded method.
    pub solver_error: f64,
    /// Evaluations of the network.
    pub evaluations: u64,
}

impl ExampleLikelihood {
    /// The sum of the three terms.
    pub fn total(&self) -> f64 {
        self.prior + self.volume + self.offset
    }
}

/// What one path gives, in nats.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathTerms {
    pub(super) prior: f64,
    pub(super) volume: f64,
    pub(super) offset: f64,
    /// Standard error of `volume` by the spread of the probes.
    pub(super) probe_error: Option<f64>,
    pub(super) solver_error: f64,
    pub(super) evaluations: u64,
}

impl ExampleLikelihood {
    /// From the paths of an example, at least one.
    pub(super) fn of(example: usize, paths: &[PathTerms]) -> Self {
        let n = paths.len() as f64;
        let mean = |term: fn(&PathTerms) -> f64| paths.iter().map(term).sum::<f64>() / n;
        let mut totals = Moments::default();
        paths.iter().for_each(|path| totals.push(path.prior + path.volume + path.offset));
        Self {
            example,
            prior: mean(|path| path.prior),
            volume: mean(|path| path.volume),
            offset: mean(|path| path.offset),
            probe_error: of_mean(paths.iter().map(|path| path.probe_error)),
            draw_error: totals.mean().and_then(|mean| mean.standard_error),
            solver_error: mean(|path| path.solver_error),
            evaluations: paths.iter().map(|path| path.evaluations).sum(),
        }
    }
}

/// Standard error of a mean of independent numbers with these errors, if all are known.
fn of_mean(errors: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let count = errors.len() as f64;
    let squares: Option<f64> = errors.map(|error| error.map(|error| error * error)).sum();
    squares.map(|squares| squares.sqrt() / count)
}

impl FlowLikelihood {
    /// From examples; none without any.
    pub(super) fn of(each: Vec<ExampleLikelihood>, dimensions: usize, start: Start) -> Option<Self> {
        let mean = |term: fn(&ExampleLikelihood) -> f64| {
            let mut moments = Moments::default();
            each.iter().for_each(|example| moments.push(term(example)));
            moments.mean()
        };
        Some(Self {
            dimensions,
            evaluations: each.iter().map(|example| example.evaluations).sum(),
            start,
            prior: mean(|example| example.prior)?,
            volume: mean(|example| example.volume)?,
            offset: mean(|example| example.offset)?,
            total: mean(ExampleLikelihood::total)?,
            probe_error: of_mean(each.iter().map(|example| example.probe_error)),
            draw_error: of_mean(each.iter().map(|example| example.draw_error)),
            solver_error: mean(|example| example.solver_error)?.mean,
            each,
        })
    }
}
