//! `npy:FILE`: a NumPy array, or an archive of them.

use std::path::{Path, PathBuf};

use super::npz::{self, is_zip};
use super::{DataError, LoadOptions, LoadedDataset, Split, npy};

/// Reads an array, or an archive of arrays: pictures of integers or floats in any usual order of axes, or points of floats.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let (mut file, name) = split_name(path);
    if is_zip(&file)? {
        return npz::load(&file, name.as_deref(), path, options);
    }
    if let Some(name) = name {
        let reason = format!("it is a single array, and none of an archive called {name}");
        return Err(DataError::NpzChoice { path: file, reason, arrays: "one array".to_owned() });
    }
    let note = (options.split == Split::Test)
        .then(|| format!("{} is one array: all of it is used as the test split", path.display()));
    let mut data = npy::assemble(&mut file, None, path, options)?.note(note);
    data.unsplit = true;
    Ok(data)
}

/// `FILE#NAME` as the two, unless there is a file of that very name.
fn split_name(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    match text.rsplit_once('#') {
        Some((file, name)) if !path.exists() => (file.into(), Some(name.to_owned())),
        _ => (path.to_owned(), None),
    }
}
