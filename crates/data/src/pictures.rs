//! Pictures that somebody names: one file, a folder, or an array.

use std::path::Path;

use sfumato_files::read_bytes;

use super::decode::{self, Target};
use super::fit::luma;
use super::loaded::{LoadedDataset, Values};
use super::{DataError, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, load};

/// Longest file of a picture that is read.
const MAX_FILE: u64 = 1 << 29;

/// Reads what lies at `path`, in one shape: a picture file, or a folder, a zip archive or an array (`.npy`, `.npz`) of pictures.
///
/// Pictures are brought to height and width and to 1 (grey) or 3 (RGB) channels as [`load`] says; transparent ones are laid on the background of
/// `options`. Unlike a data set's, every picture has to be readable: somebody means this one.
///
/// # Errors
/// [`DataError`] that names the file.
pub fn load_pictures(
    path: &Path,
    [channels, height, width]: [usize; 3],
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let size = ImageSize { height, width };
    let is = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    let spec = match path {
        path if path.is_dir() => Some(DatasetSpec::Folder(path.to_owned())),
        path if is("zip") => Some(DatasetSpec::Zip(path.to_owned())),
        path if is("npy") || is("npz") => Some(DatasetSpec::Npy(path.to_owned())),
        _ => None,
    };
    let options = LoadOptions { image_size: Some(size), channels: Some(channels), part: None, ..options.clone() };
    let Some(spec) = spec else { return one(path, channels, size, &options) };
    let data = load(&spec, &LoadOptions { labels: LabelsFrom::None, ..options })?;
    match data.skipped.first() {
        Some(bad) => Err(DataError::NotAPicture { path: bad.path.clone(), reason: bad.reason.clone() }),
        None => Ok(data),
    }
}

/// A single file.
fn one(path: &Path, channels: usize, size: ImageSize, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let bytes = read_bytes(path, MAX_FILE);
    let bytes = bytes.map_err(|source| DataError::Io { action: "read", path: path.to_owned(), source })?;
    let plane = size.height * size.width;
    let mut values = vec![0; 3 * plane];
    let decoded = decode::picture(&bytes, &Target::new(size, options.background), &mut values);
    let decoded = decoded.map_err(|reason| DataError::NotAPicture { path: path.to_owned(), reason })?;
    if channels == 1 {
        for i in 0..plane {
            values[i] = luma([values[i], values[plane + i], values[2 * plane + i]]);
        }
        values.truncate(plane);
    }
    let shape = vec![channels, size.height, size.width];
    let mut data = LoadedDataset::new(
        path.display().to_string(),
        options.split,
        shape,
        Values::U8(values.into()),
        None,
        Vec::new(),
    );
    if decoded.from != size {
        data.notes.push(format!(
            "{} is resized from {} to {size} pixels (height x width)",
            path.display(),
            decoded.from
        ));
    }
    Ok(data)
}
