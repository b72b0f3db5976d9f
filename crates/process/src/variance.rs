//! The variance of reverse steps: fixed by a rule, given as a table, or learned.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use sfumato_schedule::NoiseSchedule;

use crate::broadcast::check_shapes;

/// The fixed variance of `p(x_{t-1} | x_t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseVariance {
    /// `β̃_t`, exact when all data is one point (the lower bound on the true reverse entropy).
    #[default]
    FixedSmall,
    /// `β_t`, exact when data is standard normal (the upper bound).
    FixedLarge,
}

impl ReverseVariance {
    /// `log σ_t²` in nats, for `t` in `1..=T`; at `t = 1` both kinds use `log β̃_2`, as DDPM does.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn log_variance(self, schedule: &NoiseSchedule, t: usize) -> f64 {
        match self {
            Self::FixedLarge if t > 1 => schedule.beta(t).ln(),
            _ => schedule.posterior_log_variance(t),
        }
    }
}

/// The variance of one reverse step of a batch.
#[derive(Clone, Debug)]
pub enum StepVariance<B: Backend, const D: usize> {
    /// `log σ²` in nats, the same everywhere.
    Fixed(f64),
    /// `log σ²` in nats for each element, `[batch, …]`, as the network says.
    Learned(Tensor<B, D>),
}

impl<B: Backend, const D: usize> StepVariance<B, D> {
    /// Noise of this variance from standard normal `z`, `[batch, …]`.
    ///
    /// # Panics
    /// If `z` is not of the shape of a learned variance.
    pub fn scale(&self, z: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Fixed(log_variance) => z * (0.5 * log_variance).exp(),
            Self::Learned(log_variance) => {
                check_shapes(("z", &z), ("the variance", log_variance));
                z * (log_variance.clone() * 0.5).exp()
            }
        }
    }
}

/// Where the variances of a chain come from.
#[derive(Clone, Debug)]
pub(crate) enum Variance {
    Fixed(ReverseVariance),
    /// `log σ_i²` of step `i` at `i - 1`.
    Table(Vec<f64>),
    /// The network says it: `log σ²` between `log β̃` and `log β`.
    LearnedRange,
}

/// Why a table of variances does not fit a chain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VarianceError {
    /// One value for each step is needed.
    #[error("a chain of {steps} steps needs as many log-variances, {found} were given")]
    Length {
        /// Steps of the chain.
        steps: usize,
        /// Values given.
        found: usize,
    },
    /// NaN or infinite.
    #[error("log-variances must be finite, but that of step {step} is {log_variance}")]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The value given for it.
        log_variance: f64,
    },
}
