//! Finding the pictures below a folder.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sfumato_files::open_regular;

use super::DataError;
use super::kind::{HEAD, picture_extension};
use super::listing::{Listing, extension, is_litter};
use super::loaded::Skipped;

/// How often one real folder is read: links between folders could make a tree of more paths than can ever be walked.
const MAX_ENTERED: usize = 64;

/// Lists the pictures below `root`, by extension or else by their first bytes. Hidden files and folders are left out; links
/// are followed, but not in circles: a folder is not read again within itself.
pub(super) fn scan(root: &Path) -> Result<Listing, DataError> {
    let metadata = fs::metadata(root).map_err(DataError::io("open", root))?;
    if !metadata.is_dir() {
        return Err(DataError::NotAFolder { path: root.to_owned() });
    }
    let mut walk = Walk { root, around: Vec::new(), entered: HashMap::new(), listing: Listing::default() };
    walk.folder(Path::new(""))?;
    let mut listing = walk.listing;
    listing.finish();
    Ok(listing)
}

struct Walk<'a> {
    root: &'a Path,
    /// The real folders that the walk is in, the outermost first.
    around: Vec<PathBuf>,
    /// How often each real folder was entered.
    entered: HashMap<PathBuf, usize>,
    listing: Listing,
}

impl Walk<'_> {
    fn folder(&mut self, relative: &Path) -> Result<(), DataError> {
        let folder = if relative.as_os_str().is_empty() { self.root.to_owned() } else { self.root.join(relative) };
        let real = fs::canonicalize(&folder).map_err(DataError::io("open", &folder))?;
        if self.around.contains(&real) {
            return Ok(());
        }
        let entered = self.entered.entry(real.clone()).or_default();
        *entered += 1;
        if *entered > MAX_ENTERED {
            let reason = format!("links lead to {} more than {MAX_ENTERED} times", real.display());
            return Err(DataError::io("list", &folder)(io::Error::other(reason)));
        }
        self.around.push(real);
        self.listing.empty.insert(relative.to_owned());
        self.entries(&folder, relative)?;
        self.around.pop();
        Ok(())
    }

    fn entries(&mut self, folder: &Path, relative: &Path) -> Result<(), DataError> {
        // Sorted: what is said of a folder must not depend on the file system's order.
        for name in names(folder).map_err(DataError::io("list", folder))? {
            let relative = relative.join(&name);
            let path = self.root.join(&relative);
            if is_litter(&name) {
                self.listing.hidden += hidden_pictures(&path);
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.folder(&relative)?,
                // A pipe would be waited for, and a device never ends.
                Ok(metadata) if !metadata.is_file() => self.special(path, "it is a pipe, a socket or a device"),
                Ok(_) => self.listing.add(relative, 0, || head(&path)),
                Err(error) => self.special(path, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Counts what cannot be opened, if a picture was to be expected there.
    fn special(&mut self, path: PathBuf, reason: &str) {
        if picture_extension(&extension(&path)) {
            self.listing.skipped.push(Skipped { path, reason: reason.to_owned() });
        }
    }
}

fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let entries = fs::read_dir(folder)?;
    let mut names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// The first bytes of a file; none if it cannot be read, which is found out when it matters.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let _ = open_regular(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    head
}

/// Pictures in a hidden folder by their names, links not followed. Hidden files are none: macOS writes `._a.png` beside `a.png`.
fn hidden_pictures(path: &Path) -> usize {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let count = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => hidden_pictures(&entry.path()),
        Ok(kind) if kind.is_file() && !entry.file_name().to_string_lossy().starts_with('.') => {
            usize::from(picture_extension(&extension(&entry.path())))
        }
        _ => 0,
    });
    count.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(listing: &Listing) -> Vec<&Path> {
        listing.items.iter().map(|item| &*item.path).collect()
    }

    #[test]
    fn files_are_sorted_by_components_and_hidden_ones_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "b.png",
            "a/z.JPG",
            "a.b/c.jpeg",
            "a/._z.JPG",
            ".git/x.png",
            ".ipynb_checkpoints/b-checkpoint.png",
            "__MACOSX/a/._z.JPG",
            "notes.txt",
            "a/deep/er/q.Png",
            "w.webp",
            "h.heic",
            "Thumbs.db",
            ".DS_Store",
            "labels.csv",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"text").unwrap();
        }
        fs::create_dir_all(dir.path().join("empty/inner")).unwrap();
        // What it is counts where the name says nothing.
        fs::write(dir.path().join("download"), b"\x89PNG\r\n\x1a\n").unwrap();
        let listing = scan(dir.path()).unwrap();
        let expected = ["a/deep/er/q.Png", "a/z.JPG", "a.b/c.jpeg", "b.png", "download", "w.webp"];
        assert_eq!(files(&listing), expected.map(Path::new));
        assert_eq!(listing.hidden, 2);
        assert_eq!(listing.label_files, [(PathBuf::from("labels.csv"), 0)]);
        assert!(listing.empty.iter().eq([Path::new("empty"), Path::new("empty/inner")]), "{:?}", listing.empty);
        let notes: Vec<String> = listing.notes().collect();
        assert!(notes[0].contains("1 HEIC") && notes[1].contains("2 pictures in hidden folders"), "{notes:?}");
        assert!(listing.instead().contains("1 .txt"), "{}", listing.instead());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles_and_what_is_no_file_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.png"), b"").unwrap();
        let link = |from: &Path, to: &str| std::os::unix::fs::symlink(from, dir.path().join(to)).unwrap();
        link(dir.path(), "a/up");
        link(&dir.path().join("a"), "b");
        link(&dir.path().join("gone.png"), "c.png");
        link(Path::new("itself.png"), "itself.png");
        link(Path::new("/dev/zero"), "endless.png");
        link(Path::new("/dev/zero"), "endless");
        let pipe = std::process::Command::new("mkfifo").arg(dir.path().join("pipe.png")).status();
        let listing = scan(dir.path()).unwrap();
        assert_eq!(files(&listing), [Path::new("a/x.png"), Path::new("b/x.png")]);
        let expected = if pipe.is_ok_and(|status| status.success()) { 4 } else { 3 };
        assert_eq!(listing.skipped.len(), expected, "{:?}", listing.skipped);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_read_under_each_of_its_links_but_not_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |path: &str| fs::create_dir_all(dir.path().join(path)).unwrap();
        let link = |from: &str, to: &str| {
            std::os::unix::fs::symlink(dir.path().join(from), dir.path().join(to)).unwrap();
        };
        ["pool/cats", "set/train", "set/test"].into_iter().for_each(folder);
        fs::write(dir.path().join("pool/cats/x.png"), b"").unwrap();
        link("pool/cats", "set/train/cats");
        link("pool/cats", "set/test/cats");
        let listing = scan(&dir.path().join("set")).unwrap();
        assert_eq!(files(&listing), ["test/cats/x.png", "train/cats/x.png"].map(Path::new));
        // Seven folders, each with two links to the next: the last is reached by 128 paths.
        for i in 0..7 {
            folder(&format!("tree/{i}"));
            link(&format!("tree/{}", i + 1), &format!("tree/{i}/a"));
            link(&format!("tree/{}", i + 1), &format!("tree/{i}/b"));
        }
        folder("tree/7");
        let message = scan(&dir.path().join("tree/0")).err().unwrap();
        let reason = std::error::Error::source(&message).unwrap().to_string();
        assert!(reason.contains("more than 64 times"), "{message}: {reason}");
    }

    #[test]
    fn a_file_and_nothing_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.txt"), b"").unwrap();
        let message = scan(&dir.path().join("x.txt")).err().unwrap().to_string();
        assert!(message.contains("is a file, expected a folder"), "{message}");
        let message = scan(&dir.path().join("none")).err().unwrap().to_string();
        assert!(message.contains("cannot open") && message.contains("none"), "{message}");
    }
}
