//! Where the bytes of pictures are: files of a folder, or entries of a zip archive.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sfumato_files::{open_regular, read_bytes};
use zip::ZipArchive;

use super::DataError;
use super::guard::{guarded, guarded_or};
use super::kind::HEAD;
use super::listing::{Item, Listing, extension, is_litter};

/// Longest file of a picture that is read.
const MAX_FILE: u64 = 1 << 29;
/// Longest file of labels that is read: those of some millions of pictures. As JSON it takes ten times the memory.
pub(super) const MAX_LABELS: u64 = 1 << 26;

/// A reader that can go back.
pub(super) trait ReadSeek: std::io::BufRead + Seek {}
impl<T: std::io::BufRead + Seek> ReadSeek for T {}

/// Files of a folder, or entries of an archive.
pub(super) enum Store {
    /// Below this folder.
    Folder(PathBuf),
    /// In this file.
    Zip {
        path: PathBuf,
        /// One reader, in turn; what takes time is decoding.
        archive: Mutex<ZipArchive<BufReader<File>>>,
    },
}

impl Store {
    /// Opens a zip archive and lists its pictures.
    pub(super) fn zip(path: &Path) -> Result<(Store, Listing), DataError> {
        guarded_or(|| Store::listed(path), |reason| DataError::Zip { path: path.to_owned(), reason })
    }

    fn listed(path: &Path) -> Result<(Store, Listing), DataError> {
        let bad = |reason: String| DataError::Zip { path: path.to_owned(), reason };
        let file = regular(path)?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| bad(error.to_string()))?;
        let mut listing = Listing::default();
        for entry in 0..archive.len() {
            let file = archive.by_index_raw(entry).map_err(|error| bad(error.to_string()))?;
            let (name, is_dir) = (file.name().replace('\\', "/"), file.is_dir());
            drop(file);
            let relative: PathBuf = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            if relative.components().any(|part| is_litter(part.as_os_str())) {
                let own = relative.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
                let picture = !is_dir && own && super::kind::picture_extension(&extension(&relative));
                listing.hidden += usize::from(picture);
            } else if is_dir {
                listing.empty.insert(relative);
            } else if !relative.as_os_str().is_empty() {
                listing.add(relative, entry, || {
                    let mut head = Vec::new();
                    let read = archive.by_index(entry).map(|file| file.take(HEAD as u64).read_to_end(&mut head));
                    let _ = read; // what cannot be read here is no picture
                    head
                });
            }
        }
        listing.finish();
        Ok((Store::Zip { path: path.to_owned(), archive: Mutex::new(archive) }, listing))
    }

    /// The path under which people know an item.
    pub(super) fn shown(&self, full: &Path) -> PathBuf {
        match self {
            Store::Folder(root) => root.join(full),
            Store::Zip { path, .. } => path.join(full),
        }
    }

    /// The bytes of a picture.
    pub(super) fn bytes(&self, item: &Item) -> Result<Vec<u8>, String> {
        self.read(&item.full, item.entry, MAX_FILE)
    }

    /// A reader of a picture's header.
    pub(super) fn open(&self, item: &Item) -> Result<Box<dyn ReadSeek>, String> {
        match self {
            Store::Folder(root) => {
                let file = open_regular(&root.join(&item.full)).map_err(|error| error.to_string())?;
                // Some decoders read all of it for the header's sake.
                if file.metadata().is_ok_and(|metadata| metadata.len() > MAX_FILE) {
                    return Err(too_long(MAX_FILE));
                }
                Ok(Box::new(BufReader::new(file)))
            }
            Store::Zip { .. } => Ok(Box::new(Cursor::new(self.bytes(item)?))),
        }
    }

    /// The bytes of a file, of which there may be at most `limit`.
    pub(super) fn read(&self, full: &Path, entry: usize, limit: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        match self {
            Store::Folder(root) => return read_bytes(&root.join(full), limit).map_err(|error| error.to_string()),
            Store::Zip { archive, .. } => guarded(|| {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let file = archive.by_index(entry).map_err(|error| error.to_string())?;
                file.take(limit + 1).read_to_end(&mut bytes).map(drop).map_err(|error| error.to_string())
            })?,
        }
        if bytes.len() as u64 > limit { Err(too_long(limit)) } else { Ok(bytes) }
    }
}

fn too_long(limit: u64) -> String {
    format!("it is longer than {} MiB, the longest that is read", limit >> 20)
}

/// Opens a file that is one: a pipe would be waited for, and a device never ends.
pub(super) fn regular(path: &Path) -> Result<File, DataError> {
    open_regular(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => DataError::NotAFile { path: path.to_owned() },
        _ => DataError::io("open", path)(error),
    })
}
