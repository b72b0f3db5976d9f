//! What can be wrong with a pipeline directory.

use std::{fmt, io, path::PathBuf};

use sfumato_nets::{ConfigError, NetError};
use sfumato_schedule::ScheduleError;

use crate::{JsonError, sampling::SamplerKind, tensor_file::TensorFileError};

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
    /// There is no such directory.
    #[error("there is no directory {}{hint}", dir.display())]
    NoDirectory {
        /// The path.
        dir: PathBuf,
        /// What may be meant.
        hint: String,
    },
    /// The path names a file.
    #[error("{} is a file, expected the directory of a model: {}", file.display(), dir.display())]
    NotADirectory {
        /// The file.
        file: PathBuf,
        /// The directory that it is in.
        dir: PathBuf,
    },
    /// The directory holds no model.
    #[error("{} holds no model: expected model_index.json, unet/config.json or config.json{hint}", dir.display())]
    NoModel {
        /// The directory.
        dir: PathBuf,
        /// More about what was found instead.
        hint: String,
    },
    /// The directory holds a model without usable weights.
    #[error("{} holds no weights: expected diffusion_pytorch_model.safetensors{hint}", dir.display())]
    NoWeights {
        /// The directory where the weights should be.
        dir: PathBuf,
        /// More about what was found instead.
        hint: String,
    },
    /// A pipeline without a scheduler, of which the schedule is wanted.
    #[error("{} has no scheduler: expected scheduler/scheduler_config.json or scheduler_config.json", dir.display())]
    NoScheduler {
        /// The directory.
        dir: PathBuf,
    },
    /// A configuration file is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
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
    #[error("{} lists the component `{component}` of class {class}, expected only a scheduler and a `unet` of class UNet2DModel or SfumatoMLP{hint}", path.display())]
    Component {
        /// The index file.
        path: PathBuf,
        /// Name of the component.
        component: String,
        /// Its class, as it stands there.
        class: String,
        /// What kind of model has such a component.
        hint: &'static str,
    },
    /// The model is of another kind than the caller wants to build.
    #[error("{} holds a {found}, expected a {expected}", dir.display())]
    OtherModel {
        /// The directory.
        dir: PathBuf,
        /// Class wanted.
        expected: &'static str,
        /// Class found.
        found: String,
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
    /// A key of another class of scheduler, which has no effect on this one, in diffusers neither.
    KeyOfOthers {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it says.
        value: String,
        /// The class that passes over it.
        class: String,
    },
    /// A key of a class whose sampler does not exist here, and which the one that stands in for it does not follow.
    KeyOfMissing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it says.
        value: String,
        /// The sampler that stands in.
        sampler: SamplerKind,
    },
    /// No scheduler: the defaults of DDPM were taken.
    NoScheduler {
        /// The directory.
        dir: PathBuf,
    },
    /// The weights are the raw ones, and their average is elsewhere.
    RawWeights {
        /// The weights that are used.
        weights: PathBuf,
        /// Where the average is, if that is known.
        average: Option<PathBuf>,
    },
    /// Two files name different classes of scheduler.
    SchedulerClass {
        /// The index of the pipeline.
        index: PathBuf,
        /// The class that it names.
        indexed: String,
        /// The class in the scheduler's own file, which is used here.
        used: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::UnknownKey { path, key } => write!(f, "{}: the unknown key `{key}` is ignored", path.display()),
            Self::KeyOfOthers { path, key, value, class } => write!(
                f,
                "{}: `{key}` is {value}, which another scheduler has left there: it has no effect on {class}, here as in diffusers",
                path.display()
            ),
            Self::KeyOfMissing { path, key, value, sampler } => {
                write!(f, "{}: `{key}` is {value}, which {sampler} does not follow", path.display())
            }
            Self::NoScheduler { dir } => {
                write!(f, "{} has no scheduler, the defaults of DDPMScheduler are assumed", dir.display())
            }
            Self::RawWeights { weights, average: Some(average) } => write!(
                f,
                "these are raw weights ({}); their average is in {}, and samples are better with it",
                weights.display(),
                average.display()
            ),
            Self::RawWeights { weights, average: None } => {
                write!(f, "these are raw weights ({}); samples are better with their average", weights.display())
            }
            Self::SchedulerClass { index, indexed, used } => write!(
                f,
                "{} names the scheduler {indexed}, but scheduler_config.json says {used}; {used} is used here, diffusers would use {indexed}",
                index.display()
            ),
        }
    }
}

/// A choice that was made while a pipeline was read: nothing is wrong, but someone may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The directory is no model itself, but holds one.
    Within {
        /// The directory that was asked for.
        asked: PathBuf,
        /// What it is: "a run", ….
        kind: &'static str,
        /// The model in it that was opened.
        opened: PathBuf,
    },
    /// The scheduler was found in a directory above.
    SchedulerAbove {
        /// Its configuration.
        path: PathBuf,
    },
    /// There were several files of weights.
    Weights {
        /// The one that was taken.
        taken: PathBuf,
        /// The names of the others.
        others: Vec<String>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Within { asked, kind, opened } => {
                write!(f, "{} is {kind}; the model {} is used", asked.display(), opened.display())
            }
            Self::SchedulerAbove { path } => write!(f, "the scheduler is that of {}", path.display()),
            Self::Weights { taken, others } => {
                write!(f, "the weights are those of {}; not used: {}", taken.display(), others.join(", "))
            }
        }
    }
}
