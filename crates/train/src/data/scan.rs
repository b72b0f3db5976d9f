//! Finding the pictures below a folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;

/// What lies below a folder.
pub(super) struct Listing {
    /// The pictures' paths relative to the folder, sorted by their components as strings.
    pub(super) files: Vec<PathBuf>,
    /// How many files have which other extension.
    ignored: BTreeMap<String, usize>,
}

impl Listing {
    /// A sentence on other kinds of pictures, which a user may have expected to be read.
    pub(super) fn ignored_note(&self) -> Option<String> {
        const PICTURES: [&str; 9] = ["webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ppm"];
        let of_pictures = self.ignored.iter().filter(|(extension, _)| PICTURES.contains(&extension.as_str()));
        let kinds: Vec<String> = of_pictures.map(|(extension, n)| format!("{n} .{extension}")).collect();
        (!kinds.is_empty()).then(|| format!("ignored {}: only PNG and JPEG are read", kinds.join(", ")))
    }
}

/// Lists `*.png`, `*.jpg` and `*.jpeg` (in any case) below `root`. Hidden files and folders are left out; links are
/// followed, each real folder once.
pub(super) fn scan(root: &Path) -> Result<Listing, DataError> {
    let metadata = fs::metadata(root).map_err(DataError::io("open", root))?;
    if !metadata.is_dir() {
        return Err(DataError::NotAFolder { path: root.to_owned() });
    }
    let mut listing = Listing { files: Vec::new(), ignored: BTreeMap::new() };
    walk(root, Path::new(""), &mut HashSet::new(), &mut listing)?;
    if listing.files.is_empty() {
        let kinds: Vec<String> =
            listing.ignored.iter().take(5).map(|(extension, n)| format!("{n} .{extension}")).collect();
        let ignored = if kinds.is_empty() { String::new() } else { format!(" (it holds {})", kinds.join(", ")) };
        return Err(DataError::EmptyFolder { path: root.to_owned(), ignored });
    }
    // By components: `a/z` before `a.b/c`, whatever the separator is.
    listing.files.sort_by(|a, b| a.components().cmp(b.components()));
    Ok(listing)
}

fn walk(root: &Path, relative: &Path, seen: &mut HashSet<PathBuf>, listing: &mut Listing) -> Result<(), DataError> {
    let folder = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(relative) };
    let real = fs::canonicalize(&folder).map_err(DataError::io("open", &folder))?;
    if !seen.insert(real) {
        return Ok(());
    }
    let mut entries = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>())
        .map_err(DataError::io("list", &folder))?;
    // Sorted here too: which of two links to one folder counts must not depend on the file system's order.
    entries.sort();
    for name in entries {
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        let relative = relative.join(&name);
        // A dangling link has no metadata: it is listed by its name, and fails when it is decoded.
        if fs::metadata(root.join(&relative)).is_ok_and(|metadata| metadata.is_dir()) {
            walk(root, &relative, seen, listing)?;
            continue;
        }
        let extension = relative.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if ["png", "jpg", "jpeg"].contains(&extension.as_str()) {
            listing.files.push(relative);
        } else {
            *listing.ignored.entry(extension).or_default() += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_components_and_hidden_ones_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for path in
            ["b.png", "a/z.JPG", "a.b/c.jpeg", "a/.hidden.png", ".git/x.png", "notes.txt", "a/deep/er/q.Png", "w.webp"]
        {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let listing = scan(dir.path()).unwrap();
        let expected = ["a/deep/er/q.Png", "a/z.JPG", "a.b/c.jpeg", "b.png"];
        assert_eq!(listing.files, expected.map(PathBuf::from));
        assert_eq!(listing.ignored_note().unwrap(), "ignored 1 .webp: only PNG and JPEG are read");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_even_in_circles() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.png"), b"").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("gone.png"), dir.path().join("c.png")).unwrap();
        assert_eq!(scan(dir.path()).unwrap().files, ["a/x.png", "c.png"].map(PathBuf::from));
    }

    #[test]
    fn a_file_an_empty_folder_and_nothing_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(scan(dir.path()), Err(DataError::EmptyFolder { .. })));
        fs::write(dir.path().join("x.txt"), b"").unwrap();
        let message = scan(dir.path()).err().unwrap().to_string();
        assert!(message.contains("(it holds 1 .txt)"), "{message}");
        let message = scan(&dir.path().join("x.txt")).err().unwrap().to_string();
        assert!(message.contains("is a file, expected a folder"), "{message}");
        let message = scan(&dir.path().join("none")).err().unwrap().to_string();
        assert!(message.contains("cannot open") && message.contains("none"), "{message}");
    }
}
