//! A file that could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

/// What the file system refused, with the file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, e.g. "write".
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The reason.
    pub source: io::Error,
}

impl FileError {
    /// Closure for `map_err` on file operations.
    pub fn of<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> FileError + 'a {
        move |source| FileError { action, path: path.to_owned(), source }
    }
}
