//! Pixels as bytes, row by row, between the tensors and the encoders.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use sfumato_files::write_atomically;

use super::OutputError;
use crate::samples::to_byte;

/// Largest picture, in bytes of pixels: far beyond what a viewer shows.
const MAX_BYTES: usize = 1 << 29;

/// An 8-bit picture with interleaved channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1, 3 or 4.
    pub(super) channels: usize,
    pub(super) pixels: Vec<u8>,
}

impl Raster {
    /// A picture of one colour in all channels.
    pub(super) fn filled(
        width: usize,
        height: usize,
        channels: usize,
        level: u8,
        path: &Path,
    ) -> Result<Raster, OutputError> {
        let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels));
        match bytes.filter(|bytes| *bytes <= MAX_BYTES) {
            Some(bytes) => Ok(Raster { width, height, channels, pixels: vec![level; bytes] }),
            None => Err(OutputError::TooLarge { path: path.to_owned(), width, height }),
        }
    }

    /// Draws a C×H×W picture in [-1, 1] with its corner at `(left, top)`, every pixel as a `scale`×`scale` square.
    pub(super) fn draw(&mut self, chw: &[f32], [c, h, w]: [usize; 3], left: usize, top: usize, scale: usize) {
        for y in 0..h * scale {
            let row = (top + y) * self.width + left;
            for x in 0..w * scale {
                let from = (y / scale) * w + x / scale;
                for channel in 0..c {
                    self.pixels[(row + x) * c + channel] = to_byte(chw[channel * h * w + from]);
                }
            }
        }
    }

    pub(super) fn write_png(&self, path: &Path) -> Result<(), OutputError> {
        let color = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        let mut bytes = Cursor::new(Vec::new());
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
            .write_image(&self.pixels, self.width as u32, self.height as u32, color)
            .map_err(|source| OutputError::Encode { path: path.to_owned(), source })?;
        Ok(write_atomically(path, bytes.get_ref())?)
    }
}

/// Checks that `values` is a batch of pictures that can be drawn.
pub(super) fn check(path: &Path, values: usize, shape: [usize; 4]) -> Result<(), OutputError> {
    let path = || path.to_owned();
    if !matches!(shape[1], 1 | 3 | 4) {
        return Err(OutputError::Channels { path: path(), channels: shape[1] });
    }
    if shape.contains(&0) {
        return Err(OutputError::Empty { path: path() });
    }
    if shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n)) != Some(values) {
        return Err(OutputError::Shape { path: path(), shape: shape.to_vec(), values });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_everything_else_is_clamped() {
        for k in 0..=255u8 {
            let exact = (f64::from(k) / 127.5 - 1.0) as f32;
            assert_eq!([to_byte(exact), to_byte(exact + 0.003), to_byte(exact - 0.003)], [k; 3]);
        }
        assert_eq!([-1.5, -1e9, f32::NEG_INFINITY, f32::NAN].map(to_byte), [0; 4]);
        assert_eq!([1.5, 1e9, f32::INFINITY].map(to_byte), [255; 3]);
    }
}
