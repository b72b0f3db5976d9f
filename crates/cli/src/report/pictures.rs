//! The grids of `samples/`, small enough for a page.

use std::{
    collections::HashMap,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat, ImageReader, Limits, imageops::FilterType};
use serde::Serialize;
use sfumato_files::read_bytes;

use super::thin::spread;

/// Longest side of a picture in a page, in pixels.
const LONGEST_SIDE: u32 = 640;
/// A picture of at most so many bytes and [`LONGEST_SIDE`] pixels stays as it is.
const SMALL: usize = 128 << 10;
/// Bytes of all pictures of a page; where they are more, every other one is left out.
const MOST_BYTES: usize = 8 << 20;
/// Longest file that is read.
const LONGEST_FILE: u64 = 64 << 20;
/// Widest and highest picture that is decoded.
const LARGEST: u32 = 16_384;

/// A picture in a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Picture {
    pub(super) step: u64,
    /// Its bytes as a data URL.
    pub(super) src: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether it has fewer pixels than the file.
    #[serde(skip)]
    pub(super) smaller: bool,
}

/// The pictures of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Pictures {
    pub(super) shown: Vec<Picture>,
    /// How many there are in the run.
    pub(super) all: usize,
    /// Those that cannot be read.
    pub(super) unreadable: usize,
}

impl Pictures {
    /// Leaves out every other picture until the rest has at most `most` bytes, or until the first and the last are left.
    fn fit(&mut self, most: usize) {
        let bytes = |shown: &[Picture]| shown.iter().map(|picture| picture.src.len()).sum::<usize>();
        while self.shown.len() > 2 && bytes(&self.shown) > most {
            let kept = spread(self.shown.len(), self.shown.len().div_ceil(2).max(2));
            self.shown = kept.into_iter().map(|i| self.shown[i].clone()).collect();
        }
    }
}

/// What was read before, so that the page of a long run is renewed without decoding everything again.
#[derive(Debug, Default)]
pub(crate) struct PictureCache(HashMap<PathBuf, (Stamp, Picture)>);

/// What tells a file from the one that was there before.
type Stamp = (u64, Option<SystemTime>);

impl PictureCache {
    /// At most `most` of the grids in `dir`, evenly spread over the run.
    pub(super) fn pictures(&mut self, dir: &Path, most: usize) -> Pictures {
        let found = find(dir);
        let mut pictures = Pictures { all: found.len(), ..Pictures::default() };
        let chosen = spread(found.len(), most).into_iter().map(|i| &found[i]);
        for (step, path) in chosen {
            match self.picture(path, *step) {
                Some(picture) => pictures.shown.push(picture),
                None => pictures.unreadable += 1,
            }
        }
        pictures.fit(MOST_BYTES);
        pictures
    }

    fn picture(&mut self, path: &Path, step: u64) -> Option<Picture> {
        let stamp = fs::metadata(path).map(|file| (file.len(), file.modified().ok())).ok()?;
        if let Some((_, picture)) = self.0.get(path).filter(|(known, _)| *known == stamp) {
            return Some(picture.clone());
        }
        let picture = read(path, step)?;
        self.0.insert(path.to_owned(), (stamp, picture.clone()));
        Some(picture)
    }
}

/// `step-N.png` in `dir`, in the order of the steps.
fn find(dir: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".png")?.parse().ok();
    let paths = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((step(&path)?, path))).collect();
    found.sort();
    found
}

fn read(path: &Path, step: u64) -> Option<Picture> {
    let bytes = read_bytes(path, LONGEST_FILE).ok()?;
    let mut reader = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    reader.limits(limits);
    let image = reader.decode().ok()?;
    let fits = image.width().max(image.height()) <= LONGEST_SIDE;
    if fits && bytes.len() <= SMALL {
        return Some(of(step, "png", &bytes, &image, false));
    }
    let small = if fits { image } else { image.resize(LONGEST_SIDE, LONGEST_SIDE, FilterType::Triangle) };
    let mut jpeg = Vec::new();
    let colours = DynamicImage::ImageRgb8(small.to_rgb8());
    colours.write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 88)).ok()?;
    Some(of(step, "jpeg", &jpeg, &small, !fits))
}

fn of(step: u64, format: &str, bytes: &[u8], image: &DynamicImage, smaller: bool) -> Picture {
    let src = format!("data:image/{format};base64,{}", STANDARD.encode(bytes));
    Picture { step, src, width: image.width(), height: image.height(), smaller }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn noise(side: u32) -> RgbImage {
        let value = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) as u8;
        RgbImage::from_fn(side, side, |x, y| image::Rgb([value(x, y), value(y, x), value(x, x)]))
    }

    #[test]
    fn small_pictures_stay_and_large_ones_shrink() {
        let dir = tempfile::tempdir().unwrap();
        noise(40).save(dir.path().join("step-0000010.png")).unwrap();
        noise(1300).save(dir.path().join("step-0000020.png")).unwrap();
        fs::write(dir.path().join("step-0000030.png"), b"no picture").unwrap();
        fs::write(dir.path().join("notes.png"), b"").unwrap();
        let mut cache = PictureCache::default();
        let pictures = cache.pictures(dir.path(), 10);
        assert_eq!((pictures.all, pictures.unreadable), (3, 1));
        let [small, large] = &pictures.shown[..] else { panic!("two can be read") };
        assert!(small.src.starts_with("data:image/png;base64,iVBOR") && !small.smaller);
        assert!(large.src.starts_with("data:image/jpeg;base64,") && large.smaller);
        assert_eq!((large.width, large.height, large.step), (640, 640, 20));
        // The file has changed: what was read before does not count.
        noise(30).save(dir.path().join("step-0000010.png")).unwrap();
        assert_eq!(cache.pictures(dir.path(), 10).shown[0].width, 30);
    }

    #[test]
    fn of_many_pictures_some_are_shown_and_a_folder_can_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        for step in 0..50 {
            noise(4).save(dir.path().join(format!("step-{step:07}.png"))).unwrap();
        }
        let pictures = PictureCache::default().pictures(dir.path(), 6);
        let steps: Vec<u64> = pictures.shown.iter().map(|picture| picture.step).collect();
        assert_eq!((pictures.all, steps[0], steps[5], steps.len()), (50, 0, 49, 6));
        assert_eq!(PictureCache::default().pictures(&dir.path().join("none"), 6).all, 0);
        let mut few = pictures;
        few.fit(few.shown[0].src.len() * 3 + 40);
        assert_eq!(few.shown.iter().map(|picture| picture.step).collect::<Vec<_>>(), [0, 19, 49]);
    }
}
