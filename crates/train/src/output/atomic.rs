//! Files that appear whole or not at all.

use std::io::Write;
use std::path::Path;

use super::OutputError;

/// Writes a file under a temporary name in the same folder and renames it. A reader sees the old file or the new one;
/// a run that dies in between leaves the old one and at most a hidden temporary file.
///
/// Unlike [`sfumato_nets::tensor_file::write_atomically`], which checkpoints use, it does not wait for the device: thousands of
/// pictures would take minutes, and they can be drawn again.
///
/// # Errors
/// [`OutputError::Io`] with the path if the folder is missing or not writable, or the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sfumato-");
    // Temporary files are private by default; this one becomes a file like any other (the umask still applies).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(OutputError::io("write", path))?;
    file.write_all(bytes).map_err(OutputError::io("write", path))?;
    file.persist(path).map_err(|error| OutputError::io("write", path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

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
}
