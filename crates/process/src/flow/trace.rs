//! Directions along which the divergence is measured.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::noise::{Purpose, fill_normal, stream};

/// How the trace of the network's Jacobian is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Exactly: one product for each dimension, and so as many evaluations of the network.
    Exact,
    /// By Hutchinson's estimator `wᵀ J w` with random `w` of mean 0 and covariance `I`, unbiased.
    Probes {
        /// Their distribution.
        kind: ProbeKind,
        /// How many on each path, at least 1; each asks the network once. Every path keeps its own from end to end.
        count: usize,
    },
}

/// Distributions of `w`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// Every number is 1 or -1. Of all distributions with independent numbers it has the least variance (Hutchinson 1990): what is on the
    /// diagonal does not vary.
    #[default]
    Rademacher,
    /// Standard normal, as in Skilling (1989).
    Gaussian,
}

impl Trace {
    /// Evaluations of the network at each point of a path.
    pub fn rows(self, dimensions: usize) -> usize {
        match self {
            Self::Exact => dimensions,
            Self::Probes { count, .. } => count,
        }
    }

    /// Numbers that estimate the divergence at each point of a path.
    pub(super) fn estimates(self) -> usize {
        match self {
            Self::Exact => 1,
            Self::Probes { count, .. } => count,
        }
    }

    /// Estimates of the trace from the product `wᵀ J w` of each row.
    pub(super) fn of_products(self, products: &[f64]) -> Vec<f64> {
        match self {
            Self::Exact => vec![products.iter().sum()],
            Self::Probes { .. } => products.to_vec(),
        }
    }

    /// The direction of row `row` of an example's path `draw`: a pure function of the address.
    pub fn fill(self, seed: u64, example: usize, draw: usize, row: usize, out: &mut [f32]) {
        // A path has fewer probes than 2³² by far. So each keeps its numbers, however many there are.
        let address = ((draw as u64) << 32) | row as u64;
        match self {
            Self::Exact => {
                out.fill(0.0);
                out[row] = 1.0;
            }
            Self::Probes { kind: ProbeKind::Gaussian, .. } => {
                fill_normal(seed, Purpose::Probes, example as u64, address, out);
            }
            Self::Probes { kind: ProbeKind::Rademacher, .. } => {
                let mut rng = stream(seed, Purpose::Probes, example as u64, address);
                out.iter_mut().for_each(|w| *w = if rng.random::<bool>() { 1.0 } else { -1.0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_addressed_and_have_unit_variance() {
        for kind in [ProbeKind::Rademacher, ProbeKind::Gaussian] {
            let fill = |count: usize, example: usize, draw: usize, row: usize| {
                let mut out = vec![0.0; 4000];
                Trace::Probes { kind, count }.fill(3, example, draw, row, &mut out);
                out
            };
            let base = fill(1, 7, 0, 0);
            assert_eq!(base, fill(5, 7, 0, 0), "more probes leave the first as it is");
            for other in [fill(1, 8, 0, 0), fill(1, 7, 1, 0), fill(2, 7, 0, 1)] {
                let covariance: f64 = base.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum::<f64>() / 4000.0;
                assert!(covariance.abs() < 5.0 / 4000_f64.sqrt(), "{covariance}");
            }
            let moment = |power: i32| base.iter().map(|&w| f64::from(w).powi(power)).sum::<f64>() / 4000.0;
            assert!(
                moment(1).abs() < 5.0 / 4000_f64.sqrt() && (moment(2) - 1.0).abs() < 5.0 * (2.0_f64 / 4000.0).sqrt()
            );
        }
    }

    #[test]
    fn the_exact_trace_asks_along_every_axis() {
        let rows: Vec<Vec<f32>> = (0..3)
            .map(|row| {
                let mut out = vec![9.0; 3];
                Trace::Exact.fill(0, 0, 0, row, &mut out);
                out
            })
            .collect();
        assert_eq!(rows, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        assert_eq!(Trace::Exact.of_products(&[1.0, 2.0, 4.0]), [7.0]);
    }
}
