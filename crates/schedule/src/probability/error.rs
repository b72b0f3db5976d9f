//! What can be wrong with the parameters of a distribution.

/// Why a distribution, or an operation on one, was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbabilityError {
    /// A mean that is infinite or not a number.
    #[error("a Gaussian's mean must be finite, got {mean}")]
    MeanNotFinite {
        /// The value that was given.
        mean: f64,
    },
    /// A variance that is zero, negative, infinite or not a number.
    #[error("a Gaussian's variance must be positive and finite, got {variance}")]
    VarianceOutOfRange {
        /// The value that was given, or that the operation led to.
        variance: f64,
    },
    /// A vector without entries, or a distribution without outcomes.
    #[error("expected at least 1 {what}, got none")]
    Empty {
        /// What there should be some of.
        what: &'static str,
    },
    /// Two things that should have the same number of entries.
    #[error("expected {expected} {what}, got {got}")]
    SizeMismatch {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// A probability or weight that is negative, infinite or not a number.
    #[error("probability number {position} is {value}, expected a finite number of at least 0")]
    ProbabilityOutOfRange {
        /// Position, from 1.
        position: usize,
        /// The value found there.
        value: f64,
    },
    /// Probabilities that do not sum to 1.
    #[error("the probabilities sum to {sum}, expected 1 (Discrete::from_weights divides by the sum)")]
    NotNormalized {
        /// Their sum.
        sum: f64,
    },
    /// An event of probability 0 (or weights that are all 0), given which nothing is defined.
    #[error("cannot condition on an event of probability 0")]
    ImpossibleCondition,
    /// A mixing weight outside [0, 1].
    #[error("a mixing weight must lie between 0 and 1, got {weight}")]
    WeightOutOfRange {
        /// The value that was given.
        weight: f64,
    },
    /// A number that is not one of the 256 grey levels `k / 127.5 - 1`.
    #[error("{value} is not an 8-bit level: data must be exactly k / 127.5 - 1 for k = 0, ..., 255")]
    NotALevel {
        /// The value that was given.
        value: f64,
    },
    /// A name that no form of the distribution function has.
    #[error("no distribution function is called `{name}`; expected one of {}", expected.join(", "))]
    UnknownCdf {
        /// The name that was given.
        name: String,
        /// The names that there are.
        expected: Vec<&'static str>,
    },
}
