//! Animated GIF files of a sampler at work.

use std::path::Path;
use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, ImageResult, RgbaImage};
use sfumato_files::write_atomically;

use super::grid::grid;
use super::raster::Raster;
use super::{GridLayout, OutputError};

/// How long the last frame stands before the animation starts again.
pub const LAST_FRAME: Duration = Duration::from_secs(2);

/// Writes frames as an animated GIF that repeats for ever; each frame is a grid of N×C×H×W pictures in [-1, 1].
///
/// Every frame stands for `delay` (GIF counts in 10 ms; browsers slow anything below 20 ms down), the last one for
/// [`LAST_FRAME`]. Grey frames are exact; frames with more than 256 colours are quantised to 256 each. Transparency is
/// laid on white.
///
/// # Errors
/// [`OutputError`] as [`write_grid`](super::write_grid); [`OutputError::Empty`] without frames;
/// [`OutputError::TooLarge`] beyond 65,535 pixels a side.
pub fn write_gif(
    path: &Path,
    frames: &[impl AsRef<[f32]>],
    shape: [usize; 4],
    layout: GridLayout,
    delay: Duration,
) -> Result<(), OutputError> {
    let Some((last, others)) = frames.split_last() else {
        return Err(OutputError::Empty { path: path.to_owned() });
    };
    let timed = others.iter().map(|frame| (frame, delay)).chain([(last, LAST_FRAME)]);
    let mut bytes = Vec::new();
    let encode = |source| OutputError::Encode { path: path.to_owned(), source };
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite).map_err(encode)?;
        for (frame, delay) in timed {
            let raster = grid(path, frame.as_ref(), shape, layout)?;
            let (width, height) = (raster.width, raster.height);
            if width.max(height) > usize::from(u16::MAX) {
                return Err(OutputError::TooLarge { path: path.to_owned(), width, height });
            }
            encode_frame(&mut encoder, raster, delay).map_err(encode)?;
        }
    }
    Ok(write_atomically(path, &bytes)?)
}

fn encode_frame(encoder: &mut GifEncoder<&mut Vec<u8>>, raster: Raster, delay: Duration) -> ImageResult<()> {
    let (width, height) = (raster.width as u32, raster.height as u32);
    let rgba = raster.pixels.chunks_exact(raster.channels).flat_map(|pixel| match *pixel {
        [r, g, b, a] => {
            let blend = |v: u8| ((u32::from(v) * u32::from(a) + 255 * (255 - u32::from(a)) + 127) / 255) as u8;
            [blend(r), blend(g), blend(b), 255]
        }
        [r, g, b] => [r, g, b, 255],
        _ => [pixel[0], pixel[0], pixel[0], 255],
    });
    let image = RgbaImage::from_raw(width, height, rgba.collect()).expect("four bytes for every pixel");
    encoder.encode_frame(Frame::from_parts(image, 0, 0, Delay::from_saturating_duration(delay)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    use super::*;

    #[test]
    fn frames_keep_their_order_grey_levels_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gif");
        let levels = [0u8, 100, 255];
        let frames: Vec<Vec<f32>> = levels.iter().map(|&k| vec![f32::from(k) / 127.5 - 1.0; 2 * 9]).collect();
        let layout = GridLayout { scale: 1, ..GridLayout::default() };
        write_gif(&path, &frames, [2, 1, 3, 3], layout, Duration::from_millis(50)).unwrap();
        let decoder = GifDecoder::new(std::io::Cursor::new(fs::read(&path).unwrap())).unwrap();
        let read = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 3);
        for ((frame, level), ms) in read.iter().zip(levels).zip([50, 50, 2000]) {
            assert_eq!(frame.delay().numer_denom_ms().0 / frame.delay().numer_denom_ms().1, ms);
            let image = frame.buffer();
            assert_eq!((image.width(), image.height()), (12, 7));
            assert_eq!(image.get_pixel(3, 3).0, [level, level, level, 255]);
            assert_eq!(image.get_pixel(0, 0).0, [255; 4]);
        }
    }

    #[test]
    fn colour_survives_quantisation_and_transparency_is_white() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gif");
        let frame: Vec<f32> = [1.0, -1.0, -1.0, -1.0].into_iter().flat_map(|v| [v; 4]).collect();
        let layout = GridLayout { scale: 1, padding: 0, ..GridLayout::default() };
        let first_pixel = |values: &[f32], shape| {
            write_gif(&path, &[values], shape, layout, Duration::from_millis(20)).unwrap();
            image::open(&path).unwrap().into_rgb8().get_pixel(0, 0).0
        };
        assert_eq!(first_pixel(&frame[..12], [1, 3, 2, 2]), [255, 0, 0]);
        assert_eq!(first_pixel(&frame, [1, 4, 2, 2]), [255, 255, 255]);
    }

    #[test]
    fn no_frames_and_giant_frames_are_refused() {
        let path = Path::new("x.gif");
        let none: [Vec<f32>; 0] = [];
        let (layout, delay) = (GridLayout::default(), Duration::from_millis(50));
        assert!(matches!(write_gif(path, &none, [1, 1, 1, 1], layout, delay), Err(OutputError::Empty { .. })));
        let wide = GridLayout { scale: 70_000, ..layout };
        let error = write_gif(path, &[[0.0f32]], [1, 1, 1, 1], wide, delay).unwrap_err();
        assert!(matches!(error, OutputError::TooLarge { .. }), "{error}");
        assert!(matches!(
            write_gif(path, &[[0.0f32; 2]], [1, 2, 1, 1], layout, delay),
            Err(OutputError::Channels { .. })
        ));
    }
}
