//! What can be wrong with a loss and its data.

/// Why there is no loss.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// `L_simple` with a learned variance.
    #[error("the loss `simple` says nothing about a learned variance: train it with `hybrid` or `vlb`")]
    Untrained,
    /// Other weights for the bound.
    #[error("the loss `vlb` has the bound's own weights: leave the weight at `simple`, not `{weight}`")]
    TwoWeights {
        /// The weight's name.
        weight: &'static str,
    },
    /// The network's output has another shape.
    #[error(
        "the network's output has shape {found:?}, but the loss needs {expected:?} (twice the channels only for a learned variance)"
    )]
    Output {
        /// What the loss needs.
        expected: Vec<usize>,
        /// What the network gave.
        found: Vec<usize>,
    },
    /// Data for the discretised decoder that is none of the 256 levels.
    #[error("example {example} of the batch holds {value}, which is none of the 256 levels k/127.5 - 1")]
    NotALevel {
        /// Place in the batch, from 0.
        example: usize,
        /// The value.
        value: f64,
    },
    /// Values could not be read back.
    #[error("the device did not give its values back: {reason}")]
    Device {
        /// In the backend's words.
        reason: String,
    },
    /// What an objective of one's own has to say.
    #[error("{0}")]
    Own(String),
}
