//! `folder:PATH`: every PNG and JPEG below a folder as pictures of one size.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::dataset::{Dataset, Skipped, Values};
use super::decode::{self, Decoded};
use super::fit::{checked_channels, checked_size, luma};
use super::scan::{Listing, scan};
use super::{DataError, DatasetSpec, LoadOptions, Split};

/// Pictures of different sizes become squares of this many pixels unless the options say otherwise.
const DEFAULT_SIZE: usize = 64;

/// Reads a folder: in the order of the relative paths, decoded in parallel.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let name = DatasetSpec::Folder(path.to_owned()).to_string();
    checked_size(options.image_size, &name)?;
    let channels = checked_channels(options.channels, &name)?;
    let (root, split_note) = choose_split(path, options.split);
    let listing = scan(&root)?;
    let files: Vec<PathBuf> = listing.files.iter().map(|relative| root.join(relative)).collect();
    let (size, size_note) = match options.image_size {
        Some(size) => (size, None),
        None => common_size(&files),
    };
    let mut pictures = decode_all(&root, &files, size)?;
    let skipped = pictures.skipped(&files);
    if let (true, Some(first)) = (options.strict, skipped.first()) {
        return Err(DataError::BadPicture { path: first.path.clone(), reason: first.reason.clone() });
    }
    if skipped.len() == files.len() {
        let first = format!("{}: {}", skipped[0].path.display(), skipped[0].reason);
        return Err(DataError::NothingReadable { path: root, count: files.len(), first });
    }
    // The caller has them all in the data set, and may not want a thousand lines.
    for Skipped { path, reason } in &skipped {
        tracing::debug!("skipped {}: {reason}", path.display());
    }
    pictures.drop_skipped();
    let channels = channels.unwrap_or(if pictures.all_grey() { 1 } else { 3 });
    if channels == 1 {
        pictures.make_grey();
    }
    let (class_names, labels) = classes(&listing, &pictures.results).unzip();
    let values = Values::U8(pictures.values.into());
    let shape = vec![channels, size, size];
    let data = Dataset::new(name, options.split, shape, values, labels, class_names.unwrap_or_default());
    let mut data = data.note(split_note).note(size_note).note(listing.ignored_note());
    if !skipped.is_empty() {
        data.notes.push(format!("{} of {} pictures skipped, they cannot be decoded", skipped.len(), files.len()));
    }
    data.skipped = skipped;
    Ok(data)
}

/// `PATH/train` or `PATH/test` if both are there, else `PATH` for either split.
fn choose_split(path: &Path, split: Split) -> (PathBuf, Option<String>) {
    let [train, test] = ["train", "test"].map(|name| path.join(name));
    match (train.is_dir() && test.is_dir(), split) {
        (true, Split::Train) => (train, None),
        (true, Split::Test) => (test, None),
        (false, Split::Train) => (path.to_owned(), None),
        (false, Split::Test) => {
            let note = format!(
                "{} has no sub-folders train and test: its pictures are used as the test split",
                path.display()
            );
            (path.to_owned(), Some(note))
        }
    }
}

/// The size that all pictures share, if they are squares of one size; else [`DEFAULT_SIZE`] and a note. Reads only the
/// headers; what cannot be read is found out when it is decoded.
fn common_size(files: &[PathBuf]) -> (usize, Option<String>) {
    let sizes: Vec<(u32, u32)> = files.par_iter().filter_map(|path| decode::dimensions(path).ok()).collect();
    let Some(&(w, h)) = sizes.first() else { return (DEFAULT_SIZE, None) };
    if w == h && w <= 4096 && sizes.iter().all(|size| *size == (w, h)) {
        return (w as usize, None);
    }
    let widest = sizes.iter().map(|size| size.0).max().unwrap_or(w);
    let highest = sizes.iter().map(|size| size.1).max().unwrap_or(h);
    let note = format!(
        "pictures of up to {widest}×{highest} pixels are resized and cropped to {DEFAULT_SIZE}×{DEFAULT_SIZE}; \
         set the image size for another"
    );
    (DEFAULT_SIZE, Some(note))
}

/// RGB pictures in C×H×W order, one after the other, with what became of each.
struct Pictures {
    values: Vec<u8>,
    results: Vec<Result<Decoded, String>>,
    plane: usize,
}

fn decode_all(root: &Path, files: &[PathBuf], size: usize) -> Result<Pictures, DataError> {
    let plane = size * size;
    let too_large =
        || DataError::BadSize { path: root.to_owned(), shape: [files.len(), 3, size, size].map(|n| n as u64).to_vec() };
    let total = files.len().checked_mul(3 * plane).ok_or_else(too_large)?;
    let mut values = Vec::new();
    values.try_reserve_exact(total).map_err(|_| too_large())?;
    values.resize(total, 0);
    let results =
        values.par_chunks_mut(3 * plane).zip(files).map(|(out, path)| decode::picture(path, size, out)).collect();
    Ok(Pictures { values, results, plane })
}

impl Pictures {
    fn skipped(&self, files: &[PathBuf]) -> Vec<Skipped> {
        let failed = |(result, path): (&Result<Decoded, String>, &PathBuf)| {
            result.as_ref().err().map(|reason| Skipped { path: path.clone(), reason: reason.clone() })
        };
        self.results.iter().zip(files).filter_map(failed).collect()
    }

    fn all_grey(&self) -> bool {
        self.results.iter().flatten().all(|decoded| decoded.grey)
    }

    /// Moves the pictures together that were decoded.
    fn drop_skipped(&mut self) {
        let n = 3 * self.plane;
        let mut kept = 0;
        for (i, result) in self.results.iter().enumerate() {
            if result.is_ok() {
                self.values.copy_within(i * n..(i + 1) * n, kept * n);
                kept += 1;
            }
        }
        self.values.truncate(kept * n);
    }

    /// RGB to grey, in place.
    fn make_grey(&mut self) {
        let plane = self.plane;
        for i in 0..self.values.len() / (3 * plane) {
            for p in 0..plane {
                let at = |channel: usize| self.values[(3 * i + channel) * plane + p];
                // Ahead of every place still to be read: i·plane + p <= 3·i·plane + p.
                self.values[i * plane + p] = luma([at(0), at(1), at(2)]);
            }
        }
        self.values.truncate(self.values.len() / 3);
        self.values.shrink_to_fit();
    }
}

/// Sub-folders as classes, if every picture lies in exactly one level of at least two of them.
fn classes(listing: &Listing, results: &[Result<Decoded, String>]) -> Option<(Vec<String>, Vec<u32>)> {
    let class_of = |relative: &PathBuf| {
        let mut parts = relative.components();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(folder), Some(_), None) => Some(folder.as_os_str().to_string_lossy().into_owned()),
            _ => None,
        }
    };
    let folders: Vec<String> = listing.files.iter().map(class_of).collect::<Option<_>>()?;
    let mut names = folders.clone();
    names.sort();
    names.dedup();
    let label = |folder: &String| names.binary_search(folder).expect("every folder is among the names") as u32;
    let kept = folders.iter().zip(results).filter(|(_, result)| result.is_ok());
    let labels = kept.map(|(folder, _)| label(folder)).collect();
    (names.len() >= 2).then_some((names, labels))
}
