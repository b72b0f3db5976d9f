//! The pictures of a folder or an archive, before any is decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::kind::{Kind, foreign_extension, picture_extension};
use super::loaded::Skipped;

/// Files that can hold the labels of the pictures beside them, in the order in which they are looked for.
pub(super) const LABEL_FILES: [&str; 4] = ["dataset.json", "labels.csv", "metadata.csv", "metadata.jsonl"];

/// Folders that programs and systems leave behind; hidden ones aside.
const LITTER: [&str; 6] =
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__"];
/// Files of the same kind.
const LITTER_FILES: [&str; 3] = ["Thumbs.db", "ehthumbs.db", "desktop.ini"];

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its path below the folder that is read; splits and wrappers are taken off.
    pub(super) path: PathBuf,
    /// Its path from the root.
    pub(super) full: PathBuf,
    /// Its entry in an archive.
    pub(super) entry: usize,
}

/// What lies in a folder or an archive.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The pictures, sorted by the components of their paths.
    pub(super) items: Vec<Item>,
    /// Folders below which there is no picture, relative like the items' paths.
    pub(super) empty: BTreeSet<PathBuf>,
    /// Files of labels, from the root, with their entry in an archive.
    pub(super) label_files: Vec<(PathBuf, usize)>,
    /// How many files there are of which kind that cannot be read.
    foreign: BTreeMap<&'static str, usize>,
    /// How many other files have which extension.
    others: BTreeMap<String, usize>,
    /// Pictures in hidden folders and those of other programs.
    pub(super) hidden: usize,
    /// Files under a picture's name that are left out before they are opened.
    pub(super) skipped: Vec<Skipped>,
}

/// Whether a name is one of a hidden file or of what other programs leave behind.
pub(super) fn is_litter(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || LITTER.contains(&&*name) || LITTER_FILES.iter().any(|file| name.eq_ignore_ascii_case(file))
}

/// The extension in lower case, or nothing.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

impl Listing {
    /// Takes in a file; `head` gives its first bytes, and is asked only where the name does not tell.
    pub(super) fn add(&mut self, path: PathBuf, entry: usize, head: impl FnOnce() -> Vec<u8>) {
        let extension = extension(&path);
        if picture_extension(&extension) {
            return self.items.push(Item { full: path.clone(), path, entry });
        }
        if let Some(kind) = foreign_extension(&extension) {
            *self.foreign.entry(kind).or_default() += 1;
            return;
        }
        if path.file_name().is_some_and(|name| LABEL_FILES.iter().any(|file| *file == name)) {
            return self.label_files.push((path, entry));
        }
        match Kind::of(&head()) {
            Kind::Picture(_) => self.items.push(Item { full: path.clone(), path, entry }),
            Kind::Foreign(kind) => *self.foreign.entry(kind).or_default() += 1,
            Kind::Other(_) => *self.others.entry(extension).or_default() += 1,
        }
    }

    /// Sorts, and forgets empty folders that pictures lie in after all.
    pub(super) fn finish(&mut self) {
        // By components: `a/z` before `a.b/c`, whatever the separator is.
        self.items.sort_by(|a, b| a.path.components().cmp(b.path.components()));
        let filled: BTreeSet<&Path> = self.items.iter().flat_map(|item| item.path.ancestors().skip(1)).collect();
        self.empty.retain(|folder| !folder.as_os_str().is_empty() && !filled.contains(folder.as_path()));
    }

    /// What there is in place of pictures, in brackets.
    pub(super) fn instead(&self) -> String {
        let foreign = self.foreign.iter().map(|(kind, n)| format!("{n} {kind}"));
        let others = self.others.iter().map(|(extension, n)| match extension.as_str() {
            "" => format!("{n} without an extension"),
            extension => format!("{n} .{extension}"),
        });
        let hidden = (self.hidden > 0).then(|| format!("{} pictures in hidden folders", self.hidden));
        let all: Vec<String> = foreign.chain(others).chain(hidden).take(6).collect();
        if all.is_empty() { String::new() } else { format!(" (it holds {})", all.join(", ")) }
    }

    /// Sentences on pictures that a user may have expected to be read.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> + use<> {
        let kinds: Vec<String> = self.foreign.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let foreign = (!kinds.is_empty()).then(|| {
            format!("ignored {}: only PNG, JPEG, WebP, BMP, TIFF and GIF are read; convert them", kinds.join(", "))
        });
        let hidden = (self.hidden > 0).then(|| {
            let pictures = if self.hidden == 1 { "picture" } else { "pictures" };
            format!("ignored {} {pictures} in hidden folders and in those of other programs", self.hidden)
        });
        foreign.into_iter().chain(hidden)
    }
}
