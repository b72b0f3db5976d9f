//! Bringing pictures of a fixed-size data set to another size or number of channels.

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, RgbImage};
use rayon::prelude::*;
use sfumato_files::memory;

use super::{DataError, ImageSize, LoadOptions, Resizing};

/// How pictures are resized, in words.
pub(super) const FILTER: &str = "Lanczos filter of 3 lobes";

/// Pictures as they come from a file: `u8`, N×C×H×W with C 1 or 3.
pub(super) struct Pictures {
    pub(super) values: Vec<u8>,
    /// `[channels, height, width]`.
    pub(super) shape: [usize; 3],
}

/// What a larger size than the data set's own means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enlarge {
    /// Black all around: the pixels stay the published ones. For pictures on black, as MNIST's.
    Pad,
    /// Interpolation.
    Resize,
}

/// Brings pictures to the size and channels that the options ask for.
///
/// - Smaller, or larger with [`Enlarge::Resize`]: the largest centred part of the wanted shape is resized with a Lanczos filter (windowed
///   over 3 lobes and widened with the scale, so that shrinking does not alias).
/// - Larger with [`Enlarge::Pad`]: black around the centred picture (28 to 32 adds 2 pixels on each side).
/// - Grey to RGB repeats the channel; RGB to grey takes the luma of BT.709, `0.2126 R + 0.7152 G + 0.0722 B`.
pub(super) fn fit(
    pictures: Pictures,
    dataset: &str,
    options: &LoadOptions,
    enlarge: Enlarge,
) -> Result<(Pictures, Option<Resizing>), DataError> {
    let fit = Fit::new(pictures.shape, dataset, options, enlarge)?;
    let count = pictures.values.len() / pictures.shape.iter().product::<usize>();
    let mut values = pictures.values;
    if !fit.is_nothing() {
        let given = values;
        values = fit.room(count, dataset)?;
        fit.extend(&given, &mut values);
    }
    Ok((Pictures { values, shape: fit.shape() }, fit.resizing(count)))
}

/// What is to be done with each picture of a set.
pub(super) struct Fit {
    from: [usize; 3],
    channels: usize,
    size: ImageSize,
    padded: bool,
}

impl Fit {
    /// Of pictures of the shape `from`, for the size and channels that the options ask for.
    pub(super) fn new(
        from: [usize; 3],
        dataset: &str,
        options: &LoadOptions,
        enlarge: Enlarge,
    ) -> Result<Fit, DataError> {
        let [c, h, w] = from;
        let size = options.image_size.unwrap_or(ImageSize { height: h, width: w });
        let channels = checked_channels(options.channels, dataset)?.unwrap_or(c);
        checked_size(options.image_size, dataset)?;
        let padded = enlarge == Enlarge::Pad && size.height >= h && size.width >= w;
        Ok(Fit { from, channels, size, padded })
    }

    /// The shape that they get.
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.channels, self.size.height, self.size.width]
    }

    /// Whether they stay as they are.
    fn is_nothing(&self) -> bool {
        self.shape() == self.from
    }

    /// Room for so many of them.
    pub(super) fn room(&self, count: usize, dataset: &str) -> Result<Vec<u8>, DataError> {
        let shape = [&[count], &self.shape()[..]].concat().iter().map(|&n| n as u64).collect::<Vec<_>>();
        let values = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
        values.and_then(memory::reserve).ok_or_else(|| DataError::BadSize { path: dataset.into(), shape })
    }

    /// Appends what becomes of `pictures`.
    pub(super) fn extend(&self, pictures: &[u8], values: &mut Vec<u8>) {
        if self.is_nothing() {
            return values.extend(pictures);
        }
        let [c, h, w] = self.from;
        let (channels, size) = (self.channels, self.size);
        let (old, new) = (c * h * w, self.shape().iter().product::<usize>());
        let start = values.len();
        values.resize(start + pictures.len() / old * new, 0);
        values[start..].par_chunks_mut(new).zip(pictures.par_chunks(old)).for_each(|(out, picture)| {
            let picture = to_channels(picture, h * w, channels);
            if size == (ImageSize { height: h, width: w }) {
                out.copy_from_slice(&picture);
            } else if self.padded {
                pad(&picture, [channels, h, w], size, out);
            } else {
                write_chw(&resize(crop(from_chw(&picture, [channels, h, w]), size), size), out);
            }
        });
    }

    /// What is done with `count` of them, in words; none if they keep their size.
    pub(super) fn resizing(&self, count: usize) -> Option<Resizing> {
        let [_, height, width] = self.from;
        let method = if self.padded { "black border" } else { FILTER };
        let one = Resizing::of(&[ImageSize { height, width }], self.size, method)?;
        Some(Resizing { pictures: one.pictures * count, of: count, cut: one.cut * count, ..one })
    }
}

/// The option `channels`, if it is 1 or 3.
pub(super) fn checked_channels(channels: Option<usize>, dataset: &str) -> Result<Option<usize>, DataError> {
    match channels {
        None | Some(1 | 3) => Ok(channels),
        Some(channels) => Err(DataError::Channels {
            dataset: dataset.to_owned(),
            channels,
            reason: "pictures have 1 (grey) or 3 (RGB)",
        }),
    }
}

/// The option `image_size`, if it is a sensible number of pixels.
pub(super) fn checked_size(size: Option<ImageSize>, dataset: &str) -> Result<Option<ImageSize>, DataError> {
    match size {
        Some(size) if !size.is_possible() => {
            Err(DataError::ImageSize { dataset: dataset.to_owned(), size, reason: "expected 1 to 4096 pixels a side" })
        }
        _ => Ok(size),
    }
}

/// Height and width of the largest part of a picture that has the shape of `to`.
pub(super) fn largest_part(from: ImageSize, to: ImageSize) -> ImageSize {
    let (wide, high) = ((from.width * to.height) as u64, (from.height * to.width) as u64);
    // Rounded to the nearest pixel, and at least one of them.
    let scaled = |side: usize, part: usize, whole: usize| ((side * part + whole / 2) / whole).clamp(1, usize::MAX);
    match wide.cmp(&high) {
        std::cmp::Ordering::Equal => from,
        std::cmp::Ordering::Greater => {
            ImageSize { height: from.height, width: scaled(from.height, to.width, to.height).min(from.width) }
        }
        std::cmp::Ordering::Less => {
            ImageSize { height: scaled(from.width, to.height, to.width).min(from.height), width: from.width }
        }
    }
}

/// The largest centred part of a picture that has the shape of `to`.
///
/// Cropping and then resizing equals resizing and then cropping, save for the last few pixels of the filter at the cut; but a
/// panorama a million pixels long never becomes a million pixels long.
pub(super) fn crop(picture: DynamicImage, to: ImageSize) -> DynamicImage {
    let (w, h) = (picture.width(), picture.height());
    let part = largest_part(ImageSize { height: h as usize, width: w as usize }, to);
    let (width, height) = (part.width as u32, part.height as u32);
    if (width, height) == (w, h) {
        return picture;
    }
    picture.crop_imm((w - width) / 2, (h - height) / 2, width, height)
}

/// A picture of another size.
pub(super) fn resize(picture: DynamicImage, to: ImageSize) -> DynamicImage {
    // Sizes are at most 4096 pixels a side.
    let (width, height) = (to.width as u32, to.height as u32);
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    match picture {
        DynamicImage::ImageLuma8(image) => {
            DynamicImage::ImageLuma8(imageops::resize(&image, width, height, FilterType::Lanczos3))
        }
        image => {
            let factor = (image.width() / (3 * width)).min(image.height() / (3 * height));
            let image = reduce(image.into_rgb8(), factor);
            DynamicImage::ImageRgb8(imageops::resize(&image, width, height, FilterType::Lanczos3))
        }
    }
}

/// Averages squares of `factor`×`factor` pixels; the pixels of the edges that fill no square are left out.
///
/// Takes the bulk out of shrinking a photograph: what is left is a factor of at least 3 for the filter, at which the
/// result can hardly be told from filtering alone, many times faster.
fn reduce(image: RgbImage, factor: u32) -> RgbImage {
    if factor < 2 {
        return image;
    }
    let (w, h) = (image.width() / factor, image.height() / factor);
    let (left, top) = ((image.width() - w * factor) / 2, (image.height() - h * factor) / 2);
    let pixels = factor * factor;
    let mut reduced = RgbImage::new(w, h);
    let mut sums = vec![[0u32; 3]; w as usize];
    for (y, row) in reduced.rows_mut().enumerate() {
        sums.fill([0; 3]);
        for from in 0..factor {
            let start = ((top + y as u32 * factor + from) * image.width() + left) as usize * 3;
            let line = &image.as_raw()[start..start + (w * factor) as usize * 3];
            for (sum, square) in sums.iter_mut().zip(line.chunks_exact(3 * factor as usize)) {
                for pixel in square.chunks_exact(3) {
                    for channel in 0..3 {
                        sum[channel] += u32::from(pixel[channel]);
                    }
                }
            }
        }
        for (pixel, sum) in row.zip(&sums) {
            pixel.0 = sum.map(|sum| ((sum + pixels / 2) / pixels) as u8);
        }
    }
    reduced
}

/// Writes a grey or RGB picture in C×H×W order.
pub(super) fn write_chw(picture: &DynamicImage, out: &mut [u8]) {
    match picture {
        DynamicImage::ImageLuma8(image) => out.copy_from_slice(image),
        image => {
            let image = image.to_rgb8();
            let plane = out.len() / 3;
            for (i, pixel) in image.pixels().enumerate() {
                for channel in 0..3 {
                    out[channel * plane + i] = pixel[channel];
                }
            }
        }
    }
}

/// BT.709 luma of one RGB pixel, rounded to the nearest level; a grey pixel keeps its level.
pub(super) fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) + 5000) / 10_000) as u8
}

fn to_channels(picture: &[u8], plane: usize, channels: usize) -> Vec<u8> {
    match (picture.len() / plane, channels) {
        (1, 3) => picture.repeat(3),
        (3, 1) => (0..plane).map(|i| luma([picture[i], picture[plane + i], picture[2 * plane + i]])).collect(),
        _ => picture.to_vec(),
    }
}

fn from_chw(picture: &[u8], [channels, h, w]: [usize; 3]) -> DynamicImage {
    let reason = "a slice of channels·h·w bytes is an image";
    let (width, height) = (w as u32, h as u32);
    if channels == 1 {
        return DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, picture.to_vec()).expect(reason));
    }
    let plane = h * w;
    let interleaved = (0..plane).flat_map(|i| [0, 1, 2].map(|channel| picture[channel * plane + i])).collect();
    DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, interleaved).expect(reason))
}

fn pad(picture: &[u8], [channels, h, w]: [usize; 3], size: ImageSize, out: &mut [u8]) {
    let (top, left) = ((size.height - h) / 2, (size.width - w) / 2);
    for channel in 0..channels {
        for y in 0..h {
            let from = (channel * h + y) * w;
            let to = (channel * size.height + top + y) * size.width + left;
            out[to..to + w].copy_from_slice(&picture[from..from + w]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        values: Vec<u8>,
        shape: [usize; 3],
        size: Option<usize>,
        channels: Option<usize>,
        enlarge: Enlarge,
    ) -> Pictures {
        let options = LoadOptions { image_size: size.map(ImageSize::square), channels, ..LoadOptions::default() };
        fit(Pictures { values, shape }, "test", &options, enlarge).unwrap().0
    }

    #[test]
    fn padding_puts_the_untouched_picture_in_the_middle_of_black() {
        let values: Vec<u8> = (1..=2 * 6).collect();
        let fitted = run(values, [1, 2, 3], Some(5), None, Enlarge::Pad);
        assert_eq!(fitted.shape, [1, 5, 5]);
        #[rustfmt::skip]
        assert_eq!(fitted.values[25..], [
            0, 0, 0, 0, 0,
            0, 7, 8, 9, 0,
            0, 10, 11, 12, 0,
            0, 0, 0, 0, 0,
            0, 0, 0, 0, 0,
        ]);
    }

    #[test]
    fn channels_are_repeated_or_mixed_and_grey_survives_both_ways() {
        let grey: Vec<u8> = (0..=255).collect();
        let rgb = run(grey.clone(), [1, 16, 16], None, Some(3), Enlarge::Pad);
        assert_eq!((rgb.shape, &rgb.values[..256], &rgb.values[512..]), ([3, 16, 16], &grey[..], &grey[..]));
        let back = run(rgb.values, [3, 16, 16], None, Some(1), Enlarge::Pad);
        assert_eq!((back.shape, back.values), ([1, 16, 16], grey));
        assert_eq!([luma([255, 0, 0]), luma([0, 255, 0]), luma([0, 0, 255])], [54, 182, 18]);
    }

    #[test]
    fn resizing_keeps_flat_pictures_flat_and_takes_the_centre() {
        // Columns: 50, then a square of 100, then 200; the centre square is all 100.
        let row = [vec![50u8; 4], vec![100; 8], vec![200; 4]].concat();
        for size in [3, 8, 11] {
            let fitted = run(row.repeat(8), [1, 8, 16], Some(size), None, Enlarge::Resize);
            assert_eq!((fitted.shape, fitted.values), ([1, size, size], vec![100; size * size]));
        }
        let red = run([vec![200u8; 16], vec![7; 16], vec![9; 16]].concat(), [3, 4, 4], Some(2), None, Enlarge::Resize);
        assert_eq!(red.values, [200, 200, 200, 200, 7, 7, 7, 7, 9, 9, 9, 9]);
    }

    #[test]
    fn shrinking_averages_instead_of_picking_pixels() {
        // A one-pixel checkerboard has mean 127.5; picking every fourth pixel would give all 0 or all 255.
        let board: Vec<u8> = (0..32 * 32).map(|i| if (i / 32 + i) % 2 == 0 { 255 } else { 0 }).collect();
        let fitted = run(board, [1, 32, 32], Some(8), None, Enlarge::Pad);
        assert!(fitted.values.iter().all(|v| (110..=145).contains(v)), "{:?}", fitted.values);
    }

    #[test]
    fn a_large_picture_is_shrunk_as_the_filter_alone_would() {
        // Waves down to a wavelength of 12 output pixels. Where the factor does not divide the size, the edges left out
        // move a pixel by up to a tenth of the distance to its neighbour.
        let wave = |x: u32, length: f64| (60.0 * (f64::from(x) * std::f64::consts::TAU / length).sin() + 128.0) as u8;
        for (side, tolerance) in [(1000, 2), (1003, 6)] {
            let image =
                RgbImage::from_fn(side, side, |x, y| image::Rgb([wave(x, 400.0), wave(y, 250.0), wave(x + y, 300.0)]));
            let fast = resize(DynamicImage::ImageRgb8(image.clone()), ImageSize::square(60)).into_rgb8();
            let exact = imageops::resize(&image, 60, 60, FilterType::Lanczos3);
            let worst = fast.iter().zip(exact.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= tolerance, "{side}: {worst}");
        }
        let flat = RgbImage::from_pixel(1003, 1003, image::Rgb([1, 128, 255]));
        assert!(
            resize(DynamicImage::ImageRgb8(flat), ImageSize::square(60))
                .into_rgb8()
                .pixels()
                .all(|pixel| pixel.0 == [1, 128, 255])
        );
    }

    #[test]
    fn rectangles_are_cut_to_their_shape_and_the_rest_is_told() {
        let size = |height, width| ImageSize { height, width };
        for (from, to, part) in [
            ((32, 64), (16, 32), (32, 64)),
            ((32, 64), (16, 16), (32, 32)),
            ((64, 32), (16, 32), (16, 32)),
            ((1, 500), (16, 16), (1, 1)),
            ((500, 1), (1, 4096), (1, 1)),
            ((10, 15), (64, 64), (10, 10)),
            ((100, 100), (3, 4), (75, 100)),
            ((65_536, 65_536), (4096, 1), (65_536, 16)),
        ] {
            let (from, to) = (size(from.0, from.1), size(to.0, to.1));
            assert_eq!(largest_part(from, to), size(part.0, part.1), "{from} to {to}");
        }
        // Rows of 10, then of 20, then of 30: a wide picture keeps the middle.
        let values = [vec![10u8; 8 * 4], vec![20; 8 * 8], vec![30; 8 * 4]].concat();
        let options = LoadOptions { image_size: Some(size(4, 8)), ..LoadOptions::default() };
        let pictures = Pictures { values: values.repeat(2), shape: [1, 16, 8] };
        let (fitted, resizing) = fit(pictures, "test", &options, Enlarge::Resize).unwrap();
        assert_eq!((fitted.shape, fitted.values), ([1, 4, 8], vec![20; 2 * 32]));
        let resizing = resizing.unwrap();
        assert_eq!((resizing.pictures, resizing.of, resizing.largest_cut), (2, 2, 0.75));
        assert!(resizing.to_string().contains("2 of 2 pictures resized from 16x8 to 4x8"), "{resizing}");
    }

    #[test]
    fn impossible_options_are_refused() {
        for (size, channels) in [(Some(0), None), (Some(5000), None), (None, Some(2)), (None, Some(4))] {
            let options = LoadOptions { image_size: size.map(ImageSize::square), channels, ..LoadOptions::default() };
            let pictures = Pictures { values: vec![0; 4], shape: [1, 2, 2] };
            let error = fit(pictures, "cifar10", &options, Enlarge::Resize).err().unwrap();
            assert!(error.to_string().contains("cifar10"), "{error}");
        }
    }
}
