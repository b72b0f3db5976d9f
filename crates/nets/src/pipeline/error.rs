//! What can be wrong with a pipeline directory.

use std::{fmt, io, path::PathBuf};

use sfumato_schedule::ScheduleError;

use crate::{ConfigError, NetError, tensor_file::TensorFileError};

/// Why a pipeline directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory holds no model.
    #[error("{} holds no model: expected model_index.json, unet/config.json or config.json{hint}", dir.display())]
    NoModel {
        /// The directory.
        dir: PathBuf,
        /// More about what was found instead.
        hint: &'static str,
    },
    /// The directory holds a model without usable weights.
    #[error("{} holds no diffusion_pytorch_model.safetensors{hint}", dir.display())]
    NoWeights {
        /// The directory where the weights should be.
        dir: PathBuf,
        /// More about what was found instead.
        hint: &'static str,
    },
    /// A configuration file is far larger than any real one.
    #[error("{} has {bytes} bytes, expected a configuration of at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A configuration file is no JSON, or a key occurs twice in it.
    #[error("{} is not valid: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        source: serde_json::Error,
    },
    /// A configuration file holds a value that cannot be used.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Key, value and what would do.
        source: ConfigError,
    },
    /// The scheduler's betas make no noise schedule.
    #[error("{}: {source}", path.display())]
    Schedule {
        /// The file.
        path: PathBuf,
        /// Step and value.
        source: ScheduleError,
    },
    /// The pipeline has a component that changes its samples and that is not supported.
    #[error("{} lists the component `{component}` of class {class}, expected only a scheduler and a `unet` of class UNet2DModel or SfumatoMLP", path.display())]
    Component {
        /// The index file.
        path: PathBuf,
        /// Name of the component.
        component: String,
        /// Its class, as it stands there.
        class: String,
    },
    /// The model is of another kind than the caller wants to build.
    #[error("{} holds a {found}, expected a {expected}", dir.display())]
    OtherModel {
        /// The directory.
        dir: PathBuf,
        /// Class wanted.
        expected: &'static str,
        /// Class found.
        found: &'static str,
    },
    /// The network could not be built.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The weights could not be read or written.
    #[error(transparent)]
    Weights(#[from] TensorFileError),
}

/// Something in a pipeline directory that is passed over and deserves a word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A configuration key that nobody knows.
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// No scheduler: the defaults of DDPM were taken.
    NoScheduler {
        /// The directory.
        dir: PathBuf,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::UnknownKey { path, key } => write!(f, "{}: the unknown key `{key}` is ignored", path.display()),
            Self::NoScheduler { dir } => {
                write!(f, "{} has no scheduler, the defaults of DDPMScheduler are assumed", dir.display())
            }
        }
    }
}
