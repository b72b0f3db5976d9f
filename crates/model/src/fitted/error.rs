//! What can be wrong with the fit of a model.

use std::path::PathBuf;

use sfumato_files::FileError;
use sfumato_process::fit::FitError;

use crate::{JsonError, tensor_file::TensorFileError};

/// Why there is no fit of a model, or none that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitFileError {
    /// Nobody has made one.
    #[error("{} is not there: the model has not been fitted; {}", path.display(), again(dir))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The model's directory.
        dir: PathBuf,
    },
    /// It is no JSON.
    #[error("{source}; {}", again(dir))]
    Json {
        /// The model's directory.
        dir: PathBuf,
        /// The file, and what is wrong with it.
        source: JsonError,
    },
    /// It is JSON, but no fit.
    #[error("{}: {reason}; {}", path.display(), again(dir))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The model's directory.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is of other weights.
    #[error("{} is the fit of other weights than those of {}; {}", path.display(), dir.display(), again(dir))]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// The model's directory.
        dir: PathBuf,
    },
    /// It is of clipped predictions, and those of the call are not clipped.
    #[error(
        "{}: the fit is of predictions with clipping {found}, and the call does not clip them; without --no-clip it does", path.display()
    )]
    Clipped {
        /// The file.
        path: PathBuf,
        /// The clipping of the fit.
        found: String,
    },
    /// It is of another process: the scheduler's configuration has changed since.
    #[error("{}: the fit is of {what} {found}, but the model's scheduler says {now}; {}", path.display(), again(dir))]
    OtherProcess {
        /// The file.
        path: PathBuf,
        /// The model's directory.
        dir: PathBuf,
        /// What differs.
        what: &'static str,
        /// As the fit has it.
        found: String,
        /// As the model has it.
        now: String,
    },
    /// The variances are the network's.
    #[error(
        "{}: the network says its variances itself ({variance}), and a fit cannot replace them; --variance fixed-small and \
         fixed-large need no fit", dir.display()
    )]
    Learned {
        /// The model's directory.
        dir: PathBuf,
        /// Which kind.
        variance: &'static str,
    },
    /// What was asked of it cannot be had.
    #[error("{}: {source}", path.display())]
    Fit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FitError,
    },
    /// The weights could not be read.
    #[error(transparent)]
    Weights(#[from] TensorFileError),
    /// The file could not be written.
    #[error("{source}: the fit lies beside the weights, so the model's directory must be writable (a copy of it is)")]
    Write {
        /// The system's answer.
        source: FileError,
    },
}

/// The way out.
fn again(dir: &std::path::Path) -> String {
    format!("make it with `sfumato eval --model {} --dataset SPEC --fit`", dir.display())
}
