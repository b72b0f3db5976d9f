//! One PNG or JPEG file to the pixels of a square picture.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use super::fit::{square, write_chw};

/// Limits against decompression bombs: a few kilobytes of PNG can announce terabytes of pixels.
const MAX_SIDE: u32 = 1 << 16;
const MAX_BYTES: u64 = 1 << 29;

/// What is known of a decoded picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoded {
    /// Whether red, green and blue are equal in every pixel.
    pub(super) grey: bool,
}

/// Width and height that the file's header states.
pub(super) fn dimensions(path: &Path) -> Result<(u32, u32), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let (reader, _) = reader(BufReader::new(file))?;
    reader.into_dimensions().map_err(|error| error.to_string())
}

/// Decodes a picture, turns it upright by its Exif orientation, lays it on white where it is transparent, and writes its
/// largest centred square, resized to `size`, to `out` as 3×size×size RGB.
pub(super) fn picture(path: &Path, size: usize, out: &mut [u8]) -> Result<Decoded, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let (reader, format) = reader(Cursor::new(&bytes))?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        return Err("the JPEG is truncated".to_owned());
    }
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    // `into_decoder` holds the decoder to the limits, but not the buffer for its result.
    if decoder.total_bytes() > MAX_BYTES {
        let (w, h) = decoder.dimensions();
        return Err(format!("{w}×{h} pixels exceed the limit of {} MiB", MAX_BYTES >> 20));
    }
    // Damaged metadata is no reason to lose the picture.
    let orientation = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err("it has no pixels".to_owned());
    }
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    write_chw(&square(DynamicImage::ImageRgb8(on_white(picture)), size), out);
    let (red, rest) = out.split_at(size * size);
    let (green, blue) = rest.split_at(size * size);
    Ok(Decoded { grey: red == green && green == blue })
}

fn reader<R: BufRead + Seek>(data: R) -> Result<(ImageReader<R>, ImageFormat), String> {
    // The content decides, not the extension: downloads often have the wrong one.
    let mut reader = ImageReader::new(data).with_guessed_format().map_err(|error| error.to_string())?;
    let format = match reader.format() {
        Some(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Some(other) => return Err(format!("it is {other:?}, expected PNG or JPEG")),
        None => return Err("it is neither PNG nor JPEG".to_owned()),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    Ok((reader, format))
}

/// Whether an end marker follows the last scan. The decoder is lenient and paints what is missing grey, which a model
/// would learn. The two markers cannot occur within a scan, where 0xff is followed by 0 or by a restart marker.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}

/// 8-bit RGB, with transparency blended over white (in the stored, gamma-encoded values, as image viewers do).
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|channel| ((channel * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}
