//! The term of the last leap, to clean data, as a function of its variance.

use std::f64::consts::TAU;

use sfumato_schedule::NoiseSchedule;

use super::{Measured, Node, curve::cubic};
use crate::bound::Decoder;

/// Variances at which the discretised decoder is measured, for each step.
const KNOTS: usize = 16;
/// Share of what is unknown about `x_0` from noise alone down to which they reach in any case: a good network's analytic variance is there.
const SMALL_SHARE: f64 = 0.05;
/// How far they reach beyond those that fixed variances take, in units of the logarithm.
const MARGIN: f64 = 1.0;

/// The log-variances in nats at which the decoder's term is measured at step `t`; none where a formula has it, or where less than half
/// of `x_t` is signal: no good chain leaps from there to clean data. At step 1 it always is.
///
/// They reach from the posterior's variance of the shortest leap onto `t`, or a twentieth of `(1 - ᾱ_t)/ᾱ_t`, to `(1 - ᾱ_t)/ᾱ_t` itself, which
/// no error of a sensible network exceeds, and a factor e beyond.
pub(super) fn knots(decoder: Decoder, schedule: &NoiseSchedule, t: usize) -> Vec<f64> {
    if !decoder.is_discrete() || (t > 1 && schedule.log_snr(t) < 0.0) {
        return Vec::new();
    }
    let unknown = -schedule.log_snr(t);
    let least = if t < schedule.steps() { schedule.leap(t + 1, t).posterior_variance.ln() } else { unknown };
    let (low, high) = (least.min(unknown + SMALL_SHARE.ln()) - MARGIN, unknown + MARGIN);
    (0..KNOTS).map(|i| low + (high - low) * i as f64 / (KNOTS - 1) as f64).collect()
}

/// The decoder's mean term for every step and variance.
#[derive(Clone, Debug)]
pub(super) enum DecoderCurves {
    /// The density's: a formula of the error.
    Gaussian,
    /// The discretised one's, at the steps where it was measured, from little noise to much: `-log SNR` of each, and its curve.
    Measured { levels: Vec<f64>, curves: Vec<Curve> },
}

#[derive(Clone, Debug)]
pub(super) struct Curve {
    t: usize,
    log_variances: Vec<f64>,
    /// Logarithms of the terms in nats.
    log_terms: Vec<f64>,
}

impl DecoderCurves {
    pub(super) fn new(measured: &Measured, schedule: &NoiseSchedule) -> Self {
        if !measured.decoder.is_discrete() {
            return Self::Gaussian;
        }
        let curve = |node: &Node| Curve {
            t: node.t,
            log_variances: knots(measured.decoder, schedule, node.t),
            // A term of 0, of a prediction that is right beyond the range of f64, has no logarithm.
            log_terms: node.decoder.iter().map(|nats| nats.max(f64::MIN_POSITIVE).ln()).collect(),
        };
        let nodes = measured.nodes.iter().filter(|node| !node.decoder.is_empty());
        let (levels, curves) = nodes.map(|node| (-schedule.log_snr(node.t), curve(node))).unzip();
        Self::Measured { levels, curves }
    }

    /// Whether the term of a last leap from `t` is known.
    pub(super) fn reaches(&self, t: usize) -> bool {
        match self {
            Self::Gaussian => true,
            Self::Measured { curves, .. } => curves.last().is_some_and(|curve| t <= curve.t),
        }
    }

    /// The mean `-log p(x_0 | x_t)`, nats for one dimension; infinite where it is not known. `error` is `E‖x_0 - x̂_0‖²/d` at `t`.
    pub(super) fn term(&self, level: f64, t: usize, log_variance: f64, error: f64) -> f64 {
        match self {
            Self::Gaussian => 0.5 * (TAU.ln() + log_variance + error * (-log_variance).exp()),
            Self::Measured { .. } if !self.reaches(t) => f64::INFINITY,
            Self::Measured { levels, curves } => {
                // Steps are compared at the same share of what is unknown, where their terms are alike.
                let share = log_variance - level;
                cubic(levels, |i| curves[i].log_term(levels[i] + share), level).exp()
            }
        }
    }

    /// The log-variance at which the term is least.
    pub(super) fn best(&self, level: f64, t: usize, error: f64) -> f64 {
        let of_density = error.max(f64::MIN_POSITIVE).ln();
        let Self::Measured { levels, curves } = self else { return of_density };
        if !self.reaches(t) {
            return of_density;
        }
        // The knots of the next measured step hold it, or the ends of what was measured do.
        let next = levels.partition_point(|&known| known < level).min(levels.len() - 1);
        let (log_variances, shift) = (&curves[next].log_variances, level - levels[next]);
        let ends = [log_variances[0] + shift, log_variances[KNOTS - 1] + shift];
        golden(ends, |log_variance| self.term(level, t, log_variance, error))
    }
}

impl Curve {
    fn log_term(&self, log_variance: f64) -> f64 {
        cubic(&self.log_variances, |i| self.log_terms[i], log_variance)
    }
}

/// Where a function with one minimum in `[low, high]` is least, by golden sections, to 1e-6.
fn golden([mut low, mut high]: [f64; 2], f: impl Fn(f64) -> f64) -> f64 {
    let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
    while high - low > 1e-6 {
        let step = ratio * (high - low);
        if f(high - step) < f(low + step) { high = low + step } else { low = high - step }
    }
    0.5 * (low + high)
}
