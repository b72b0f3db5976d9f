//! What can go wrong in a training run.

use std::path::{Path, PathBuf};

use sfumato_data::DataError;

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
    #[error("{key} must be {expected} (found {value})")]
    ConfigValue {
        /// Dotted key, as in the file.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be valid: completes the sentence "KEY must be …".
        expected: String,
    },
    /// A key that decides what the weights mean, changed in the middle of a run.
    #[error(
        "{key} cannot change while a run goes on: it was {before}, it is {after} now. Put it back in config.toml, or start a \
         new run with --config and --out"
    )]
    FixedKey {
        /// Dotted key, as in the file.
        key: String,
        /// The value that the run was started with.
        before: String,
        /// The value now.
        after: String,
    },
    /// Data of other classes or another shape than the run was started with.
    #[error("{name} has {now}, the run was started with {before}. {way_out}")]
    OtherData {
        /// The data set.
        name: String,
        /// What it has now.
        now: String,
        /// What the run was started with.
        before: String,
        /// What to do.
        way_out: &'static str,
    },
    /// A preset that does not exist.
    #[error("there is no preset '{name}'{hint} Presets: {known}")]
    UnknownPreset {
        /// The name that was asked for.
        name: String,
        /// The name that was probably meant, as a question.
        hint: String,
        /// The names there are.
        known: String,
    },
    /// The model that a run is to start from cannot be used, or is another one by now.
    #[error("cannot start from {path}: {reason}", path = path.display())]
    Init {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The run directory is in use.
    #[error("{path} already holds a run: go on with it by --resume {path}, or choose another --out", path = path.display())]
    RunExists {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes the run.
    #[error(
        "{path} is being written by {holder}: wait until it ends, or choose another --out for a new run",
        path = path.display()
    )]
    Held {
        /// The run's directory.
        path: PathBuf,
        /// What is known of the process, as in "process 1234 on HOST".
        holder: String,
    },
    /// The directory for a run holds something else.
    #[error("{path} is not empty and holds no run: choose another --out", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A directory without a run.
    #[error("cannot go on with {path}: {reason}", path = path.display())]
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
        "training diverged at step {step}: loss {loss}, gradient norm {grad_norm}, learning rate {learning_rate:e}. {}",
        kept.way_out(run, *peak_rate)
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
        /// The run's learning rate after the warm-up.
        peak_rate: f64,
        /// The run's directory.
        run: PathBuf,
        /// What is left to go on from.
        kept: Kept,
    },
    /// A rank of a run on several processes has something else than rank 0.
    #[error("{reason}. All ranks need the same program, configuration and data")]
    Ranks {
        /// Which rank, and what differs.
        reason: String,
    },
    /// The loss does not suit the network or the data.
    #[error(transparent)]
    Objective(#[from] sfumato_process::objective::ObjectiveError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A picture or an array could not be written.
    #[error(transparent)]
    Output(#[from] sfumato_model::picture::OutputError),
    /// The network, or what it is built from.
    #[error(transparent)]
    Net(#[from] sfumato_nets::NetError),
    /// A sampler that the model does not have.
    #[error(transparent)]
    Sampler(#[from] sfumato_model::sampling::SamplerError),
    /// A file of tensors.
    #[error(transparent)]
    Tensors(#[from] sfumato_model::tensor_file::TensorFileError),
    /// A model directory.
    #[error(transparent)]
    Pipeline(#[from] sfumato_model::pipeline::PipelineError),
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

/// A learning rate that rarely diverges, whatever the network: that of Ho et al. (2020).
const SAFE_RATE: f64 = 2e-4;

impl TrainError {
    /// Whether every rank of a run finds it at the same place: what the ranks compute together, or compare.
    pub fn is_of_all_ranks(&self) -> bool {
        matches!(self, Self::Diverged { .. } | Self::Ranks { .. })
    }

    /// A network that another program defines, where one of ours is needed.
    pub(crate) fn own_network(class: &str) -> Self {
        let expected = format!("unet or mlp: the network {class} is built by the program that defines it");
        Self::ConfigValue { key: "model.kind", value: "own".into(), expected }
    }
}

/// What a divergence leaves of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A checkpoint of this step, with a sensible loss behind it.
    Good(u64),
    /// Only the checkpoint of this step, whose weights gave the loss that is no number.
    Doubtful(u64),
    /// No checkpoint.
    Nothing,
}

impl Kept {
    /// What to do now.
    fn way_out(self, run: &Path, peak_rate: f64) -> String {
        let (run, rate) = (run.display(), (peak_rate / 10.0).min(SAFE_RATE));
        let do_this = match self {
            Self::Good(step) => format!(
                "Step {step} is kept. Go on from it with a lower learning rate: \
                 sfumato train --resume {run} --learning-rate {rate:e}"
            ),
            Self::Doubtful(step) => format!(
                "Step {step} is kept, but its weights are what diverged. Start a new run with a lower learning rate: \
                 sfumato train --config {run}/config.toml --learning-rate {rate:e} --out {run}-2"
            ),
            Self::Nothing => format!(
                "No checkpoint was written before it. Start the run anew with a lower learning rate: \
                 sfumato train --resume {run} --learning-rate {rate:e}"
            ),
        };
        format!("{do_this}. If that diverges too, look at the data for extreme values")
    }
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
