//! What a file really is, whatever its name says.
//!
//! Model directories are copied, cloned and downloaded, and what arrives under the name of a weights file or of a configuration is
//! often something else: a pointer of Git LFS, a page of HTML, nothing. All files of a model are opened here, so that each of them
//! gives the same answer to the same accident.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

/// Bytes that are looked at to tell what a file is.
const START: usize = 512;
/// A text that is longer is no message of a server.
const SHORT: u64 = 2048;
/// Characters of a text that a message quotes.
const QUOTED: usize = 60;

/// What lies under the name of a model's file instead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disguise {
    /// A link whose target is not there.
    BrokenLink {
        /// Where it points.
        target: PathBuf,
    },
    /// A directory.
    Directory,
    /// A pipe, a device, a socket.
    NotRegular,
    /// Nothing.
    Empty,
    /// A pointer of Git LFS, with the size of the file that it stands for.
    LfsPointer {
        /// Bytes of the file that was not downloaded.
        bytes: Option<u64>,
    },
    /// A pointer of git-annex.
    AnnexPointer,
    /// A page of HTML.
    Html,
    /// XML: the error messages of storage services.
    Xml,
    /// Zeros: space was made for the file, and nothing was written there.
    Zeros,
    /// Text in UTF-16.
    Utf16,
    /// A compressed file.
    Gzip,
    /// A file of HDF5, as Keras writes.
    Hdf5,
    /// A short text: usually the error message of a server.
    Text {
        /// How it begins.
        text: String,
    },
}

impl fmt::Display for Disguise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::BrokenLink { target } => {
                write!(f, "it is a link to {}, and there is nothing at that place", target.display())
            }
            Self::Directory => f.write_str("it is a directory, not a regular file"),
            Self::NotRegular => f.write_str("it is not a regular file"),
            Self::Empty => f.write_str("it is empty (0 bytes); download or copy it again"),
            Self::LfsPointer { bytes } => {
                f.write_str("it is a pointer of Git LFS, the file itself was not downloaded")?;
                if let Some(bytes) = bytes {
                    write!(f, " ({bytes} bytes)")?;
                }
                f.write_str("; run `git lfs pull` in the directory")
            }
            Self::AnnexPointer => f.write_str(
                "it is a pointer of git-annex, the file itself was not downloaded; run `git annex get` in the directory",
            ),
            Self::Html => f.write_str("it is a page of HTML; the download went wrong, download the file itself"),
            Self::Xml => f.write_str("it is XML, probably the error message of a server; download the file again"),
            Self::Zeros => f.write_str("it begins with zeros only; the download did not finish, download it again"),
            Self::Utf16 => f.write_str("it is text in UTF-16; save it as UTF-8"),
            Self::Gzip => f.write_str("it is compressed with gzip; unpack it first"),
            Self::Hdf5 => f.write_str("it is an HDF5 file, as Keras writes; only files of PyTorch and safetensors are read"),
            Self::Text { text } => {
                write!(f, "it is a short text that begins with `{text}`; download or copy the file again")
            }
        }
    }
}

/// A file that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no {expected}: {found}", path.display())]
pub struct WrongFile {
    /// The file.
    pub path: PathBuf,
    /// What was expected there: "safetensors file", "JSON file", ….
    pub expected: &'static str,
    /// What is there.
    pub found: Disguise,
}

/// Why a file could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Io { action: &'static str, source: io::Error },
    Wrong(WrongFile),
}

/// A regular file, open at its start.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) len: u64,
    /// Its first bytes.
    pub(crate) start: Vec<u8>,
}

/// Opens `path`, of which a file of the kind `expected` is wanted, unless it is recognised as something else.
pub(crate) fn open(path: &Path, expected: &'static str) -> Result<Opened, OpenError> {
    let io = |action| move |source| OpenError::Io { action, source };
    let wrong = |found| OpenError::Wrong(WrongFile { path: path.into(), expected, found });
    // Before opening: that would wait forever on a pipe.
    let metadata = fs::metadata(path).map_err(|source| match fs::read_link(path) {
        Ok(target) if source.kind() == io::ErrorKind::NotFound => wrong(Disguise::BrokenLink { target }),
        _ => OpenError::Io { action: "open", source },
    })?;
    if metadata.is_dir() {
        return Err(wrong(Disguise::Directory));
    }
    if !metadata.is_file() {
        return Err(wrong(Disguise::NotRegular));
    }
    let mut file = File::open(path).map_err(io("open"))?;
    let len = file.metadata().map_err(io("read"))?.len();
    let mut start = Vec::with_capacity(START);
    (&mut file).take(START as u64).read_to_end(&mut start).map_err(io("read"))?;
    file.rewind().map_err(io("read"))?;
    match recognise(&start, len) {
        Some(found) => Err(wrong(found)),
        None => Ok(Opened { file, len, start }),
    }
}

/// What a file with these first bytes is, if it is none of a model's.
fn recognise(start: &[u8], len: u64) -> Option<Disguise> {
    if len == 0 {
        return Some(Disguise::Empty);
    }
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Some(Disguise::Utf16);
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return Some(Disguise::Gzip);
    }
    if start.starts_with(b"\x89HDF\r\n") {
        return Some(Disguise::Hdf5);
    }
    if start.len() == START && start.iter().all(|&byte| byte == 0) {
        return Some(Disguise::Zeros);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if text.starts_with(b"version https://git-lfs.github.com") || text.starts_with(b"version https://hawser.github.com")
    {
        let lines = String::from_utf8_lossy(text);
        let bytes = lines.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse().ok());
        return Some(Disguise::LfsPointer { bytes });
    }
    if text.starts_with(b"/annex/objects/") || text.windows(18).any(|part| part == b".git/annex/objects") {
        return Some(Disguise::AnnexPointer);
    }
    if text.starts_with(b"<?xml") {
        return Some(Disguise::Xml);
    }
    text.starts_with(b"<").then_some(Disguise::Html)
}

/// The text that a file with these first bytes is, if it is a short one: for files that ought to be binary.
pub(crate) fn short_text(start: &[u8], len: u64) -> Option<Disguise> {
    let text = std::str::from_utf8(start).ok().filter(|_| len <= SHORT)?;
    let printable = |c: char| !c.is_control() || c.is_ascii_whitespace();
    if !text.chars().all(printable) {
        return None;
    }
    let line = text.trim_start().lines().next().unwrap_or_default();
    Some(Disguise::Text { text: line.chars().take(QUOTED).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_in_place_of_a_file_is_recognised() {
        let zeros = vec![0; 1000];
        for (bytes, expected) in [
            (&b""[..], "empty (0 bytes)"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 143000000\n", "(143000000 bytes)"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "run `git lfs pull`"),
            (b"\xef\xbb\xbf version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"/annex/objects/SHA256E-s1--0.safetensors\n", "git annex get"),
            (b"<!DOCTYPE html>\n<html>", "page of HTML"),
            (b"\n <html>", "page of HTML"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (&zeros, "zeros only"),
        ] {
            let found = recognise(&bytes[..bytes.len().min(START)], bytes.len() as u64).map(|found| found.to_string());
            assert!(found.as_deref().is_some_and(|found| found.contains(expected)), "{expected}: {found:?}");
        }
        for bytes in [&b"{\"a\": 1}"[..], b"PK\x03\x04", b"\x80\x02\x8a\x0a", b"\x10\0\0\0\0\0\0\0{}", &zeros[..9]] {
            assert_eq!(recognise(bytes, bytes.len() as u64), None);
        }
    }

    #[test]
    fn a_short_text_is_quoted_and_binary_data_are_not() {
        let text = |bytes: &[u8]| short_text(bytes, bytes.len() as u64).map(|found| found.to_string());
        assert!(text(b"Entry not found\n").is_some_and(|found| found.contains("`Entry not found`")));
        assert_eq!(text(b"\x10\0\0\0\0\0\0\0{}"), None);
        assert_eq!(short_text(b"Entry", 1 << 30), None);
    }
}
