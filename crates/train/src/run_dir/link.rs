//! The links `model` and `best` to checkpoints: a convenience that a run does without where links cannot be made.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    RunDir,
    names::{name, new_link, old_link, step_of},
    sync_dir,
};
use crate::TrainState;

/// Longest text that is taken for a link that an archive wrote as a file.
const LONGEST_LINK: u64 = 64;

impl RunDir {
    /// Points the link `place` at `target` (relative to the run) in one step.
    ///
    /// A directory that is the copy of a checkpoint of this run makes way for the link; anything else under this name is
    /// the user's and stays.
    ///
    /// # Errors
    /// The reason, as a sentence, why it does not show `target`.
    pub(super) fn link(&self, place: &Path, target: &Path) -> Result<(), String> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let stays =
            |what: &str| Err(format!("{} is {what}, not a link to a checkpoint; it is left as it is", place.display()));
        let failed = |error: io::Error| format!("cannot make the link {}: {error}", place.display());
        let in_the_way = match fs::symlink_metadata(place) {
            Ok(found) if found.is_dir() && !self.is_copy_of_checkpoint(place) => {
                return stays("a directory that is no copy of a checkpoint of this run");
            }
            Ok(found) if found.is_file() && !self.is_link_as_text(place, found.len()) => return stays("a file"),
            Ok(found) => found.is_dir() || found.is_file(),
            Err(_) => false,
        };
        let fresh = self.root.join(new_link(&name));
        let _ = fs::remove_file(&fresh); // left by a crash
        symlink(target, &fresh).map_err(failed)?;
        // Only now is it known that links can be made here.
        let old = self.root.join(old_link(&name));
        let moved = if in_the_way { fs::rename(place, &old) } else { Ok(()) };
        if let Err(error) = moved.and_then(|()| replace(&fresh, place)) {
            let _ = fs::remove_file(&fresh);
            if in_the_way && !place.exists() {
                let _ = fs::rename(&old, place);
            }
            return Err(failed(error));
        }
        if in_the_way {
            let _ = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
        }
        sync_dir(&self.root);
        Ok(())
    }

    /// Whether `dir` holds the same files as the checkpoint whose step it says, byte for byte.
    fn is_copy_of_checkpoint(&self, dir: &Path) -> bool {
        let Ok(state) = TrainState::read(dir) else { return false };
        same_files(dir, &self.checkpoints().join(name(state.step))).unwrap_or(false)
    }

    /// Whether the file is what an archive makes of our link where there are none: its target as a text.
    fn is_link_as_text(&self, file: &Path, length: u64) -> bool {
        let name = |text: String| text.trim().strip_prefix("checkpoints/").and_then(step_of);
        length <= LONGEST_LINK && fs::read_to_string(file).ok().and_then(name).is_some()
    }
}

/// Whether two directories hold the same files with the same bytes.
fn same_files(a: &Path, b: &Path) -> io::Result<bool> {
    let names = |dir: &Path| -> io::Result<Vec<PathBuf>> {
        let mut names =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into())).collect::<io::Result<Vec<PathBuf>>>()?;
        names.sort();
        Ok(names)
    };
    let of_a = names(a)?;
    if of_a != names(b)? {
        return Ok(false);
    }
    for name in of_a {
        let (a, b) = (a.join(&name), b.join(&name));
        let same = match (fs::metadata(&a)?.is_dir(), fs::metadata(&b)?.is_dir()) {
            (true, true) => same_files(&a, &b)?,
            (false, false) => fs::metadata(&a)?.len() == fs::metadata(&b)?.len() && fs::read(&a)? == fs::read(&b)?,
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    let _ = fs::remove_dir(link); // a directory link, left by a crash
    std::os::windows::fs::symlink_dir(target, link)
}

#[cfg(unix)]
fn replace(fresh: &Path, model: &Path) -> io::Result<()> {
    fs::rename(fresh, model)
}

/// A directory link is not replaced by a rename: the old one goes first.
#[cfg(windows)]
fn replace(fresh: &Path, model: &Path) -> io::Result<()> {
    if fs::symlink_metadata(model).is_ok() {
        fs::remove_dir(model)?;
    }
    fs::rename(fresh, model)
}
