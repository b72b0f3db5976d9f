//! Files: what others wrote is read within limits, what is ours is written whole or not at all.
//!
//! | item | what it does |
//! | --- | --- |
//! | [`open_regular`], [`read_bytes`], [`read_text`] | open files, and refuse pipes, devices and what is too long |
//! | [`write_atomically`], [`write_durably`], [`check_writable`] | replace a file by a whole one |
//! | [`NpyReader`], [`read_npy_f32`], [`write_npy_f32`] | NumPy arrays |
//! | [`file_sha256`], [`files_sha256`], [`bytes_sha256`], [`hex`] | checksums by which a file can be told from another |
//! | [`memory`] | how much memory there is |
//!
//! # Example
//! ```
//! use sfumato_files::{read_npy_f32, write_npy_f32};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("samples.npy");
//! write_npy_f32(&path, &[2, 3], &[0.0, 0.5, 1.0, -1.0, -0.5, 0.25])?;
//! assert_eq!(read_npy_f32(&path)?.0, [2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod atomic;
mod checksum;
mod error;
pub mod memory;
mod npy;
mod open;

pub use atomic::{TEMPORARY, check_writable, write_atomically, write_durably};
pub use checksum::{bytes_sha256, file_sha256, files_sha256, hex};
pub use error::FileError;
pub use npy::{NpyError, NpyReader, NpyType, read_npy_f32, write_npy_f32};
pub use open::{LONGEST_TEXT, open_regular, read_bytes, read_text};
