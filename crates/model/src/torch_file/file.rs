//! An open file of `torch.save`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    PickleFault, StoredTensor, TorchFileError, ZipFault, legacy,
    legacy::LegacyError,
    pickle,
    tensors::{StateDict, StateFault},
    zip::{self, Entry, ZipError},
};
use crate::disguise::{self, OpenError, Opened, WrongFile};

/// What is expected under the name of a checkpoint.
pub(crate) const EXPECTED: &str = "file of torch.save";
/// The start of a zip archive.
const ZIP: &[u8] = b"PK";
/// Longest pickle that is read; the largest published checkpoints have a hundredth of it.
const MAX_PICKLE: usize = 16 << 20;
/// Bytes read at once: large enough to hide the system call, small enough to stay in cache while converting.
const CHUNK: usize = 1 << 18;
/// Where the mark of a tar archive stands.
const TAR_MARK: usize = 257;

/// A state dict on disk whose description has been read and checked; its numbers wait.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, StoredTensor>,
    /// First byte of every storage.
    places: BTreeMap<String, u64>,
    notes: Vec<String>,
}

/// Whether a file with these first bytes is one of `torch.save`, whatever its name.
pub(crate) fn is_torch(start: &[u8]) -> bool {
    start.starts_with(ZIP) || start.starts_with(&legacy::START)
}

impl TorchFile {
    /// Opens a file that `torch.save` made of a dictionary from names to tensors; no tensor is read yet.
    ///
    /// # Errors
    /// [`TorchFileError`] that names the file if it is no such file, is damaged, or its pickle does more than describe tensors.
    pub fn open(path: &Path) -> Result<Self, TorchFileError> {
        Self::open_for(path, &[])
    }

    /// The same; of several dictionaries in the file, the one that has one of the tensors `anchors` is taken.
    pub(crate) fn open_for(path: &Path, anchors: &[&str]) -> Result<Self, TorchFileError> {
        let opened = disguise::open(path, EXPECTED).map_err(|error| match error {
            OpenError::Io { action, source } => TorchFileError::Io { path: path.into(), action, source },
            OpenError::Wrong(wrong) => wrong.into(),
        })?;
        Self::from_opened(path, opened, anchors)
    }

    /// Reads the description in a file that is open.
    pub(crate) fn from_opened(path: &Path, opened: Opened, anchors: &[&str]) -> Result<Self, TorchFileError> {
        let Opened { mut file, len, start } = opened;
        let (state, places) = if start.starts_with(ZIP) {
            Self::open_zip(path, &mut file, len, anchors)?
        } else if start.starts_with(&legacy::START) {
            Self::open_legacy(path, &mut file, len, anchors)?
        } else if let Some(found) = disguise::short_text(&start, len) {
            return Err(WrongFile { path: path.into(), expected: EXPECTED, found }.into());
        } else {
            return Err(TorchFileError::Format { path: path.into(), reason: unknown(&start) });
        };
        let StateDict { tensors, notes, .. } = state;
        Ok(Self { path: path.into(), file, tensors, places, notes })
    }

    fn open_zip(
        path: &Path,
        file: &mut File,
        len: u64,
        anchors: &[&str],
    ) -> Result<(StateDict, BTreeMap<String, u64>), TorchFileError> {
        let zip_error = |error| match error {
            ZipError::Io(source) => TorchFileError::Io { path: path.into(), action: "read", source },
            ZipError::Fault(fault) => TorchFileError::Zip { path: path.into(), fault },
        };
        let entries = zip::directory(file, len).map_err(|error| match error {
            ZipError::Fault(fault @ ZipFault::NoDirectory { .. }) => {
                let expected = least_length(file, len).filter(|&expected| expected > len);
                zip_error(expected.map_or(fault, |expected| ZipFault::Truncated { len, expected }).into())
            }
            error => zip_error(error),
        })?;
        let missing = |name: &str| zip_error(ZipFault::Missing { name: name.into() }.into());
        let (name, entry) =
            entries.iter().find(|(name, _)| name.ends_with("/data.pkl")).ok_or_else(|| missing("archive/data.pkl"))?;
        let folder = name.strip_suffix("data.pkl").unwrap_or_default();
        if let Some(order) = entries.get(&format!("{folder}byteorder")) {
            let begin = zip::data(file, len, "byteorder", order).map_err(zip_error)?;
            let order = read_bytes(file, begin, order.bytes.min(8) as usize)
                .map_err(|source| zip_error(ZipError::Io(source)))?;
            if order != b"little" {
                return Err(TorchFileError::Format { path: path.into(), reason: "its numbers are big-endian" });
            }
        }
        let pickle = zip_pickle(file, len, name, entry).map_err(|error| match error {
            PickleOrZip::Pickle(fault) => TorchFileError::Pickle { path: path.into(), fault },
            PickleOrZip::Zip(error) => zip_error(error),
        })?;
        let pickle = pickle::read(&pickle, 0).map_err(|fault| TorchFileError::Pickle { path: path.into(), fault })?;
        let state = StateDict::new(&pickle, anchors).map_err(|fault| state_error(path, fault))?;
        let mut places = BTreeMap::new();
        for (key, storage) in &state.storages {
            let name = format!("{folder}data/{key}");
            let entry = entries.get(&name).ok_or_else(|| missing(&name))?;
            if entry.bytes != storage.elements * storage.dtype.size() as u64 {
                return Err(zip_error(ZipFault::Record { what: name }.into()));
            }
            places.insert(key.clone(), zip::data(file, len, &name, entry).map_err(zip_error)?);
        }
        Ok((state, places))
    }

    fn open_legacy(
        path: &Path,
        file: &mut File,
        len: u64,
        anchors: &[&str],
    ) -> Result<(StateDict, BTreeMap<String, u64>), TorchFileError> {
        let io = |source| TorchFileError::Io { path: path.into(), action: "read", source };
        let prefix = read_bytes(file, 0, len.min(MAX_PICKLE as u64) as usize).map_err(io)?;
        legacy::read(file, len, &prefix, anchors).map_err(|error| match error {
            LegacyError::Io(source) => io(source),
            LegacyError::State(fault) => state_error(path, fault),
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Choices that were made among what the file holds, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The values of one tensor as `f32`, in row-major order.
    ///
    /// # Errors
    /// [`TorchFileError`] if there is no such tensor, it holds no floats, or the file cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, TorchFileError> {
        let bad = |reason: &str| TorchFileError::Tensor {
            path: self.path.clone(),
            tensor: name.into(),
            reason: reason.into(),
        };
        let tensor = self.tensors.get(name).ok_or_else(|| bad("it is not there"))?;
        let place = *self.places.get(&tensor.storage).ok_or_else(|| bad("its storage is not in the file"))?;
        let begin = place + tensor.offset * tensor.dtype.size() as u64;
        let mut values = Vec::with_capacity(tensor.span());
        let mut left = tensor.span() * tensor.dtype.size();
        let mut chunk = vec![0; CHUNK.min(left)];
        let io = |source| TorchFileError::Io { path: self.path.clone(), action: "read", source };
        self.file.seek(SeekFrom::Start(begin)).map_err(io)?;
        while left > 0 {
            // `CHUNK` is a multiple of every element size, so that no element is cut.
            let now = &mut chunk[..left.min(CHUNK)];
            self.file.read_exact(now).map_err(io)?;
            if !tensor.dtype.extend_f32(now, &mut values) {
                return Err(bad("it holds no floating-point numbers"));
            }
            left -= now.len();
        }
        if tensor.is_contiguous() {
            return Ok(values);
        }
        Ok(tensor.places().into_iter().map(|place| values[place]).collect())
    }
}

fn state_error(path: &Path, fault: StateFault) -> TorchFileError {
    let path = path.into();
    match fault {
        StateFault::Pickle(fault) => TorchFileError::Pickle { path, fault },
        StateFault::NotAStateDict(found) => TorchFileError::NotAStateDict { path, found },
        StateFault::Truncated { len, expected } => TorchFileError::Truncated { path, len, expected },
        StateFault::Tensor { tensor, reason } => TorchFileError::Tensor { path, tensor, reason },
    }
}

/// What a file is that neither container starts.
fn unknown(start: &[u8]) -> &'static str {
    if start.get(TAR_MARK..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        "it is a tar archive, as torch wrote before 0.1.10; save it again with a newer one"
    } else if start.get(8) == Some(&b'{') && start.get(3..8) == Some(&[0; 5]) {
        "it looks like a safetensors file"
    } else {
        "it is neither a zip archive nor the stream of pickles of torch before 1.6"
    }
}

/// Bytes of the numbers that the first entry of an archive speaks of, if that is its pickle and whole: what is known of the length
/// of an archive whose end is lost.
fn least_length(file: &mut File, len: u64) -> Option<u64> {
    let prefix = read_bytes(file, 0, len.min(MAX_PICKLE as u64) as usize).ok()?;
    let size = |at: usize| Some(usize::from(u16::from_le_bytes([*prefix.get(at)?, *prefix.get(at + 1)?])));
    let begin = 30 + size(26)? + size(28)?;
    let pickle = pickle::read(&prefix, begin).ok()?;
    let mut state = StateDict::default();
    state.add_all_storages(&pickle.values);
    let bytes = state.storages.values().map(|storage| storage.elements * storage.dtype.size() as u64);
    Some(bytes.fold(pickle.end as u64, u64::saturating_add))
}

enum PickleOrZip {
    Pickle(PickleFault),
    Zip(ZipError),
}

fn zip_pickle(file: &mut File, len: u64, name: &str, entry: &Entry) -> Result<Vec<u8>, PickleOrZip> {
    if entry.bytes > MAX_PICKLE as u64 {
        return Err(PickleOrZip::Pickle(PickleFault::TooLarge { what: "bytes", limit: MAX_PICKLE }));
    }
    let begin = zip::data(file, len, name, entry).map_err(PickleOrZip::Zip)?;
    read_bytes(file, begin, entry.bytes as usize).map_err(|error| PickleOrZip::Zip(error.into()))
}

fn read_bytes(file: &mut File, begin: u64, len: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
