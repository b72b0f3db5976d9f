//! Pictures of samples: PNG files, grids, scatter plots, animations.
//!
//! Files are [written whole or not at all](sfumato_files::write_atomically). Pixels are `f32` in [-1, 1], N×C×H×W or C×H×W, and
//! become bytes by `round(127.5·(x + 1))` clamped to 0..=255: the exact inverse of `k/127.5 - 1`.
//!
//! A PNG file can say how it was made: [`Texts`] are written into it, and [`read_png`] reads those of any file.
//!
//! # Examples
//! ```
//! use sfumato_model::picture::{GridLayout, Texts, read_png, write_grid, write_png};
//!
//! let folder = tempfile::tempdir()?;
//! // Six grey pictures of 4×4 pixels, from black to white.
//! let samples: Vec<f32> = (0..6).flat_map(|n| vec![n as f32 / 2.5 - 1.0; 16]).collect();
//! write_grid(&folder.path().join("grid.png"), &samples, [6, 1, 4, 4], GridLayout::default(), &Texts::none())?;
//! let path = folder.path().join("0000.png");
//! write_png(&path, &samples[..16], [1, 4, 4], &Texts::none().with("Title", "Black"))?;
//! assert_eq!(read_png(&path)?.texts[0].text.as_deref(), Ok("Black"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod gif;
mod grid;
mod of;
mod raster;
mod read;
mod scatter;
mod texts;

pub use error::OutputError;
pub use gif::{LAST_FRAME, write_gif};
pub use grid::{GridLayout, write_grid, write_png};
pub use of::{Picture, picture_kind, write_picture};
pub use raster::Raster;
pub use read::{PngError, PngFile, PngText, is_png, read_png};
pub use scatter::write_scatter;
pub use texts::{RECORD, SOFTWARE, Texts};
