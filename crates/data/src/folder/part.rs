//! A part of the pictures: only those are kept, and of the others the headers are read, or everything for the checksum.

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
    let ImageSize { height, width } = whole.target.size;
    let shape = vec![whole.channels, height, width];
    let (sizes, sha256) = if part.checksum {
        checksum(&whole, &shape)
    } else {
        // Without decoding them all nothing more can be known: a picture that is damaged behind its header keeps its number
        // and its class here, which in the whole data set it has not.
        (listing.items.par_iter().map(|item| dimensions(store, item)).collect(), String::new())
    };
    let shown = |(item, reason): (&Item, &String)| Skipped { path: store.shown(&item.full), reason: reason.clone() };
    let unread = listing.items.iter().zip(&sizes).filter_map(|(item, size)| Some((item, size.as_ref().err()?)));
    let mut skipped: Vec<Skipped> = unread.map(shown).collect();
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

/// Height and width of every picture that can be decoded, the reasons of the others, and the checksum as of the whole data set
/// in memory.
fn checksum(whole: &Whole<'_>, shape: &[usize]) -> (Vec<Result<ImageSize, String>>, String) {
    let items: Vec<&Item> = whole.listing.items.iter().collect();
    let (sizes, mut sum) = pass(whole, &items, shape);
    let good: Vec<&Item> =
        items.into_iter().zip(&sizes).filter(|(_, size)| size.is_ok()).map(|(item, _)| item).collect();
    if good.len() < sizes.len() {
        // Their number stands at the start of what is summed.
        (_, sum) = pass(whole, &good, shape);
    }
    // The classes are those of the pictures that can be decoded.
    let (labels, _) = label(whole.class_of.as_deref(), &sizes, &mut Vec::new());
    (sizes, sum.finish(labels.as_deref()))
}

/// Decodes pictures, all of which are said to be good: what became of each, and the checksum so far.
fn pass(whole: &Whole<'_>, items: &[&Item], shape: &[usize]) -> (Vec<Result<ImageSize, String>>, Checksum) {
    let plane = whole.target.size.height * whole.target.size.width;
    let mut sum = Checksum::new::<u8>(items.len(), shape, whole.class_of.is_some());
    let (mut sizes, mut buffer) = (Vec::with_capacity(items.len()), Vec::new());
    for items in items.chunks(AT_A_TIME) {
        let results = decode_some(whole.store, items, &whole.target, &mut buffer);
        let good = results.iter().zip(buffer.chunks(3 * plane)).filter(|(result, _)| result.is_ok());
        for (_, picture) in good {
            let mut picture = picture.to_vec();
            if whole.channels == 1 {
                make_grey(&mut picture, plane);
            }
            sum.update(&picture);
        }
        sizes.extend(results.into_iter().map(|result| result.map(|decoded| decoded.from)));
    }
    (sizes, sum)
}
