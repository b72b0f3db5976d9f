//! What keeps a regret from being measured.

use sfumato_model::ModelError;

/// Why there is no regret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegretError {
    /// The model could not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A training set, or a class of it, without examples.
    #[error("there are no training examples to compare with")]
    NoExamples,
    /// Too few examples for a standard error.
    #[error("{found} of the {set} examples were measured, but at least 2 are needed for a standard error")]
    TooFew {
        /// `training` or `held-out`.
        set: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An example that holds something else than numbers.
    #[error("training example {example} (from 0) holds a value that is no finite number")]
    NotANumber {
        /// Its index, from 0.
        example: usize,
    },
    /// A loss that is NaN or infinite.
    #[error(
        "{set} example {example} (from 0), step {t}: the loss is {loss}; the model's prediction is not finite there"
    )]
    NotFinite {
        /// `training` or `held-out`.
        set: &'static str,
        /// Index of the example, from 0.
        example: usize,
        /// The step, from 1.
        t: usize,
        /// The loss.
        loss: f64,
    },
    /// Sets of different shapes.
    #[error("the training examples have the shape {train:?}, but the held-out ones {held_out:?}")]
    Shape {
        /// Shape of a training example.
        train: Vec<usize>,
        /// Shape of a held-out example.
        held_out: Vec<usize>,
    },
    /// Classes are wanted of data without labels.
    #[error("the model is told the classes of examples, but the {set} examples have no labels")]
    NoLabels {
        /// `training` or `held-out`.
        set: &'static str,
    },
    /// A class of the held-out examples that the training set lacks.
    #[error(
        "held-out example {example} (from 0) is of class {class}, of which there is no training example to compare with"
    )]
    NoSuchClass {
        /// Index of the example, from 0.
        example: usize,
        /// Its class.
        class: usize,
    },
    /// The products of one example do not fit into memory.
    #[error(
        "to compare one example with all {points} training examples takes {} of memory, and this machine has {}; measure on a smaller training set",
        sfumato_files::memory::shown(*needed as f64), sfumato_files::memory::shown(*limit as f64)
    )]
    Memory {
        /// Points of the mixture.
        points: usize,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that there are.
        limit: u64,
    },
    /// Stopped before there was anything to report.
    #[error("stopped after {done} of {total} examples, which are too few to report")]
    Stopped {
        /// Examples that were done.
        done: usize,
        /// Examples that were asked for.
        total: usize,
    },
}
