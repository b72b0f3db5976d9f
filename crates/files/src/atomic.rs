//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::FileError;

/// How the names of temporary files begin: an interruption may leave one behind.
pub const TEMPORARY: &str = ".sfumato-";

/// Replaces a file by `bytes`. A reader sees the old file or the new one; a run that dies in between leaves the old one and at most a
/// hidden temporary file beside it.
///
/// A link stays a link, and what it leads to is replaced. What is no plain file (a pipe, `/dev/stdout`) is written to, since a file in
/// its place is not what was asked for.
///
/// It does not wait for the device, as [`write_durably`] does: thousands of pictures would take minutes, and they can be drawn again.
///
/// # Errors
/// [`FileError`] with the path if the folder is missing or not writable, or the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, Wait::No, |out| out.write_all(bytes)).map_err(FileError::of("write", path))
}

/// The same through `fill`, and the file is on the device before its name is: not even a loss of power leaves half of it.
///
/// # Errors
/// What the system or `fill` reports; an existing `path` is untouched then.
pub fn write_durably(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    replace(path, Wait::ForDevice, fill)
}

/// Whether [`write_atomically`] could write `path` now, as far as that can be known before the work that makes its content. Nothing
/// is left behind.
///
/// # Errors
/// [`FileError`] with the path if it is a folder, or its own folder is missing or not writable.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    let tried = match Target::of(path) {
        _ if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Target::Special => Ok(()), // opening a pipe would wait for its reader
        Target::File(file) => temporary(&file).map(drop),
    };
    tried.map_err(FileError::of("write", path))
}

/// Whether a file has to be on the device before it takes its name.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    No,
    ForDevice,
}

fn replace(path: &Path, wait: Wait, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = match Target::of(path) {
        Target::Special => return fill(&mut OpenOptions::new().write(true).open(path)?),
        Target::File(file) => file,
    };
    let new = temporary(&file)?;
    let mut writer = BufWriter::with_capacity(1 << 18, new.as_file());
    fill(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    if wait == Wait::ForDevice {
        new.as_file().sync_all()?;
    }
    new.persist(&file).map_err(|error| error.error)?;
    if wait == Wait::ForDevice {
        sync_directory(&file);
    }
    Ok(())
}

/// What a name stands for.
enum Target {
    /// A plain file, or none yet, under the name that links lead to.
    File(PathBuf),
    /// A pipe, a terminal or another device.
    Special,
}

impl Target {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) if !found.is_file() && !found.is_dir() => Self::Special,
            Ok(_) => Self::File(path.canonicalize().unwrap_or_else(|_| path.to_owned())),
            Err(_) => Self::File(path.to_owned()),
        }
    }
}

/// A new file in the folder of `path`.
fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    // Opened here and not by `tempfile`: such a file is no secret (the umask decides), and an error of the system stays that, where
    // `tempfile` would name the temporary file, which nobody has asked for.
    let open = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    tempfile::Builder::new().prefix(TEMPORARY).make_in(folder(path), open)
}

/// Makes the rename itself durable, where that can be done: only Unix opens a directory for this, and many a mounted file
/// system refuses. The file is whole in any case.
fn sync_directory(path: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder(path)).and_then(|directory| directory.sync_all());
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_far_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write_atomically(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(plain));
    }

    #[test]
    fn a_target_that_cannot_be_written_is_named_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/x.npy");
        let message = write_atomically(&missing, b"").unwrap_err().to_string();
        assert!(message.contains("cannot write") && message.contains("x.npy"), "{message}");
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(write_atomically(&folder, b"").unwrap_err().to_string().contains("folder"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_pipe_a_pipe() {
        use std::os::unix::fs::FileTypeExt;
        let dir = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| dir.path().join(name));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");

        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        check_writable(&pipe).unwrap();
        write_atomically(&pipe, b"through").unwrap();
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap(), b"through");
    }

    #[test]
    fn what_cannot_be_written_is_known_before_the_work() {
        let dir = tempfile::tempdir().unwrap();
        check_writable(&dir.path().join("x")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(check_writable(dir.path()).is_err());
        let message = check_writable(&dir.path().join("no/x.json")).unwrap_err().to_string();
        assert!(message.contains("x.json") && message.contains("os error 2"), "{message}");
        assert!(!message.contains(".sfumato-"), "{message}");
    }
}
