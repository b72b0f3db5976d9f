//! `folder:PATH` and `zip:FILE`: every picture below a folder or in an archive, as pictures of one size.

mod part;

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use rayon::prelude::*;
use sfumato_files::memory;

use super::classes::{Classes, classes, sorted_names};
use super::decode::{self, Decoded, Target};
use super::fit::{FILTER, checked_channels, checked_size, luma};
use super::listing::{Item, Listing};
use super::loaded::{LoadedDataset, Skipped, Values};
use super::scan::scan;
use super::split::{Chosen, choose};
use super::store::Store;
use super::{DataError, DatasetSpec, ImageSize, LoadOptions, Resizing, png};

/// Pictures of different sizes become squares of this many pixels unless the options say otherwise.
const DEFAULT_SIZE: usize = 64;

/// Reads a folder: in the order of the relative paths, decoded in parallel.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let name = DatasetSpec::Folder(path.to_owned()).to_string();
    check(&name, options)?;
    let listing = scan(path)?;
    assemble(name, Store::Folder(path.to_owned()), listing, path, options)
}

/// Reads a zip archive of pictures, as a folder of the same content is read.
pub(super) fn load_zip(path: &Path, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let name = DatasetSpec::Zip(path.to_owned()).to_string();
    check(&name, options)?;
    let (store, listing) = Store::zip(path)?;
    assemble(name, store, listing, path, options)
}

fn check(name: &str, options: &LoadOptions) -> Result<(), DataError> {
    checked_size(options.image_size, name)?;
    checked_channels(options.channels, name).map(drop)
}

/// What a part is taken of.
struct Whole<'a> {
    name: String,
    store: &'a Store,
    listing: &'a Listing,
    /// The folder that is read, from the root.
    place: &'a Path,
    class_of: Option<Vec<String>>,
    target: Target,
    channels: usize,
    options: &'a LoadOptions,
}

fn assemble(
    name: String,
    store: Store,
    listing: Listing,
    root: &Path,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let Chosen { listing, place, mut notes, unsplit } = choose(listing, root, options.split)?;
    let Classes { of: class_of, notes: class_notes } = classes(&listing, &store, &place, options.labels)?;
    notes.extend(class_notes);
    let size = match options.image_size {
        Some(size) => size,
        None => common_size(&store, &listing.items, &mut notes),
    };
    let target = Target::new(size, options.background);
    if let (Some(part), Some(_), Some(channels)) = (options.part, options.image_size, options.channels) {
        let whole =
            Whole { name, store: &store, listing: &listing, place: &place, class_of, target, channels, options };
        let mut data = part::load(whole, part, notes)?;
        data.unsplit = unsplit;
        return Ok(data);
    }
    let mut pictures = decode_all(root, &store, &listing.items, &target)?;
    let mut skipped = pictures.skipped(&store, &listing.items);
    skipped.extend(listing.skipped.iter().cloned());
    if let (true, Some(first)) = (options.strict, skipped.first()) {
        return Err(DataError::BadPicture { path: first.path.clone(), reason: first.reason.clone() });
    }
    if pictures.results.iter().all(Result::is_err) {
        let first = skipped.first().map(|first| format!("{}: {}", first.path.display(), first.reason));
        let path = store.shown(&place);
        return Err(DataError::NothingReadable { path, count: skipped.len(), first: first.unwrap_or_default() });
    }
    let read: Vec<Decoded> = pictures.results.iter().flatten().copied().collect();
    let (labels, class_names) = label(class_of.as_deref(), &pictures.results, &mut notes);
    pictures.drop_skipped();
    let channels = options.channels.unwrap_or(if read.iter().all(|decoded| decoded.grey) { 1 } else { 3 });
    if channels == 1 {
        pictures.make_grey();
    }
    let sizes: Vec<ImageSize> = read.iter().map(|decoded| decoded.from).collect();
    let resizing = Resizing::of(&sizes, size, FILTER);
    notes.extend(resizing.as_ref().and_then(Resizing::cut_note));
    notes.extend(listing.notes());
    let values = Values::U8(pictures.values.into());
    let shape = vec![channels, size.height, size.width];
    let mut data = LoadedDataset::new(name, options.split, shape, values, labels, class_names);
    data.notes = notes;
    data.unsplit = unsplit;
    data.resizing = resizing;
    data.skipped = skipped;
    transparency(&mut data, &read, options);
    Ok(data)
}

/// Says how transparent pictures were read, and warns of those that are gone.
fn transparency(data: &mut LoadedDataset, read: &[Decoded], options: &LoadOptions) {
    let transparent = read.iter().filter(|decoded| decoded.transparent).count();
    let lost = read.iter().filter(|decoded| decoded.lost).count();
    let background = options.background;
    if transparent > 0 {
        let (pictures, are) = if transparent == 1 { ("picture", "is") } else { ("pictures", "are") };
        data.notes.push(format!(
            "{transparent} {pictures} {are} transparent in places and laid on {background}; --background black, white or \
             #rrggbb chooses the colour"
        ));
    }
    if lost > 0 {
        let (pictures, are) = if lost == 1 { ("picture", "is") } else { ("pictures", "are") };
        data.warnings.push(format!(
            "{lost} transparent {pictures} {are} nothing but {background} on this background; choose another with --background"
        ));
    }
}

/// Labels by the names' order, of the pictures that were read.
fn label<T>(
    class_of: Option<&[String]>,
    results: &[Result<T, String>],
    notes: &mut Vec<String>,
) -> (Option<Vec<u32>>, Vec<String>) {
    let Some(class_of) = class_of else { return (None, Vec::new()) };
    let kept: Vec<&String> =
        class_of.iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(name, _)| name).collect();
    let names = sorted_names(kept.iter().copied());
    let all = sorted_names(class_of.iter());
    let gone: Vec<String> = all.into_iter().filter(|name| !names.contains(name)).collect();
    if !gone.is_empty() {
        notes.push(format!("without a picture that can be read, and so no class: {}", gone.join(", ")));
    }
    let index: std::collections::HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let labels = kept.iter().map(|name| index[name.as_str()]).collect();
    (Some(labels), names)
}

/// The size that all pictures share, whatever its shape; else [`DEFAULT_SIZE`] and a note. Reads only the headers; what cannot
/// be read is found out when it is decoded.
fn common_size(store: &Store, items: &[Item], notes: &mut Vec<String>) -> ImageSize {
    let default = ImageSize::square(DEFAULT_SIZE);
    let sizes: Vec<ImageSize> = items.par_iter().filter_map(|item| dimensions(store, item).ok()).collect();
    let Some(&first) = sizes.first() else { return default };
    let one = sizes.iter().all(|size| *size == first);
    if one && first.is_possible() {
        return first;
    }
    let height = sizes.iter().map(|size| size.height).max().unwrap_or(first.height);
    let width = sizes.iter().map(|size| size.width).max().unwrap_or(first.width);
    let which = if one { "pictures of" } else { "pictures of different sizes, up to" };
    notes.push(format!(
        "{which} {height}x{width} pixels (height x width), are resized and cropped to {default}; `train --image-size` gives another size"
    ));
    default
}

/// Height and width that a picture's header states.
fn dimensions(store: &Store, item: &Item) -> Result<ImageSize, String> {
    store.open(item).and_then(decode::dimensions).or_else(|reason| {
        // Mended as it is when it is decoded.
        let bytes = store.bytes(item)?;
        match png::mended(&bytes) {
            Cow::Owned(bytes) => decode::dimensions(Cursor::new(bytes)),
            Cow::Borrowed(_) => Err(reason),
        }
    })
}

/// RGB pictures in C×H×W order, one after the other, with what became of each.
struct Pictures {
    values: Vec<u8>,
    results: Vec<Result<Decoded, String>>,
    plane: usize,
}

fn decode_all(root: &Path, store: &Store, items: &[Item], target: &Target) -> Result<Pictures, DataError> {
    let ImageSize { height, width } = target.size;
    let shape = [items.len(), 3, height, width].map(|n| n as u64);
    let values = memory::reserve(shape.iter().product());
    let mut values = values.ok_or_else(|| DataError::BadSize { path: root.to_owned(), shape: shape.to_vec() })?;
    let items: Vec<&Item> = items.iter().collect();
    let results = decode_some(store, &items, target, &mut values);
    Ok(Pictures { values, results, plane: height * width })
}

/// Decodes pictures in parallel, each into its place in `values`.
fn decode_some(store: &Store, items: &[&Item], target: &Target, values: &mut Vec<u8>) -> Vec<Result<Decoded, String>> {
    let example = 3 * target.size.height * target.size.width;
    values.clear();
    values.resize(items.len() * example, 0);
    let decode =
        |(out, item): (&mut [u8], &&Item)| store.bytes(item).and_then(|bytes| decode::picture(&bytes, target, out));
    values.par_chunks_mut(example).zip(items).map(decode).collect()
}

impl Pictures {
    fn skipped(&self, store: &Store, items: &[Item]) -> Vec<Skipped> {
        let failed = |(result, item): (&Result<Decoded, String>, &Item)| {
            result.as_ref().err().map(|reason| Skipped { path: store.shown(&item.full), reason: reason.clone() })
        };
        self.results.iter().zip(items).filter_map(failed).collect()
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
        make_grey(&mut self.values, self.plane);
        self.values.shrink_to_fit();
    }
}

/// RGB pictures of `plane` pixels to grey ones, in place.
fn make_grey(values: &mut Vec<u8>, plane: usize) {
    for i in 0..values.len() / (3 * plane) {
        for p in 0..plane {
            let at = |channel: usize| values[(3 * i + channel) * plane + p];
            // Ahead of every place still to be read: i·plane + p <= 3·i·plane + p.
            values[i * plane + p] = luma([at(0), at(1), at(2)]);
        }
    }
    values.truncate(values.len() / 3);
}
