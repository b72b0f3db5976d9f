//! Pixels as bytes, row by row, between the tensors and the encoders.

use std::io::Error as IoError;
use std::path::Path;

use image::ImageError;
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};
use sfumato_files::write_atomically;

use super::{GridLayout, OutputError, Texts, grid};
use crate::samples::to_byte;

/// Largest picture, in bytes of pixels: far beyond what a viewer shows.
const MAX_BYTES: usize = 1 << 29;

/// An 8-bit picture with interleaved channels, on its way into a PNG file.
///
/// Every function takes a `name` for the picture, usually its path: it is what messages call it.
///
/// # Examples
/// ```
/// use std::path::Path;
///
/// use sfumato_model::picture::{Raster, Texts};
///
/// let name = Path::new("grey.png");
/// let picture = Raster::picture(name, &[0.0; 16], [1, 4, 4])?;
/// let file: Vec<u8> = picture.to_png(name, &Texts::none().with("Title", "A grey square"))?;
/// assert!(file.starts_with(b"\x89PNG"));
/// # Ok::<(), sfumato_model::picture::OutputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1, 3 or 4.
    pub(super) channels: usize,
    pub(super) pixels: Vec<u8>,
}

impl Raster {
    /// One C×H×W picture with values in [-1, 1]; C is 1 (grey), 3 (RGB) or 4 (RGBA).
    ///
    /// # Errors
    /// [`OutputError`] for another number of channels, no pixels, or a slice that does not fit the shape.
    pub fn picture(name: &Path, chw: &[f32], shape: [usize; 3]) -> Result<Self, OutputError> {
        let [c, h, w] = shape;
        check(name, chw.len(), [1, c, h, w])?;
        let mut raster = Self::filled(w, h, c, 0, name)?;
        raster.draw(chw, shape, 0, 0, 1);
        Ok(raster)
    }

    /// N×C×H×W pictures row by row, with lines between them and each pixel enlarged to a square.
    ///
    /// # Errors
    /// As [`picture`](Self::picture), and [`OutputError::TooLarge`].
    pub fn grid(name: &Path, nchw: &[f32], shape: [usize; 4], layout: GridLayout) -> Result<Self, OutputError> {
        grid::grid(name, nchw, shape, layout)
    }

    /// Pixels that are bytes already: `[red, green, blue]` of each, row by row.
    ///
    /// # Errors
    /// [`OutputError::Shape`] if there are not as many as the size says, [`OutputError::Empty`] if there are none.
    pub fn rgb8(name: &Path, [width, height]: [usize; 2], pixels: Vec<u8>) -> Result<Self, OutputError> {
        check(name, pixels.len(), [1, 3, height, width])?;
        Ok(Self { width, height, channels: 3, pixels })
    }

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

    /// The PNG file of the picture, with texts in it.
    ///
    /// # Errors
    /// [`OutputError::Encode`].
    pub fn to_png(&self, name: &Path, texts: &Texts) -> Result<Vec<u8>, OutputError> {
        self.encoded(texts).map_err(|error| {
            let source = ImageError::IoError(IoError::from(error));
            OutputError::Encode { path: name.to_owned(), source }
        })
    }

    fn encoded(&self, texts: &Texts) -> Result<Vec<u8>, EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(match self.channels {
            1 => ColorType::Grayscale,
            3 => ColorType::Rgb,
            _ => ColorType::Rgba,
        });
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Balanced);
        encoder.set_filter(Filter::Adaptive);
        texts.add_to(&mut encoder)?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    /// Writes the PNG file, whole or not at all.
    ///
    /// # Errors
    /// [`OutputError::Encode`], [`OutputError::File`].
    pub fn write_png(&self, path: &Path, texts: &Texts) -> Result<(), OutputError> {
        Ok(write_atomically(path, &self.to_png(path, texts)?)?)
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
