//! Opening what others have put there: regular files only, and no more of them than is sensible.
//!
//! A pipe would be waited for, and a device such as `/dev/zero` never ends.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Longest text that is read as a configuration or a record: far longer than any real one.
pub const LONGEST_TEXT: u64 = 32 << 20;

/// Opens a regular file, through links.
///
/// # Errors
/// What the system reports; [`ErrorKind::InvalidInput`] if it is a folder, a pipe, a socket or a device.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Before opening, which would wait for the other end of a pipe.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    // And after, in case that something else was put there meanwhile.
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &fs::Metadata) -> io::Result<()> {
    let wrong = |reason: &str| Err(io::Error::new(ErrorKind::InvalidInput, reason));
    match metadata {
        found if found.is_file() => Ok(()),
        found if found.is_dir() => wrong("it is a folder, not a file"),
        _ => wrong("it is a pipe, a socket or a device; only regular files are read, so write it to a file first"),
    }
}

/// The bytes of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open_regular`]; [`ErrorKind::FileTooLarge`] for a longer file.
pub fn read_bytes(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let too_long = || {
        io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {} MiB, the longest that is read", limit >> 20),
        )
    };
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // A file can grow, and some of the system's say that they are empty.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
}

/// The text of a regular file of at most [`LONGEST_TEXT`] bytes.
///
/// # Errors
/// As [`read_bytes`]; [`ErrorKind::InvalidData`] for what is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_bytes(path, LONGEST_TEXT)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit_and_folders_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, b"12345").unwrap();
        assert_eq!((read_bytes(&path, 5).unwrap(), read_text(&path).unwrap().as_str()), (b"12345".to_vec(), "12345"));
        assert_eq!(read_bytes(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(open_regular(dir.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(open_regular(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(&path, b"\xff").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_neither_waited_for_nor_read() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("endless");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert!(read_text(&link).unwrap_err().to_string().contains("a device"));
        let pipe = dir.path().join("pipe");
        if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
            assert_eq!(open_regular(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
