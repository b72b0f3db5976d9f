//! Samples on the host: floats, bytes, files.

use std::path::Path;

use sfumato_files::{NpyError, write_npy_f32};

use crate::ModelError;

/// Samples of a model, one after the other: `[count, channels, height, width]` for images in [-1, 1], `[count, D]` for points.
///
/// # Examples
/// ```
/// use sfumato_model::Samples;
///
/// // Two grey pictures of 1×2 pixels.
/// let samples = Samples::new(&[1, 1, 2], vec![-1.0, 1.0, 0.0, 0.5]);
/// assert_eq!((samples.len(), samples.shape()), (2, vec![2, 1, 1, 2]));
/// assert_eq!(samples.to_bytes(0)?, [0, 255]);
/// assert_eq!(samples.to_rgb8(1)?, [128, 128, 128, 191, 191, 191]);
/// # Ok::<(), sfumato_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Shape of one.
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Samples {
    /// Samples of `shape` each (without their number), one after the other in `values`.
    ///
    /// # Panics
    /// If the values are not those of a whole number of samples.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Self {
        let size: usize = shape.iter().product();
        assert!(size > 0 && values.len().is_multiple_of(size), "{} values of samples of {shape:?}", values.len());
        Self { shape: shape.to_vec(), values }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len() / self.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Shape of all: the number of samples, then the shape of one.
    pub fn shape(&self) -> Vec<usize> {
        std::iter::once(self.len()).chain(self.shape.iter().copied()).collect()
    }

    /// Shape of one sample: `[channels, height, width]` of an image.
    pub fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    /// All values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same without the shape.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The values of sample `i`, from 0, in row-major order: channel by channel of an image.
    ///
    /// # Errors
    /// [`ModelError::NoSample`] if there are not so many.
    pub fn sample(&self, i: usize) -> Result<&[f32], ModelError> {
        let error = ModelError::NoSample { index: i, count: self.len() };
        self.values.chunks_exact(self.size()).nth(i).ok_or(error)
    }

    /// Image `i` as bytes, pixel by pixel and row by row, with the channels side by side: `round(127.5·(x + 1))`, clamped.
    ///
    /// # Errors
    /// [`ModelError::NoSample`], [`ModelError::NoPicture`] for samples that are no images.
    pub fn to_bytes(&self, i: usize) -> Result<Vec<u8>, ModelError> {
        let [channels, pixels] = self.picture()?;
        let values = self.sample(i)?;
        Ok((0..pixels * channels).map(|at| to_byte(values[at % channels * pixels + at / channels])).collect())
    }

    /// Image `i` as RGB bytes, three for each pixel: grey is repeated, opacity is left out.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn to_rgb8(&self, i: usize) -> Result<Vec<u8>, ModelError> {
        let [channels, _] = self.picture()?;
        let rgb = |pixel: &[u8]| match *pixel {
            [r, g, b, ..] => [r, g, b],
            _ => [pixel[0]; 3],
        };
        Ok(self.to_bytes(i)?.chunks_exact(channels).flat_map(rgb).collect())
    }

    /// Writes all values as a NumPy array of `float32`.
    ///
    /// # Errors
    /// [`NpyError`] if the file cannot be written.
    pub fn write_npy(&self, path: &Path) -> Result<(), NpyError> {
        write_npy_f32(path, &self.shape(), &self.values)
    }

    /// Number of values of one.
    fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Channels and pixels of an image.
    fn picture(&self) -> Result<[usize; 2], ModelError> {
        match self.shape[..] {
            [channels @ (1 | 3 | 4), height, width] => Ok([channels, height * width]),
            _ => Err(ModelError::NoPicture { shape: self.shape.clone() }),
        }
    }
}

#[cfg(feature = "pictures")]
impl Samples {
    /// Writes image `i` as a PNG file.
    ///
    /// # Errors
    /// [`OutputError`](crate::picture::OutputError) for samples that are no images or not there, and if the file cannot be written.
    pub fn write_png(&self, i: usize, path: &Path) -> Result<(), crate::picture::OutputError> {
        let shape = <[usize; 3]>::try_from(&self.shape[..]).unwrap_or([0; 3]);
        crate::picture::write_png(path, self.sample(i).unwrap_or_default(), shape, &crate::picture::Texts::none())
    }

    /// Draws all samples in one PNG file: images in a grid, points of the plane as a scatter plot.
    ///
    /// # Errors
    /// [`OutputError`](crate::picture::OutputError) if the file cannot be written.
    pub fn write_picture(&self, path: &Path) -> Result<crate::picture::Picture, crate::picture::OutputError> {
        crate::picture::write_picture(path, &self.shape, &self.values, 0, None, &crate::picture::Texts::none())
    }
}

/// `round(127.5·(x + 1))`, clamped; not-a-number becomes 0.
pub(crate) fn to_byte(x: f32) -> u8 {
    // In f64, so that no value lands on the wrong side of a half. The cast saturates.
    ((f64::from(x) + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_side_by_side_whatever_the_channels() {
        let at = |k: u8| f32::from(k) / 127.5 - 1.0;
        let shape = [4, 1, 2];
        let samples = Samples::new(&shape, (0..16).map(|i| at(i * 10)).collect());
        assert_eq!(samples.to_bytes(1).unwrap(), [80, 100, 120, 140, 90, 110, 130, 150]);
        assert_eq!(samples.to_rgb8(1).unwrap(), [80, 100, 120, 90, 110, 130]);
        assert_eq!(samples.sample(1).unwrap(), &samples.values()[8..]);
        assert!(matches!(samples.to_bytes(2), Err(ModelError::NoSample { index: 2, count: 2 })));
        let points = Samples::new(&[2], vec![0.0; 6]);
        assert_eq!(points.shape(), [3, 2]);
        assert!(matches!(points.to_rgb8(0), Err(ModelError::NoPicture { .. })));
        let clamped = Samples::new(&[1, 1, 3], vec![-7.0, 7.0, f32::NAN]);
        assert_eq!(clamped.to_bytes(0).unwrap(), [0, 255, 0]);
    }
}
