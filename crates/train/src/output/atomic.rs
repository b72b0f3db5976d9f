//! Files that appear whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::OutputError;

/// Writes a file under a temporary name in the same folder and renames it. A reader sees the old file or the new one;
/// a run that dies in between leaves the old one and at most a hidden temporary file.
///
/// A link stays a link, and what it leads to is replaced. What is no plain file (a pipe, `/dev/stdout`) is written to, since a file in
/// its place is not what was asked for.
///
/// Unlike [`sfumato_nets::tensor_file::write_atomically`], which checkpoints use, it does not wait for the device: thousands of
/// pictures would take minutes, and they can be drawn again.
///
/// # Errors
/// [`OutputError::Io`] with the path if the folder is missing or not writable, or the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let written = match Target::of(path) {
        Target::Special => OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes)),
        Target::File(file) => temporary(&file).and_then(|mut new| {
            new.write_all(bytes)?;
            new.persist(&file).map(drop).map_err(|error| error.error)
        }),
    };
    written.map_err(OutputError::io("write", path))
}

/// Whether [`write_atomically`] could write `path` now, as far as that can be known before the work that makes its content. Nothing
/// is left behind.
///
/// # Errors
/// [`OutputError::Io`] with the path if it is a folder, or its own folder is missing or not writable.
pub fn check_writable(path: &Path) -> Result<(), OutputError> {
    let tried = match Target::of(path) {
        _ if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Target::Special => Ok(()), // opening a pipe would wait for its reader
        Target::File(file) => temporary(&file).map(drop),
    };
    tried.map_err(OutputError::io("write", path))
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sfumato-");
    // Temporary files are private by default; this one becomes a file like any other (the umask still applies).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // The error would name the temporary file, which nobody has asked for.
    builder.tempfile_in(folder).map_err(|error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    })
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
        assert!(message.contains("x.json") && !message.contains(".sfumato-"), "{message}");
    }
}
