//! What can go wrong when files are written, or `.npy` files read.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A picture can have 1, 3 or 4 channels.
    #[error("cannot draw {} with {channels} channels: pictures have 1 (grey), 3 (RGB) or 4 (RGBA); a .npy file holds any number", path.display())]
    Channels {
        /// The picture.
        path: PathBuf,
        /// The number of channels given.
        channels: usize,
    },
    /// The number of values is not the product of the shape.
    #[error("cannot write {}: {values} values for the shape {shape:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The shape given.
        shape: Vec<usize>,
        /// The number of values given.
        values: usize,
    },
    /// A picture, grid or animation without pixels, frames or points.
    #[error("cannot draw {}: there is nothing to draw", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A picture that is too large for its format or for any viewer.
    #[error("cannot draw {}: {width}×{height} pixels are too many, draw fewer pictures or choose a smaller scale", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The encoder refused.
    #[error("cannot encode {}: {source}", path.display())]
    Encode {
        /// The picture.
        path: PathBuf,
        /// The reason.
        source: image::ImageError,
    },
}

impl OutputError {
    /// Closure for `map_err` on file operations.
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> OutputError + 'a {
        move |source| OutputError::Io { action, path: path.to_owned(), source }
    }
}

/// Why a `.npy` file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is no `.npy` file.
    #[error("{} is not a .npy file: {reason}; write one with numpy.save", path.display())]
    NotNpy {
        /// The file.
        path: PathBuf,
        /// What is wrong with its header.
        reason: &'static str,
    },
    /// The array is stored column by column.
    #[error("{} is stored in Fortran order; save np.ascontiguousarray(x)", path.display())]
    FortranOrder {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter or longer than its header says.
    #[error("{} holds {found} bytes of data, but its header announces {expected} (shape {shape:?}); it is truncated or damaged", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The shape in the header.
        shape: Vec<u64>,
        /// Bytes that belong to the shape.
        expected: u128,
        /// Bytes behind the header.
        found: u64,
    },
    /// The array holds values of another type.
    #[error("{} holds values of type {dtype}, expected {expected}; convert with .astype", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The type in NumPy's notation.
        dtype: String,
        /// The type expected.
        expected: &'static str,
    },
    /// The array does not fit into memory.
    #[error("{} holds {bytes} bytes, more than there is memory for", path.display())]
    OutOfMemory {
        /// The file.
        path: PathBuf,
        /// Size of the array.
        bytes: u64,
    },
}
