//! What keeps the bound from being computed.

use crate::{NoiseError, OutputShapeError};

/// Why there is no bound.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BoundError {
    /// The noise source.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// A network whose answer does not fit the data.
    #[error(transparent)]
    OutputShape(#[from] OutputShapeError),
    /// The discretised likelihood of something that is none of the 256 levels.
    #[error(
        "example {example}: the value {value} is none of the 256 levels k/127.5 - 1, so that the discretised likelihood is \
         not defined for it; use the plain Gaussian decoder for continuous data"
    )]
    NotALevel {
        /// Index of the example, from 0.
        example: usize,
        /// The value.
        value: f64,
    },
    /// A term that is NaN or infinite: the prediction was, or the arithmetic overflowed.
    #[error(
        "example {example}, step {step}: the term of the bound is {nats}; the model's prediction is not finite there"
    )]
    NotFinite {
        /// Index of the example, from 0.
        example: usize,
        /// Step of the chain, from 1.
        step: usize,
        /// The term.
        nats: f64,
    },
    /// The same between two steps.
    #[error(
        "example {example}, time {t:.3} (log SNR {log_snr:.3}): the term of the bound is {nats}; the model's prediction is not finite there"
    )]
    NotFiniteBetween {
        /// Index of the example, from 0.
        example: usize,
        /// Time, from 1.
        t: f64,
        /// Log-SNR, in nats.
        log_snr: f64,
        /// The term.
        nats: f64,
    },
    /// A chain with a learned variance, and a network that has learned none.
    #[error(
        "the variance is to be the network's, but the network's output does not have twice the channels of the data"
    )]
    NoVariance,
    /// No examples, no draws: nothing to average.
    #[error("there is nothing to average: {what} is 0")]
    Nothing {
        /// What is 0.
        what: &'static str,
    },
    /// A trajectory whose states do not fit together, or not the chain.
    #[error(
        "a trajectory of {expected} states of one shape is needed, x_0 to x_T; state {index} of {found} does not fit"
    )]
    Trajectory {
        /// Number of states, `T + 1`.
        expected: usize,
        /// Number of states given.
        found: usize,
        /// The first that differs.
        index: usize,
    },
    /// The device failed while a tensor was read.
    #[error("the device failed: {reason}")]
    Device {
        /// What the backend said.
        reason: String,
    },
    /// Stopped by the observer.
    #[error("stopped after {done} of {total} examples")]
    Stopped {
        /// Examples that were done.
        done: usize,
        /// Examples that were asked for.
        total: usize,
    },
}

impl BoundError {
    /// The error of a row of a batch as one of its example, whose id `id` says.
    pub(crate) fn of_example(self, id: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::NotALevel { example, value } => Self::NotALevel { example: id(example), value },
            Self::NotFinite { example, step, nats } => Self::NotFinite { example: id(example), step, nats },
            Self::NotFiniteBetween { example, t, log_snr, nats } => {
                Self::NotFiniteBetween { example: id(example), t, log_snr, nats }
            }
            other => other,
        }
    }
}
