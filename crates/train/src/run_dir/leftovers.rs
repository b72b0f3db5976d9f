//! What an interruption leaves in a run, and how it is put in order before the run is written again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    RunDir,
    lock::LOCK_FILE,
    names::{LINKS, PARTIAL, REPLACED, new_link, old_link, step_of},
};
use crate::{TrainError, error::IoContext};

impl RunDir {
    /// Removes what an interruption left half done, and gives a checkpoint its name back that was to be replaced and was
    /// not. Only for the holder of the lock: a file of another process may look just like it.
    pub(super) fn clean(&self) -> Result<(), TrainError> {
        let checkpoints = self.checkpoints();
        for name in names(&checkpoints)? {
            let path = checkpoints.join(&name);
            if let Some(replaced) = name.strip_prefix(REPLACED)
                && step_of(replaced).is_some()
            {
                let place = checkpoints.join(replaced);
                if place.exists() {
                    fs::remove_dir_all(&path).context("remove", &path)?;
                } else {
                    fs::rename(&path, &place).context("rename", &path)?;
                }
            } else if name.strip_prefix(PARTIAL).is_some_and(|partial| step_of(partial).is_some()) {
                fs::remove_dir_all(&path).context("remove", &path)?;
            } else if step_of(&name).is_some() {
                // A model card, or its picture, that was being renewed.
                for file in names(&path)?.iter().filter(|file| is_new_file(file)) {
                    let file = path.join(file);
                    fs::remove_file(&file).context("remove", &file)?;
                }
            }
        }
        let places = [
            (self.root.clone(), is_temporary as fn(&str) -> bool),
            (self.samples(), is_new_file),
            (self.averages(), is_new_file),
        ];
        for (dir, is_ours) in places {
            for name in names(&dir)?.iter().filter(|name| is_ours(name)) {
                let path = dir.join(name);
                if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
                    fs::remove_file(&path).context("remove", &path)?;
                }
            }
        }
        for name in LINKS {
            let (old, link) = (self.root.join(old_link(name)), self.root.join(name));
            match fs::symlink_metadata(&old) {
                Ok(_) if fs::symlink_metadata(&link).is_err() => fs::rename(&old, &link).context("rename", &old)?,
                Ok(found) if found.is_dir() => fs::remove_dir_all(&old).context("remove", &old)?,
                Ok(_) => fs::remove_file(&old).context("remove", &old)?,
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether `root` is empty, or holds only what a start leaves that was interrupted before `config.toml` was written.
pub(super) fn is_vacant(root: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name == LOCK_FILE
            || is_temporary(&name)
            || ((name == "checkpoints" || name == "samples")
                && fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none()));
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file that is being written (of older versions: `.NAME.PID.tmp` for a NAME that a run writes), or a link that was to become `model` or
/// `best`.
fn is_temporary(name: &str) -> bool {
    let written = |name: &str| {
        let config = name.strip_prefix("config").and_then(|rest| rest.strip_suffix(".toml"));
        ["environment.json", "metrics.jsonl"].contains(&name)
            || config.is_some_and(|rest| rest.chars().all(|c| c == '-' || c.is_ascii_digit()))
    };
    let process = |name: &str| {
        let (file, pid) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
        (pid.bytes().all(|byte| byte.is_ascii_digit()) && written(file)).then_some(())
    };
    LINKS.iter().any(|link| name == new_link(link)) || is_new_file(name) || process(name).is_some()
}

/// A file that is being written.
fn is_new_file(name: &str) -> bool {
    name.starts_with(sfumato_files::TEMPORARY)
}

/// The names in a directory that may not be there, or be something else.
fn names(dir: &Path) -> Result<Vec<String>, TrainError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(TrainError::Io { action: "read", path: dir.to_path_buf(), source }),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().context("read", dir)
}

/// Renames `dir/NAME` to `dir/WHY-NAME`, or to `dir/WHY-NAME-2` and so on where that is taken.
pub(super) fn set_aside(dir: &Path, name: &str, why: &str) -> Result<PathBuf, TrainError> {
    let first = format!("{why}-{name}");
    let aside = std::iter::once(first.clone())
        .chain((2..).map(|n| format!("{first}-{n}")))
        .map(|name| dir.join(name))
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("an endless iterator");
    let path = dir.join(name);
    fs::rename(&path, &aside).context("rename", &path)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_temporary() {
        for name in [
            ".sfumato-Ab12",
            ".config.toml.123.tmp",
            ".metrics.jsonl.9.tmp",
            ".config-0002000.toml.7.tmp",
            ".model-new",
            ".best-new",
        ] {
            assert!(is_temporary(name), "{name}");
        }
        for name in ["config.toml", ".config.toml.tmp", ".config.toml.x.tmp", ".notes.txt.1.tmp", ".configs.toml.1.tmp"]
        {
            assert!(!is_temporary(name), "{name}");
        }
    }

    #[test]
    fn a_start_that_was_cut_short_leaves_a_vacant_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_vacant(&dir.path().join("missing")).unwrap());
        for name in ["checkpoints", "samples"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join(".config.toml.12.tmp"), "seed").unwrap();
        fs::write(dir.path().join(LOCK_FILE), "").unwrap();
        assert!(is_vacant(dir.path()).unwrap());
        fs::write(dir.path().join("samples/mine.png"), "").unwrap();
        assert!(!is_vacant(dir.path()).unwrap());
    }
}
