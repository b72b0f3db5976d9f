//! Errors of building and running networks.

/// What a [source of parameters](crate::params::ParamSource) reports.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Why a network could not be built or cannot take an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The configuration describes no network.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The input does not fit the network.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The source of the parameters has failed: the error is the source's own.
    #[error(transparent)]
    Source(SourceError),
}

/// A configuration value that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration is no JSON object.
    #[error("the model configuration is {found}, expected an object of keys and values")]
    NotAnObject {
        /// What it is instead.
        found: String,
    },
    /// A key has a value of the wrong type or out of range.
    #[error("`{key}` is {value}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        expected: String,
    },
    /// A key has a value that exists in diffusers but not here; ignoring it would give another network.
    #[error("`{key}` = {value} is not supported, expected {expected}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        expected: String,
    },
}

/// An input that a network cannot take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// No examples.
    #[error("the batch is empty, expected at least one example")]
    EmptyBatch,
    /// Wrong number of channels or of coordinates.
    #[error("the input has {found} channels, but the network takes {expected}")]
    Channels {
        /// The network's channels.
        expected: usize,
        /// The input's.
        found: usize,
    },
    /// Height or width cannot be halved often enough.
    #[error(
        "images of {height}x{width} pixels do not fit the network: height and width must be positive multiples of {divisor}"
    )]
    Size {
        /// Pixels down.
        height: usize,
        /// Pixels across.
        width: usize,
        /// `2^(levels - 1)`.
        divisor: usize,
    },
    /// More pixels than the kernels can count.
    #[error("images of {height}x{width} pixels are too large: a network takes at most {most} pixels")]
    Pixels {
        /// Pixels down.
        height: usize,
        /// Pixels across.
        width: usize,
        /// The most of an image.
        most: usize,
    },
    /// Examples that are no images, or no points, for a network that takes these.
    #[error("{reason}")]
    Rank {
        /// What the network takes, and what it was given.
        reason: String,
    },
    /// Not one timestep an example.
    #[error("{found} timesteps were given for a batch of {batch}, expected one for each example")]
    Timesteps {
        /// Examples in the batch.
        batch: usize,
        /// Timesteps given.
        found: usize,
    },
    /// Class labels for a network that knows none.
    #[error("class labels were given, but the network has no class embedding")]
    UnexpectedClasses,
    /// No class labels for a network that needs them.
    #[error("the network is class-conditional and needs a class label for each example")]
    MissingClasses,
    /// Not one label an example.
    #[error("{found} class labels were given for a batch of {batch}, expected one for each example")]
    ClassCount {
        /// Examples in the batch.
        batch: usize,
        /// Labels given.
        found: usize,
    },
    /// A label outside the embedding.
    #[error("class label {label} is out of range, the network knows classes 0 to {last}")]
    ClassLabel {
        /// The label.
        label: usize,
        /// The largest known.
        last: usize,
    },
    /// The network's class condition is a vector (`class_embed_type` = identity), or the vectors have the wrong shape.
    #[error("the network takes a class embedding of shape [{batch}, {dim}], not {found}")]
    ClassVector {
        /// Examples in the batch.
        batch: usize,
        /// Length of the vectors.
        dim: usize,
        /// What was given.
        found: String,
    },
}
