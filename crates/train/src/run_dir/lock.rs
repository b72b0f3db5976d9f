//! One writer: a lock on the run, which ends with its process whatever becomes of it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{TrainError, error::IoContext};

/// The file that is locked. It is there while a run is written, and after a crash; only the lock on it counts.
pub(super) const LOCK_FILE: &str = ".lock";

/// How often, and after which pause, the holder's name is looked for: it is written just after the lock is taken.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(25);

/// How often the file may be another than the one that was locked.
const TRIES: usize = 100;

/// The right to write a run, until it is dropped.
///
/// The system holds the lock and releases it with the process, so that a crash leaves none behind.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    file: File,
}

impl RunLock {
    /// Takes the lock of the run in `root`, which exists.
    ///
    /// # Errors
    /// [`TrainError::Held`] with what is known of the holder; [`TrainError::Io`].
    pub(super) fn acquire(root: &Path) -> Result<Self, TrainError> {
        let path = root.join(LOCK_FILE);
        let mut tries = 0;
        loop {
            tries += 1;
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.context("lock", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(TrainError::Held { path: root.to_path_buf(), holder: holder(&path) });
                }
                // Many a mounted file system has no locks: that is no reason not to train.
                Err(TryLockError::Error(error)) => tracing::warn!(
                    "{} cannot be locked ({error}); see to it that no other process writes this run",
                    root.display()
                ),
            }
            // Whoever held it before may have removed the file between our two calls: then it is another file's lock.
            // A file system whose files have no fixed numbers cannot tell.
            if is_same_file(&file, &path) || tries == TRIES {
                let mut lock = Self { path, file };
                // A name that cannot be written, as on a full disk, is missing from a message at most.
                let _ = lock.write_name();
                return Ok(lock);
            }
        }
    }

    fn write_name(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
        self.file.write_all(format!("process {}{on}\n", std::process::id()).as_bytes())
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Removed while it is locked; where the system refuses that, an unlocked file stays, which does no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// What the lock's holder has written of itself.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    for _ in 0..LOOKS {
        text.clear();
        let _ = File::open(path).and_then(|file| file.take(200).read_to_string(&mut text));
        if text.ends_with('\n') {
            return text.trim_end().to_owned();
        }
        thread::sleep(PAUSE);
    }
    "another process".to_owned()
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    id(file.metadata()).is_some_and(|ours| id(fs::metadata(path)) == Some(ours))
}

/// Elsewhere a locked file cannot be removed.
#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_the_run_and_the_other_hears_who_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(dir.path()).unwrap();
        let error = RunLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(RunLock::acquire(dir.path()).unwrap());
    }

    #[test]
    fn a_file_that_a_crash_left_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK_FILE), "process 1 on nowhere\n").unwrap();
        let lock = RunLock::acquire(dir.path()).unwrap();
        assert_ne!(fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap(), "process 1 on nowhere\n");
        drop(lock);
    }

    #[test]
    fn many_threads_never_hold_it_together() {
        let dir = tempfile::tempdir().unwrap();
        let held = std::sync::atomic::AtomicUsize::new(0);
        let taken = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    use std::sync::atomic::Ordering::SeqCst;
                    for _ in 0..200 {
                        if let Ok(lock) = try_once(dir.path()) {
                            assert_eq!(held.fetch_add(1, SeqCst), 0, "two hold the lock");
                            taken.fetch_add(1, SeqCst);
                            held.fetch_sub(1, SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }

    /// As [`RunLock::acquire`], without waiting for a name.
    fn try_once(root: &Path) -> Result<RunLock, TrainError> {
        match File::open(root.join(LOCK_FILE)).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => {
                Err(TrainError::Held { path: root.to_path_buf(), holder: String::new() })
            }
            _ => RunLock::acquire(root),
        }
    }
}
