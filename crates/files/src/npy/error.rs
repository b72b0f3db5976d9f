//! What can go wrong with `.npy` files.

use std::io;
use std::path::PathBuf;

use crate::FileError;

/// Why a `.npy` file could not be read or written.
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
    /// An array could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The number of values to write is not the product of the shape.
    #[error("cannot write {}: {values} values for the shape {shape:?}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// The shape given.
        shape: Vec<usize>,
        /// The number of values given.
        values: usize,
    },
}
