//! Files of a run, written whole or not at all.

use std::path::Path;

use crate::{TrainError, error::IoContext};

/// Writes a file whole or not at all; it is on the device before it has its name.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    sfumato_files::write_durably(path, |file| file.write_all(bytes)).context("write", path)
}
