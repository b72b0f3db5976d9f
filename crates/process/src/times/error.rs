//! What can be wrong with a density and its history.

use crate::named::ParameterError;

/// Why steps cannot be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimesError {
    /// A stored history is that of another number of steps.
    #[error(
        "a chain of {steps} steps needs {expected} remembered losses and {steps} counts, {losses} and {counts} were given"
    )]
    Length {
        /// Steps of the chain.
        steps: usize,
        /// Losses needed.
        expected: usize,
        /// Losses given.
        losses: usize,
        /// Counts given.
        counts: usize,
    },
    /// A count above [`HISTORY`](super::HISTORY), or a loss that is negative or not finite.
    #[error("the remembered losses of step {t} are damaged")]
    Damaged {
        /// The step, from 1.
        t: usize,
    },
    /// A parameter of a density out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A density that is nowhere near the noise levels of the schedule.
    #[error("the density is 0, as far as floats go, at every noise level of the schedule")]
    NoMass,
}
