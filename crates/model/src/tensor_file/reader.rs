//! One safetensors file, read tensor by tensor.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{HeaderFault, TensorFileError, TensorInfo, header::Header};
use crate::disguise::{self, OpenError, Opened, WrongFile};

/// What is expected under the name of weights.
pub(super) const EXPECTED: &str = "safetensors file";

/// Longest header that the format's reference implementation accepts.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes read at once: large enough to hide the system call, small enough to stay in cache while converting.
const CHUNK: usize = 1 << 18;

/// An open safetensors file whose header has been checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    data_start: u64,
    header: Header,
}

impl TensorFile {
    /// Opens a file and checks its header; no tensor is read yet.
    ///
    /// # Errors
    /// [`TensorFileError`] if `path` is no readable regular file or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let opened = disguise::open(path, EXPECTED).map_err(|error| opening(path, error))?;
        Self::from_opened(path, opened)
    }

    /// Checks the header of a file that is open.
    pub(super) fn from_opened(path: &Path, opened: Opened) -> Result<Self, TensorFileError> {
        let Opened { mut file, len, start } = opened;
        let fault = |fault| TensorFileError::Header { path: path.into(), fault };
        if let Some(found) = disguise::short_text(&start, len) {
            return Err(WrongFile { path: path.into(), expected: EXPECTED, found }.into());
        }
        let Some(available) = len.checked_sub(8) else {
            return Err(fault(HeaderFault::TooShort { len }));
        };
        let read = |source| TensorFileError::Io { path: path.into(), action: "read", source };
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(read)?;
        let claimed = u64::from_le_bytes(length);
        if claimed > available.min(MAX_HEADER) {
            // A length that is possible, before what looks like a header.
            let truncated = claimed <= MAX_HEADER && start.get(8).is_none_or(|&byte| byte == b'{');
            return Err(fault(if truncated {
                HeaderFault::TruncatedHeader { len, expected: 8 + claimed }
            } else {
                HeaderFault::HeaderLength { claimed, available: available.min(MAX_HEADER) }
            }));
        }
        let mut json = vec![0; claimed as usize];
        file.read_exact(&mut json).map_err(read)?;
        let data_start = 8 + claimed;
        let header = Header::parse(&json, len - data_start).map_err(fault)?;
        Ok(Self { path: path.into(), file, data_start, header })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The free-form `__metadata__` of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.header.tensors
    }

    /// The values of one tensor as `f32`, in row-major order.
    ///
    /// # Errors
    /// [`TensorFileError`] if there is no such tensor, it holds no floats, or the file cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, TensorFileError> {
        let Some(info) = self.header.tensors.get(name) else {
            return Err(TensorFileError::NoSuchTensor { path: self.path.clone(), tensor: name.into() });
        };
        let io = |source| TensorFileError::Io { path: self.path.clone(), action: "read", source };
        self.file.seek(SeekFrom::Start(self.data_start + info.begin)).map_err(io)?;
        let mut values = Vec::with_capacity(info.bytes / info.dtype.size());
        let mut chunk = vec![0; CHUNK.min(info.bytes)];
        let mut left = info.bytes;
        while left > 0 {
            // `CHUNK` is a multiple of every element size, so that no element is cut.
            let now = &mut chunk[..left.min(CHUNK)];
            self.file.read_exact(now).map_err(io)?;
            if !info.dtype.extend_f32(now, &mut values) {
                return Err(TensorFileError::NotFloat { path: self.path.clone(), tensor: name.into() });
            }
            left -= now.len();
        }
        Ok(values)
    }
}

/// What a file that could not be opened means to a reader of weights.
pub(super) fn opening(path: &Path, error: OpenError) -> TensorFileError {
    match error {
        OpenError::Io { action, source } => TensorFileError::Io { path: path.into(), action, source },
        OpenError::Wrong(wrong) => wrong.into(),
    }
}
