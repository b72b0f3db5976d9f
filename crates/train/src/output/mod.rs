//! Files that people and other programs look at: arrays, pictures, animations, scatter plots.
//!
//! Everything is written to a temporary file beside the target and renamed when it is whole, so that no reader ever
//! sees half a file and an interrupted run leaves the previous one. Pixels are `f32` in [-1, 1], N×C×H×W or C×H×W, and
//! become bytes by `round(127.5·(x + 1))` clamped to 0..=255: the exact inverse of `k/127.5 - 1`.
//!
//! # Examples
//! ```
//! use sfumato_train::output::{GridLayout, read_npy_f32, write_grid, write_npy_f32, write_png};
//!
//! let folder = tempfile::tempdir()?;
//! // Six grey pictures of 4×4 pixels, from black to white.
//! let samples: Vec<f32> = (0..6).flat_map(|n| vec![n as f32 / 2.5 - 1.0; 16]).collect();
//! write_grid(&folder.path().join("grid.png"), &samples, [6, 1, 4, 4], GridLayout::default())?;
//! write_png(&folder.path().join("0000.png"), &samples[..16], [1, 4, 4])?;
//!
//! let path = folder.path().join("samples.npy");
//! write_npy_f32(&path, &[6, 1, 4, 4], &samples)?;
//! assert_eq!(read_npy_f32(&path)?, (vec![6, 1, 4, 4], samples));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod error;
mod gif;
mod npy;
mod npy_header;
mod picture;
mod raster;
mod scatter;

pub use atomic::{check_writable, write_atomically};
pub use error::{NpyError, OutputError};
pub use gif::{LAST_FRAME, write_gif};
pub use npy::{NpyReader, NpyType, read_npy_f32, write_npy_f32};
pub use picture::{GridLayout, write_grid, write_png};
pub use scatter::write_scatter;
