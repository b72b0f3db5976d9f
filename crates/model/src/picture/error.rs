//! What can go wrong when pictures are written.

use std::path::PathBuf;

use sfumato_files::FileError;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
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
