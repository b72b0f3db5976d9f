//! The classes of pictures: from folders, from file names, or from a file of labels beside them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use super::label_file::LabelFile;
use super::listing::{Item, Listing};
use super::store::Store;
use super::{DataError, LabelsFrom};

/// The class of every item by its name, in the order of the items; none where there are no classes.
pub(super) struct Classes {
    pub(super) of: Option<Vec<String>>,
    pub(super) notes: Vec<String>,
}

/// Finds the classes of what is listed; `place` is the folder that is read, from the root.
pub(super) fn classes(listing: &Listing, store: &Store, place: &Path, from: LabelsFrom) -> Result<Classes, DataError> {
    let (mut notes, mut of) = (Vec::new(), None);
    match from {
        LabelsFrom::None => {}
        LabelsFrom::FileNames => of = Some(from_names(&listing.items, store)?),
        LabelsFrom::Folders => of = from_folders(&listing.items),
        LabelsFrom::Auto => match LabelFile::beside(listing, store, place)? {
            Some(file) => {
                let shown = store.shown(&file.path);
                match file.classes(&listing.items, store)? {
                    Some(classes) => {
                        notes.push(format!("the classes are those of {}", shown.display()));
                        of = Some(classes);
                    }
                    None if file.decides => {}
                    None => {
                        notes.push(format!("{} has no labels for these pictures; it is not used", shown.display()));
                        of = from_folders(&listing.items);
                    }
                }
            }
            None => of = from_folders(&listing.items),
        },
    }
    let folders = matches!(from, LabelsFrom::Auto | LabelsFrom::Folders);
    // Of interest where folders are classes, or would be if one of them were not empty.
    let empty: Vec<String> = listing
        .empty
        .iter()
        .filter(|path| path.components().count() == 1)
        .map(|path| path.display().to_string())
        .collect();
    if folders && !empty.is_empty() && listing.items.iter().all(|item| item.path.components().count() == 2) {
        let are = if empty.len() == 1 {
            "the folder holds no picture and is no class"
        } else {
            "the folders hold no picture and are no classes"
        };
        notes.push(format!("{are}: {}", empty.join(", ")));
    }
    Ok(Classes { of, notes })
}

/// Sub-folders as classes, if every picture lies in exactly one level of at least two of them.
fn from_folders(items: &[Item]) -> Option<Vec<String>> {
    let class_of = |item: &Item| {
        let mut parts = item.path.components();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(folder), Some(_), None) => Some(folder.as_os_str().to_owned()),
            _ => None,
        }
    };
    let folders: Vec<OsString> = items.iter().map(class_of).collect::<Option<_>>()?;
    let different: BTreeSet<&OsString> = folders.iter().collect();
    if different.len() < 2 {
        return None;
    }
    // Two names that are no text may look the same in letters; they are two classes all the same.
    let shown = |folder: &OsString| match folder.to_str() {
        Some(name) => name.to_owned(),
        None => folder.to_string_lossy().into_owned() + &format!(" {:?}", folder.as_encoded_bytes()),
    };
    Some(folders.iter().map(shown).collect())
}

/// What stands before the first underscore of a file's name.
fn from_names(items: &[Item], store: &Store) -> Result<Vec<String>, DataError> {
    let class_of = |item: &Item| {
        let name = item.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match name.split_once('_') {
            Some((class, _)) if !class.is_empty() => Ok(class.to_owned()),
            _ => Err(DataError::NoPrefix { path: store.shown(&item.full) }),
        }
    };
    items.iter().map(class_of).collect()
}

/// The different names in their order: numbers by value, everything else as text.
pub(super) fn sorted_names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let different: BTreeSet<&String> = names.collect();
    let mut sorted: Vec<String> = different.into_iter().cloned().collect();
    let number = |name: &String| (name.len() <= 18).then(|| name.parse::<u64>().ok()).flatten();
    if sorted.iter().all(|name| number(name).is_some()) {
        // `1` and `01` are two names; as text they are in order already.
        sorted.sort_by_key(number);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_value_and_other_names_as_text() {
        let sorted =
            |names: &[&str]| sorted_names(names.iter().map(|name| name.to_string()).collect::<Vec<_>>().iter());
        assert_eq!(sorted(&["10", "2", "1", "2"]), ["1", "2", "10"]);
        assert_eq!(sorted(&["10", "2", "1", "x"]), ["1", "10", "2", "x"]);
        assert_eq!(sorted(&["02", "2", "1"]), ["1", "02", "2"]);
        assert_eq!(sorted(&["n02", "n10", "n1"]), ["n02", "n1", "n10"]);
    }
}
