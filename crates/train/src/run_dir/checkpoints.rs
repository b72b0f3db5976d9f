//! The checkpoints of a run: which are there, which of them are whole, and which is the newest.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use sfumato_model::pipeline::WEIGHTS_FILE;

use super::{
    RunDir, leftovers,
    names::{PARTIAL, name, step_of},
};
use crate::{TrainError, TrainState, error::IoContext, held_out};

/// A complete checkpoint of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCheckpoint {
    /// Its directory.
    pub path: PathBuf,
    /// Steps done.
    pub step: u64,
}

/// What stands under the name of a checkpoint but lacks a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncompleteCheckpoint {
    /// Its directory.
    pub path: PathBuf,
    /// The steps that its name says.
    pub step: u64,
    /// The first file that it lacks, relative to it.
    pub lacks: PathBuf,
}

/// A checkpoint that is not whole and that a run did not go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The directory that it had.
    pub path: PathBuf,
    /// The steps that its name says.
    pub step: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its new place; none where it kept its own, as the directory `model` does.
    pub aside: Option<PathBuf>,
}

impl PassedOver {
    pub(super) fn new(step: u64, path: PathBuf, reason: String) -> Self {
        Self { path, step, reason, aside: None }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// The checkpoints of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundCheckpoints {
    /// Those that a run can go on from, by their number of steps.
    pub complete: Vec<FoundCheckpoint>,
    /// The others.
    pub incomplete: Vec<IncompleteCheckpoint>,
}

impl FoundCheckpoints {
    /// The one with the most steps.
    pub fn newest(&self) -> Option<&FoundCheckpoint> {
        self.complete.last()
    }
}

/// The first file that the checkpoint in `dir` lacks: a run can go on from one that lacks none.
///
/// The files are looked at by name; that they are whole shows when they are read.
pub(super) fn missing_file(dir: &Path) -> Option<PathBuf> {
    let needed = [
        Path::new("training/state.json").to_path_buf(),
        Path::new("training/weights.safetensors").to_path_buf(),
        Path::new("training/optimizer.safetensors").to_path_buf(),
        Path::new("unet/config.json").to_path_buf(),
        Path::new("unet").join(WEIGHTS_FILE),
    ];
    needed.into_iter().find(|file| !fs::metadata(dir.join(file)).is_ok_and(|meta| meta.is_file() && meta.len() > 0))
}

impl RunDir {
    /// Every checkpoint of the run: `checkpoints/step-N`, by number, and `model` where it is a directory of its own and
    /// has more steps, as in a run that was copied without its links or without `checkpoints/`.
    ///
    /// # Errors
    /// [`TrainError::Io`] if `checkpoints/` is there and cannot be read.
    pub fn find_checkpoints(&self) -> Result<FoundCheckpoints, TrainError> {
        let mut found = FoundCheckpoints::default();
        let dir = self.checkpoints();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries.collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(TrainError::Io { action: "read", path: dir, source }),
        };
        for entry in entries {
            let path = entry.context("read", &dir)?.path();
            let Some(step) = path.file_name().and_then(|name| step_of(name.to_str()?)) else { continue };
            match missing_file(&path) {
                None => found.complete.push(FoundCheckpoint { path, step }),
                Some(lacks) => found.incomplete.push(IncompleteCheckpoint { path, step, lacks }),
            }
        }
        found.complete.sort_by_key(|checkpoint| checkpoint.step);
        let model = self.model();
        if missing_file(&model).is_none()
            && let Ok(state) = TrainState::read(&model)
            && found.newest().is_none_or(|newest| newest.step < state.step)
        {
            found.complete.push(FoundCheckpoint { path: model, step: state.step });
        }
        Ok(found)
    }

    /// The newest checkpoint that is complete: the one to sample from and to go on from.
    ///
    /// # Errors
    /// As [`RunDir::find_checkpoints`].
    pub fn newest_checkpoint(&self) -> Result<Option<FoundCheckpoint>, TrainError> {
        Ok(self.find_checkpoints()?.complete.pop())
    }

    /// The complete checkpoint with the best held-out score; none where none has a score.
    ///
    /// # Errors
    /// As [`RunDir::find_checkpoints`].
    pub fn best_checkpoint(&self) -> Result<Option<FoundCheckpoint>, TrainError> {
        Ok(held_out::best(&self.find_checkpoints()?.complete).cloned())
    }

    /// Renames the checkpoints of steps after `checkpoint`, so that the run goes on from it; gives their new places.
    ///
    /// # Errors
    /// [`TrainError::Io`] if one cannot be renamed.
    pub fn rewind(&self, checkpoint: &FoundCheckpoint) -> Result<Vec<PathBuf>, TrainError> {
        // The newest first: what an interruption leaves is then no run with a gap.
        let later = self.find_checkpoints()?.complete.into_iter().rev();
        let later = later.filter(|found| found.step > checkpoint.step && found.path != self.model());
        let moved = later.map(|found| self.set_aside(&found, "abandoned"));
        let mut moved = moved.collect::<Result<Vec<_>, _>>()?;
        moved.reverse();
        // A link that cannot be made is said with the next checkpoint.
        let _ = self.show(checkpoint);
        self.refresh_best()?;
        Ok(moved)
    }

    /// Renames `checkpoints/step-N` to `checkpoints/WHY-step-N`: it stays, but the run does not go on from it.
    pub(crate) fn set_aside(&self, checkpoint: &FoundCheckpoint, why: &str) -> Result<PathBuf, TrainError> {
        leftovers::set_aside(&self.checkpoints(), &name(checkpoint.step), why)
    }

    /// As [`RunDir::set_aside`] for a directory of whatever name; none where it is not among the checkpoints.
    pub(super) fn put_aside(&self, path: &Path, why: &str) -> Result<Option<PathBuf>, TrainError> {
        let dir = self.checkpoints();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if path.parent() == Some(&dir) => leftovers::set_aside(&dir, name, why).map(Some),
            _ => Ok(None),
        }
    }

    /// Removes all but the `keep` newest checkpoints (0 keeps all) and the `best`; what is incomplete or of another name is left alone.
    pub(super) fn remove_old(&self, keep: usize, best: Option<&FoundCheckpoint>) -> Result<(), TrainError> {
        if keep == 0 {
            return Ok(());
        }
        let complete = self.find_checkpoints()?.complete;
        let numbered: Vec<_> = complete.into_iter().filter(|found| found.path != self.model()).collect();
        for old in numbered.iter().rev().skip(keep).filter(|old| Some(*old) != best) {
            // Under another name first: an interruption then leaves no half of a checkpoint under its own.
            let leaving = self.checkpoints().join(format!("{PARTIAL}{}", name(old.step)));
            fs::rename(&old.path, &leaving).context("remove", &old.path)?;
            fs::remove_dir_all(&leaving).context("remove", &leaving)?;
        }
        Ok(())
    }
}
