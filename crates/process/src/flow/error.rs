//! What keeps a likelihood from being computed.

use crate::{OutputShapeError, bound::BoundError};

/// Why there is no likelihood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// A network whose answer does not fit the data.
    #[error(transparent)]
    OutputShape(#[from] OutputShapeError),
    /// The decoder of the first step.
    #[error(transparent)]
    Decoder(#[from] BoundError),
    /// A network without a gradient by its input: its answer was not computed from it by the backend.
    #[error(
        "the network's answer has no gradient by its input, which the divergence of the flow is made of; the network must compute it on the backend"
    )]
    NoGradient,
    /// An answer, or a gradient, that is NaN or infinite.
    #[error(
        "example {example}, log SNR {log_snr:.3}: the network's prediction or its gradient is not finite there; it says {value}"
    )]
    NotFinite {
        /// Id of the example.
        example: usize,
        /// Log-SNR, in nats.
        log_snr: f64,
        /// What was found.
        value: f64,
    },
    /// Steps that become ever shorter.
    #[error(
        "example {example}, log SNR {log_snr:.3}: the tolerance {tolerance:e} would need steps below 1e-5 nats of log SNR, where rounding decides; allow a larger one"
    )]
    StepTooShort {
        /// Id of the example.
        example: usize,
        /// Log-SNR, in nats.
        log_snr: f64,
        /// The tolerance.
        tolerance: f64,
    },
    /// No examples, no draws, no probes: nothing to average.
    #[error("there is nothing to average: {what} is 0")]
    Nothing {
        /// What is 0.
        what: &'static str,
    },
    /// A tolerance that no error can meet.
    #[error("the tolerance is {tolerance}, expected a positive, finite number")]
    Tolerance {
        /// The tolerance.
        tolerance: f64,
    },
    /// A chain without some of the trained steps.
    #[error(
        "the flow is that of all {trained} steps that the model was trained on; a chain of {steps} steps has none of its own"
    )]
    Respaced {
        /// Steps of the chain.
        steps: usize,
        /// Steps of the trained chain.
        trained: usize,
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
