//! The bytes of one file to the pixels of a picture of a given size.

use std::io::{BufRead, Cursor, Seek};
use std::sync::{Mutex, PoisonError};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage, RgbaImage};

use super::fit::{crop, resize, write_chw};
use super::guard::guarded;
use super::kind::{HEAD, Kind};
use super::tiff_tag::{self, Number};
use super::{Background, ImageSize, jpeg, png};

/// Limits against decompression bombs: a few kilobytes of PNG can announce terabytes of pixels.
const MAX_SIDE: u32 = 1 << 16;
const MAX_BYTES: u64 = 1 << 29;
/// Pictures of more bytes than this are decoded one at a time, so that many threads do not need many times the memory.
const LARGE: u64 = 1 << 26;

/// What pictures are made into.
pub(super) struct Target {
    pub(super) size: ImageSize,
    pub(super) background: Background,
    /// Held while a large picture is decoded.
    large: Mutex<()>,
}

impl Target {
    pub(super) fn new(size: ImageSize, background: Background) -> Target {
        Target { size, background, large: Mutex::new(()) }
    }
}

/// What is known of a decoded picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoded {
    /// Whether red, green and blue are equal in every pixel.
    pub(super) grey: bool,
    /// Height and width, upright.
    pub(super) from: ImageSize,
    /// Whether a pixel lets the background through.
    pub(super) transparent: bool,
    /// Whether nothing but one colour is left on the background, of a picture that had more.
    pub(super) lost: bool,
}

/// Height and width that a file states, as the picture stands upright.
pub(super) fn dimensions(data: impl BufRead + Seek) -> Result<ImageSize, String> {
    guarded(|| {
        let (reader, _) = reader(data)?;
        let mut decoder = reader.into_decoder().map_err(reason)?;
        let (width, height) = decoder.dimensions();
        let (width, height) = match orientation(&mut decoder) {
            turned if swaps_sides(turned) => (height, width),
            _ => (width, height),
        };
        Ok(ImageSize { height: height as usize, width: width as usize })
    })
}

/// Decodes a picture, turns it upright by its Exif orientation, lays it on the background where it is transparent, and writes
/// the largest centred part of the target's shape, resized to it, to `out` as 3×height×width RGB.
pub(super) fn picture(bytes: &[u8], target: &Target, out: &mut [u8]) -> Result<Decoded, String> {
    guarded(|| decode(&png::mended(bytes), target, out))
}

fn decode(bytes: &[u8], target: &Target, out: &mut [u8]) -> Result<Decoded, String> {
    let (reader, format) = reader(Cursor::new(bytes))?;
    let mut decoder = match reader.into_decoder() {
        Ok(decoder) => decoder,
        // The structure says it better than a decoder that has given up.
        Err(error) if format == ImageFormat::Jpeg => {
            return Err(jpeg::check(bytes).err().map_or_else(|| reason(error), |fault| fault.to_string()));
        }
        Err(error) => return Err(reason(error)),
    };
    // `into_decoder` holds the decoder to the limits, but not the buffer for its result.
    let needed = decoder.total_bytes();
    if needed > MAX_BYTES {
        let (w, h) = decoder.dimensions();
        return Err(format!("{w}×{h} pixels exceed the limit of {} MiB", MAX_BYTES >> 20));
    }
    // As RGB a grey picture needs three times its bytes. One after the other; a thread that died holding the lock has left
    // nothing undone.
    let (width, height) = decoder.dimensions();
    let as_rgb = 3 * u64::from(width) * u64::from(height);
    let _turn = (needed.max(as_rgb) > LARGE).then(|| target.large.lock().unwrap_or_else(PoisonError::into_inner));
    if format == ImageFormat::Jpeg {
        jpeg::check(bytes).map_err(|fault| fault.to_string())?;
    }
    let orientation = orientation(&mut decoder);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(reason)?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err("it has no pixels".to_owned());
    }
    picture.apply_orientation(orientation);
    let from = ImageSize { height: picture.height() as usize, width: picture.width() as usize };
    let premultiplied = format == ImageFormat::Tiff && is_premultiplied(bytes);
    let (picture, transparent, lost) = opaque(picture, target.background, premultiplied);
    write_chw(&resize(crop(DynamicImage::ImageRgb8(picture), target.size), target.size), out);
    let (red, rest) = out.split_at(target.size.height * target.size.width);
    let (green, blue) = rest.split_at(red.len());
    Ok(Decoded { grey: red == green && green == blue, from, transparent, lost })
}

fn reason(error: image::ImageError) -> String {
    match error {
        image::ImageError::Limits(_) => {
            format!("it exceeds the limit of {MAX_SIDE} pixels a side or of {} MiB", MAX_BYTES >> 20)
        }
        other => other.to_string(),
    }
}

/// How a picture is turned upright. Damaged metadata is no reason to lose the picture.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    match decoder.orientation() {
        // The decoders know it as a SHORT only; some programs write a LONG.
        Ok(Orientation::NoTransforms) | Err(_) => {
            let exif = decoder.exif_metadata().ok().flatten();
            exif.and_then(|exif| long_orientation(&exif)).unwrap_or(Orientation::NoTransforms)
        }
        Ok(turned) => turned,
    }
}

fn long_orientation(exif: &[u8]) -> Option<Orientation> {
    let (value, _) = tiff_tag::first(exif, 0x112, Number::Long).filter(|(_, count)| *count == 1)?;
    u8::try_from(value).ok().and_then(Orientation::from_exif)
}

/// Whether a TIFF's colours are multiplied by their alpha already: the first of its extra samples is associated alpha.
fn is_premultiplied(tiff: &[u8]) -> bool {
    tiff_tag::first(tiff, 338, Number::Short).is_some_and(|(kind, _)| kind == 1)
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn reader<R: BufRead + Seek>(mut data: R) -> Result<(ImageReader<R>, ImageFormat), String> {
    // The content decides, not the extension: downloads often have the wrong one.
    let mut head = Vec::with_capacity(HEAD);
    let read = std::io::Read::take(&mut data, HEAD as u64);
    std::io::Read::read_to_end(&mut { read }, &mut head).map_err(|error| error.to_string())?;
    data.rewind().map_err(|error| error.to_string())?;
    let format = match Kind::of(&head) {
        Kind::Picture(format) => format,
        Kind::Foreign(name) => return Err(format!("it is {name}, which is not supported; convert it to PNG or JPEG")),
        Kind::Other(what) => return Err(format!("it is no picture but {what}")),
    };
    let mut reader = ImageReader::with_format(data, format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    Ok((reader, format))
}

/// 8-bit RGB, with transparency blended over the background (in the stored, gamma-encoded values, as image viewers do);
/// whether there was any, and whether the picture was lost against it. Premultiplied colours hold their part already.
fn opaque(picture: DynamicImage, background: Background, premultiplied: bool) -> (RgbImage, bool, bool) {
    if !picture.color().has_alpha() {
        return (picture.into_rgb8(), false, false);
    }
    let picture = picture.into_rgba8();
    let transparent = picture.pixels().any(|pixel| pixel[3] < 255);
    let under = background.rgb().map(u32::from);
    let blended = RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0.map(u32::from);
        let mut channels = [r, g, b];
        for (channel, under) in channels.iter_mut().zip(under) {
            let own = if premultiplied { *channel * 255 } else { *channel * a };
            // Premultiplied colours above their alpha are damage, and no brighter than white.
            *channel = ((own + under * (255 - a) + 127) / 255).min(255);
        }
        Rgb(channels.map(|channel| channel as u8))
    });
    let lost = transparent && one_colour(&blended) && !one_colour_before(&picture);
    (blended, transparent, lost)
}

fn one_colour(picture: &RgbImage) -> bool {
    let first = picture.get_pixel(0, 0);
    picture.pixels().all(|pixel| pixel == first)
}

fn one_colour_before(picture: &RgbaImage) -> bool {
    let first = picture.get_pixel(0, 0);
    picture.pixels().all(|pixel| pixel == first)
}
