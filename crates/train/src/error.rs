//! What can go wrong in a training run.

use std::path::{Path, PathBuf};

use crate::data::DataError;

/// Why a run could not start, go on or be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb: "read", "create", …
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configuration that is no TOML, or has unknown keys or values of the wrong type.
    #[error("{origin}: {message}")]
    ConfigSyntax {
        /// The file, or what else it came from.
        origin: String,
        /// What the parser said, with line and key.
        message: String,
    },
    /// A value outside its range.
    #[error("configuration: {key} = {value} is not valid: {expected}")]
    ConfigValue {
        /// Dotted key, as in the file.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be valid.
        expected: String,
    },
    /// A preset that does not exist.
    #[error("there is no preset '{name}'; presets: {known}")]
    UnknownPreset {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The run directory is in use.
    #[error("{path} already holds a run: continue it with --resume {path}, or choose another --out", path = path.display())]
    RunExists {
        /// The directory.
        path: PathBuf,
    },
    /// A directory without a run.
    #[error("{path} holds no run to resume: {reason}", path = path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The checkpoint does not fit the configuration beside it.
    #[error("{path}: {reason}", path = path.display())]
    BadCheckpoint {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The loss or a gradient became NaN or infinite.
    #[error(
        "training diverged at step {step}: loss {loss}, gradient norm {grad_norm}; the newest checkpoint before it is kept. \
         Lower the learning rate ({learning_rate}), lengthen the warm-up, or look at the data for extreme values"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its gradient norm before clipping.
        grad_norm: f64,
        /// Its learning rate.
        learning_rate: f64,
    },
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A picture or an array could not be written.
    #[error(transparent)]
    Output(#[from] crate::output::OutputError),
    /// The network or its files.
    #[error(transparent)]
    Net(#[from] sfumato_nets::NetError),
    /// A model directory.
    #[error(transparent)]
    Pipeline(#[from] sfumato_nets::pipeline::PipelineError),
    /// The noise schedule.
    #[error("noise schedule: {0}")]
    Schedule(#[from] sfumato_schedule::ScheduleError),
    /// A schedule that cannot work for what the network predicts, or for the data.
    #[error("noise schedule: {finding}")]
    ScheduleUnfit {
        /// What is wrong.
        finding: sfumato_schedule::Finding,
    },
    /// A sampler.
    #[error(transparent)]
    Sample(#[from] sfumato_process::sampler::SampleError),
}

/// Adds the path and the action to an I/O result.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, TrainError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, TrainError> {
        self.map_err(|source| TrainError::Io { action, path: path.to_path_buf(), source })
    }
}
