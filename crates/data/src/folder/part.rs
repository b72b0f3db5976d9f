//! A part of the pictures: only those are decoded, and the headers of the others are read.

use std::collections::HashSet;

use rayon::prelude::*;

use super::super::content::Checksum;
use super::super::decode::Decoded;
use super::super::fit::FILTER;
use super::super::kept::Kept;
use super::super::listing::Item;
use super::super::loaded::{LoadedDataset, Skipped, Values};
use super::super::options::Part;
use super::super::{DataError, ImageSize, Resizing};
use super::{Whole, decode_some, dimensions, label, make_grey, transparency};

/// Pictures that are decoded at a time for the checksum.
const AT_A_TIME: usize = 64;

/// Loads the first pictures of the part's order that can be decoded.
pub(super) fn load(whole: Whole<'_>, part: Part, mut notes: Vec<String>) -> Result<LoadedDataset, DataError> {
    let Whole { store, listing, options, .. } = whole;
    let sizes: Vec<Result<ImageSize, String>> = listing.items.par_iter().map(|item| dimensions(store, item)).collect();
    let shown = |(item, reason): (&Item, &String)| Skipped { path: store.shown(&item.full), reason: reason.clone() };
    let headless = listing.items.iter().zip(&sizes).filter_map(|(item, size)| Some((item, size.as_ref().err()?)));
    let mut skipped: Vec<Skipped> = headless.map(shown).collect();
    let items: Vec<&Item> =
        listing.items.iter().zip(&sizes).filter(|(_, size)| size.is_ok()).map(|(item, _)| item).collect();
    let Chosen { ids, values, decoded, failed } = choose(&whole, &items, part);
    skipped.extend(failed.iter().map(|(i, reason)| shown((items[*i], reason))));
    skipped.extend(listing.skipped.iter().cloned());
    if let (true, Some(first)) = (options.strict, skipped.first()) {
        return Err(DataError::BadPicture { path: first.path.clone(), reason: first.reason.clone() });
    }
    if ids.is_empty() {
        let first = skipped.first().map(|first| format!("{}: {}", first.path.display(), first.reason));
        let path = store.shown(whole.place);
        return Err(DataError::NothingReadable { path, count: skipped.len(), first: first.unwrap_or_default() });
    }
    let (labels, class_names) = label(whole.class_of.as_deref(), &sizes, &mut notes);
    let from: Vec<ImageSize> = sizes.iter().flatten().copied().collect();
    let resizing = Resizing::of(&from, whole.target.size, FILTER);
    notes.extend(resizing.as_ref().and_then(Resizing::cut_note));
    notes.extend(listing.notes());
    let ImageSize { height, width } = whole.target.size;
    let shape = vec![whole.channels, height, width];
    let sha256 = if part.checksum { checksum(&whole, &items, &sizes, &shape) } else { String::new() };
    let values = Values::U8(values.into());
    let kept = (items.len(), Kept::new(ids));
    let mut data = LoadedDataset::partial(whole.name, options.split, shape, values, labels, class_names, kept, sha256);
    data.notes = notes;
    data.resizing = resizing;
    data.skipped = skipped;
    transparency(&mut data, &decoded, options);
    Ok(data)
}

/// The pictures of a part, and those that were to be among them.
struct Chosen {
    /// In the order of the part.
    ids: Vec<usize>,
    /// In the order of their numbers.
    values: Vec<u8>,
    decoded: Vec<Decoded>,
    failed: Vec<(usize, String)>,
}

/// Decodes along the order of the part until there are enough.
fn choose(whole: &Whole<'_>, items: &[&Item], part: Part) -> Chosen {
    let plane = whole.target.size.height * whole.target.size.width;
    let (mut ids, mut failed, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let mut order = part.order(items.len());
    let mut buffer = Vec::new();
    loop {
        let missing = part.num.min(items.len()).saturating_sub(ids.len());
        let next: Vec<usize> = order.by_ref().take(missing.min(AT_A_TIME)).collect();
        if next.is_empty() {
            break;
        }
        let pictures: Vec<&Item> = next.iter().map(|&i| items[i]).collect();
        let results = decode_some(whole.store, &pictures, &whole.target, &mut buffer);
        for ((i, result), picture) in next.into_iter().zip(results).zip(buffer.chunks(3 * plane)) {
            match result {
                Ok(decoded) => {
                    let mut picture = picture.to_vec();
                    if whole.channels == 1 {
                        make_grey(&mut picture, plane);
                    }
                    ids.push(i);
                    read.push((i, picture, decoded));
                }
                Err(reason) => failed.push((i, reason)),
            }
        }
    }
    read.sort_by_key(|(i, ..)| *i);
    let decoded = read.iter().map(|(_, _, decoded)| *decoded).collect();
    let mut values = Vec::with_capacity(read.len() * whole.channels * plane);
    for (_, picture, _) in read {
        values.extend(picture);
    }
    failed.sort_by_key(|(i, _)| *i);
    Chosen { ids, values, decoded, failed }
}

/// The checksum of all pictures that can be decoded, as of the whole data set in memory.
fn checksum(whole: &Whole<'_>, items: &[&Item], sizes: &[Result<ImageSize, String>], shape: &[usize]) -> String {
    let (count, bad, sum) = pass(whole, items, items.len(), shape);
    let (bad, sum) = if bad.is_empty() {
        (bad, sum)
    } else {
        // Their number stands at the start of what is summed.
        let (_, bad, sum) = pass(whole, items, count, shape);
        (bad, sum)
    };
    // The classes are those of the pictures that can be decoded.
    let mut rank = 0;
    let readable = sizes.iter().map(|size| {
        size.clone()?;
        rank += 1;
        if bad.contains(&(rank - 1)) { Err(String::new()) } else { Ok(()) }
    });
    let readable: Vec<Result<(), String>> = readable.collect();
    let (labels, _) = label(whole.class_of.as_deref(), &readable, &mut Vec::new());
    sum.finish(labels.as_deref())
}

/// Decodes all pictures, of which `count` are said to be good: how many are, which are not, and the checksum so far.
fn pass(whole: &Whole<'_>, items: &[&Item], count: usize, shape: &[usize]) -> (usize, HashSet<usize>, Checksum) {
    let plane = whole.target.size.height * whole.target.size.width;
    let mut sum = Checksum::new::<u8>(count, shape, whole.class_of.is_some());
    let (mut bad, mut buffer) = (HashSet::new(), Vec::new());
    for (first, items) in (0..).step_by(AT_A_TIME).zip(items.chunks(AT_A_TIME)) {
        let results = decode_some(whole.store, items, &whole.target, &mut buffer);
        for (i, result) in (first..).zip(&results) {
            let start = (i - first) * 3 * plane;
            if result.is_err() {
                bad.insert(i);
                continue;
            }
            let mut picture = buffer[start..start + 3 * plane].to_vec();
            if whole.channels == 1 {
                make_grey(&mut picture, plane);
            }
            sum.update(&picture);
        }
    }
    (items.len() - bad.len(), bad, sum)
}
