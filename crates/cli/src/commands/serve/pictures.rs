//! Samples as PNG files in memory.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use sfumato_model::{Samples, picture::Raster};

use super::job::Png;
use crate::provenance::Provenance;

/// Every sample of a job as the file that `sample` writes of it: `made` says what made one of them.
///
/// # Errors
/// If one cannot be encoded.
pub(super) fn whole(values: &[f32], shape: [usize; 3], made: impl Fn(usize) -> Provenance) -> Result<Vec<Png>> {
    let size = shape.iter().product();
    let file = |(i, sample): (usize, &[f32])| {
        let (name, [_, height, width]) = (PathBuf::from(format!("{i}.png")), shape);
        let picture = Raster::picture(&name, sample, shape)?;
        Ok(picture.to_png(&name, &made(i).texts(Some([height, width])))?.into())
    };
    values.chunks_exact(size).enumerate().map(file).collect()
}

/// Every sample as a small file to look at: pictures with a side above `most` pixels are made smaller by a whole factor.
///
/// # Errors
/// If one cannot be encoded.
pub(super) fn looks(values: &[f32], shape: [usize; 3], most: usize) -> Result<Arc<[Png]>> {
    let [channels, height, width] = shape;
    let factor = height.max(width).div_ceil(most);
    let small = [channels, height / factor, width / factor].map(|side| side.max(1));
    let means =
        values.chunks_exact(channels * height * width).flat_map(|picture| shrunk(picture, shape, small, factor));
    let samples = Samples::new(&small, if factor == 1 { values.to_vec() } else { means.collect() });
    (0..samples.len()).map(|i| fast_png(&samples.to_bytes(i)?, small)).collect()
}

/// The means of squares of `factor` pixels a side.
fn shrunk(picture: &[f32], [_, height, width]: [usize; 3], small: [usize; 3], factor: usize) -> Vec<f32> {
    let [channels, rows, columns] = small;
    let mut means = Vec::with_capacity(channels * rows * columns);
    for c in 0..channels {
        for row in 0..rows {
            for column in 0..columns {
                let (top, left) = (row * factor, column * factor);
                let (bottom, right) = ((top + factor).min(height), (left + factor).min(width));
                let line = |y: usize| &picture[(c * height + y) * width + left..(c * height + y) * width + right];
                let sum: f32 = (top..bottom).flat_map(line).sum();
                means.push(sum / ((bottom - top) * (right - left)) as f32);
            }
        }
    }
    means
}

/// A file that is made quickly, and says nothing of itself.
fn fast_png(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Result<Png> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width.try_into()?, height.try_into()?);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().context("cannot encode a picture")?;
    writer.write_image_data(pixels).context("cannot encode a picture")?;
    writer.finish().context("cannot encode a picture")?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_looked_at_in_small() {
        // Two grey pictures of 3×5: black, and white in its left half.
        let mut values = vec![-1.0; 15];
        values.extend((0..15).map(|i| if i % 5 < 2 { 1.0 } else { -1.0 }));
        let small = looks(&values, [1, 3, 5], 3).unwrap();
        let of = |file: &Png| image::load_from_memory(file).unwrap().into_luma8();
        assert_eq!((of(&small[0]).dimensions(), of(&small[0]).into_raw()), ((2, 1), vec![0, 0]));
        assert_eq!(of(&small[1]).into_raw(), [255, 0]);
        let same = looks(&values, [1, 3, 5], 5).unwrap();
        assert_eq!(of(&same[1]).dimensions(), (5, 3));
    }
}
