//! Folders of pictures, good and bad.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tempfile::{TempDir, tempdir};

use super::Dataset;
use super::{DataError, DatasetSpec, ImageSize, LoadOptions, LoadedDataset, Part, Subset, Values, load};

fn grey(side: u32, level: u8) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_pixel(side, side, Luma([level])))
}

fn rgb(width: u32, height: u32, pixel: [u8; 3]) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_pixel(width, height, Rgb(pixel)))
}

fn save(dir: &TempDir, name: &str, image: &DynamicImage) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

fn load_with(dir: &Path, options: LoadOptions) -> Result<LoadedDataset, DataError> {
    load(&DatasetSpec::Folder(dir.to_owned()), &options)
}

fn load_default(dir: &TempDir) -> LoadedDataset {
    load_with(dir.path(), LoadOptions::default()).unwrap()
}

fn values(data: &LoadedDataset) -> &[u8] {
    match data.values() {
        Values::U8(values) => values,
        Values::F32(_) => panic!("pictures are bytes"),
    }
}

#[test]
fn grey_squares_of_one_size_keep_their_size_and_channel_in_the_order_of_paths() {
    let dir = tempdir().unwrap();
    for (name, level) in [("b.png", 20), ("a.png", 10), ("c/d.png", 30)] {
        save(&dir, name, &grey(5, level));
    }
    // Grey that is stored as colour is grey too.
    save(&dir, "e.png", &rgb(5, 5, [40; 3]));
    let data = load_default(&dir);
    assert_eq!((data.len(), data.shape(), data.labels()), (4, &[1usize, 5, 5][..], None));
    let expected: Vec<u8> = [10, 20, 30, 40].into_iter().flat_map(|level| [level; 25]).collect();
    assert_eq!(values(&data), expected);
    assert!(data.notes().is_empty());
    assert_eq!(load_default(&dir).sha256(), data.sha256());
}

#[test]
fn one_coloured_picture_makes_the_set_rgb_unless_the_options_decide() {
    let dir = tempdir().unwrap();
    save(&dir, "a.png", &grey(4, 9));
    save(&dir, "b.png", &rgb(4, 4, [255, 0, 0]));
    let data = load_default(&dir);
    assert_eq!(data.shape(), [3, 4, 4]);
    assert_eq!(values(&data), [vec![9; 48], vec![255; 16], vec![0; 32]].concat());
    let data = load_with(dir.path(), LoadOptions { channels: Some(1), ..LoadOptions::default() }).unwrap();
    assert_eq!((data.shape(), values(&data)), (&[1usize, 4, 4][..], &[[9; 16], [54; 16]].concat()[..]));
    let only_grey = tempdir().unwrap();
    save(&only_grey, "a.png", &grey(4, 9));
    let data = load_with(only_grey.path(), LoadOptions { channels: Some(3), ..LoadOptions::default() }).unwrap();
    assert_eq!((data.shape(), values(&data)), (&[3usize, 4, 4][..], &[9; 48][..]));
}

#[test]
fn different_sizes_become_64_with_a_note_and_the_middle_is_kept() {
    let dir = tempdir().unwrap();
    let mut wide = RgbImage::from_pixel(300, 100, Rgb([255, 0, 0]));
    for (x, _, pixel) in wide.enumerate_pixels_mut() {
        if (90..210).contains(&x) {
            *pixel = Rgb([0, 0, 255]);
        }
    }
    save(&dir, "wide.png", &DynamicImage::ImageRgb8(wide));
    save(&dir, "tall.jpg", &rgb(30, 90, [0, 0, 254]));
    let data = load_default(&dir);
    assert_eq!(data.shape(), [3, 64, 64]);
    assert!(data.notes()[0].contains("100x300") && data.notes()[0].contains("64x64"), "{:?}", data.notes());
    let plane = 64 * 64;
    // The second in order is wide.png: all blue, the red ends are cut off.
    assert!(values(&data)[3 * plane..5 * plane].iter().all(|&v| v == 0));
    assert!(values(&data)[5 * plane..].iter().all(|&v| v == 255));
    let data = load_with(dir.path(), LoadOptions { image_size: Some(ImageSize::square(16)), ..LoadOptions::default() })
        .unwrap();
    // That they were resized was asked for; how much is gone was not.
    assert_eq!((data.shape(), data.notes().len()), (&[3usize, 16, 16][..], 1));
    assert!(data.notes()[0].contains("2 of 2 pictures") && data.notes()[0].contains("67 %"), "{:?}", data.notes());
}

#[test]
fn transparency_is_laid_on_white_and_16_bits_become_8() {
    let dir = tempdir().unwrap();
    save(
        &dir,
        "a.png",
        &DynamicImage::ImageRgba8(RgbaImage::from_fn(2, 2, |x, y| match (x, y) {
            (0, 0) => Rgba([1, 2, 3, 0]),
            (1, 0) => Rgba([0, 100, 200, 255]),
            _ => Rgba([0, 0, 0, 51]),
        })),
    );
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([0x8000u16]));
    save(&dir, "b.png", &DynamicImage::ImageLuma16(deep));
    let data = load_default(&dir);
    assert_eq!(values(&data)[..12], [255, 0, 204, 204, 255, 100, 204, 204, 255, 200, 204, 204]);
    assert_eq!(values(&data)[12..], [128; 12]);
}

#[test]
fn corrupt_files_are_skipped_and_counted_or_an_error_when_strict() {
    let dir = tempdir().unwrap();
    for i in 0..6 {
        save(&dir, &format!("{i}.png"), &grey(8, 10 * i));
    }
    let good = fs::read(dir.path().join("1.png")).unwrap();
    fs::write(dir.path().join("1.png"), &good[..good.len() / 2]).unwrap();
    fs::write(dir.path().join("3.png"), b"not a picture").unwrap();
    fs::write(dir.path().join("4.png"), b"").unwrap();
    let data = load_default(&dir);
    assert_eq!((data.len(), data.skipped().len()), (3, 3));
    let expected: Vec<u8> = [0, 20, 50].into_iter().flat_map(|level| [level; 64]).collect();
    assert_eq!(values(&data), expected);
    let names: Vec<_> = data.skipped().iter().map(|skipped| skipped.path.file_name().unwrap()).collect();
    assert_eq!(names, ["1.png", "3.png", "4.png"]);
    let strict = load_with(dir.path(), LoadOptions { strict: true, ..LoadOptions::default() });
    let message = strict.unwrap_err().to_string();
    assert!(message.contains("1.png") && message.contains("--strict"), "{message}");
}

#[test]
fn a_truncated_jpeg_is_not_painted_grey_but_skipped() {
    let dir = tempdir().unwrap();
    save(&dir, "good.jpg", &rgb(64, 64, [200, 30, 30]));
    let good = fs::read(dir.path().join("good.jpg")).unwrap();
    // Without only its end marker the picture is all there; junk behind the marker is harmless.
    let half = &good[..good.len() / 2 + 200];
    for (name, bytes) in
        [("half.jpg", half), ("marked.jpg", &[half, b"\xff\xd9"].concat()), ("end.jpg", &good[..good.len() - 2])]
    {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    fs::write(dir.path().join("junk.jpg"), [&good[..], b"junk"].concat()).unwrap();
    let data = load_default(&dir);
    assert_eq!((data.len(), data.skipped().len()), (3, 2));
    let n = data.example_len();
    assert!(values(&data).chunks(n).all(|picture| picture == &values(&data)[..n]), "one picture three times");
    assert!(data.skipped().iter().all(|skipped| skipped.reason.contains("truncated")), "{:?}", data.skipped());
}

#[test]
fn a_folder_of_nothing_but_corrupt_files_is_an_error() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.png"), b"x").unwrap();
    fs::write(dir.path().join("b.jpg"), b"y").unwrap();
    let message = load_with(dir.path(), LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("none of the 2 pictures") && message.contains("a.png"), "{message}");
}

#[test]
fn the_content_decides_the_format() {
    let dir = tempdir().unwrap();
    grey(8, 50).save_with_format(dir.path().join("a.jpg"), ImageFormat::Png).unwrap();
    rgb(8, 8, [1, 2, 3]).save_with_format(dir.path().join("b.png"), ImageFormat::Gif).unwrap();
    let data = load_default(&dir);
    assert_eq!((data.len(), data.shape()), (2, &[3usize, 8, 8][..]));
    assert_eq!((values(&data)[0], values(&data)[3 * 64], values(&data)[5 * 64]), (50, 1, 3));
}

#[test]
fn a_decompression_bomb_is_skipped_without_allocating_it() {
    let dir = tempdir().unwrap();
    save(&dir, "good.png", &grey(8, 1));
    // A PNG header that claims 60,000×60,000 RGBA pixels (14 GB), with a correct checksum.
    let mut bomb = fs::read(dir.path().join("good.png")).unwrap();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[25] = 6;
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(dir.path().join("bomb.png"), bomb).unwrap();
    let options = LoadOptions { image_size: Some(ImageSize::square(8)), ..LoadOptions::default() };
    let data = load_with(dir.path(), options).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (1, 1));
    assert!(data.skipped()[0].reason.to_lowercase().contains("limit"), "{:?}", data.skipped());
}

#[test]
fn exif_orientation_is_obeyed() {
    let dir = tempdir().unwrap();
    let mut picture = RgbImage::from_pixel(16, 16, Rgb([0, 0, 0]));
    picture.enumerate_pixels_mut().filter(|(_, y, _)| *y < 8).for_each(|(_, _, pixel)| *pixel = Rgb([255; 3]));
    let path = dir.path().join("a.jpg");
    DynamicImage::ImageRgb8(picture).save(&path).unwrap();
    // An APP1 segment behind the start marker: TIFF, little-endian, one entry, orientation (0x0112) = 3, upside down.
    let jpeg = fs::read(&path).unwrap();
    let tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0";
    let length = (tiff.len() as u16 + 2).to_be_bytes();
    fs::write(&path, [&jpeg[..2], &[0xff, 0xe1], &length, tiff, &jpeg[2..]].concat()).unwrap();
    let data = load_default(&dir);
    assert_eq!(data.shape(), [1, 16, 16]);
    assert!(values(&data)[..64].iter().all(|&v| v < 30) && values(&data)[192..].iter().all(|&v| v > 225));
}

#[test]
fn one_level_of_sub_folders_gives_classes_and_skipping_keeps_them_aligned() {
    let dir = tempdir().unwrap();
    for (name, level) in [("cat/1.png", 1), ("cat/2.png", 2), ("ant/1.png", 3), ("dog/x.png", 4)] {
        save(&dir, name, &grey(4, level));
    }
    fs::write(dir.path().join("cat/1.png"), b"broken").unwrap();
    let data = load_default(&dir);
    assert_eq!(
        (data.labels(), data.class_names()),
        (Some(&[0u32, 1, 2][..]), &["ant", "cat", "dog"].map(String::from)[..])
    );
    assert_eq!(values(&data), [[3; 16], [2; 16], [4; 16]].concat());
    save(&dir, "loose.png", &grey(4, 5));
    assert_eq!(load_default(&dir).classes(), None);
    fs::remove_file(dir.path().join("loose.png")).unwrap();
    save(&dir, "cat/deep/1.png", &grey(4, 5));
    assert_eq!(load_default(&dir).classes(), None);
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_read() {
    let dir = tempdir().unwrap();
    let options = LoadOptions { image_size: Some(ImageSize::square(0)), ..LoadOptions::default() };
    assert!(matches!(load_with(dir.path(), options), Err(DataError::ImageSize { .. })));
    let options = LoadOptions { channels: Some(4), ..LoadOptions::default() };
    assert!(matches!(load_with(dir.path(), options), Err(DataError::Channels { channels: 4, .. })));
}

/// A folder of 40 pictures of two classes, some of them larger.
fn forty() -> TempDir {
    let dir = tempdir().unwrap();
    for i in 0..40u8 {
        let side = if i % 5 == 0 { 12 } else { 8 };
        save(&dir, &format!("{}/{i:02}.png", ["ant", "bee"][usize::from(i % 2)]), &rgb(side, side, [i, 2 * i, 5 * i]));
    }
    dir
}

fn part_of(num: usize, checksum: bool) -> LoadOptions {
    LoadOptions {
        image_size: Some(ImageSize::square(8)),
        channels: Some(1),
        part: Some(Part { num, seed: Some(3), checksum }),
        ..LoadOptions::default()
    }
}

#[test]
fn a_part_of_a_folder_is_that_of_the_whole() {
    let dir = forty();
    let options = part_of(5, true);
    // What is known by its header to be no picture counts for neither.
    fs::write(dir.path().join("ant/00-page.png"), b"<html>").unwrap();
    let whole = load_with(dir.path(), LoadOptions { part: None, ..options.clone() }).unwrap();
    let data = load_with(dir.path(), options.clone()).unwrap();
    let ids: Vec<usize> = (0..5).map(|i| Subset::new(3, 40).index(i)).collect();
    assert_eq!((data.part(), data.len(), whole.len()), (Some(&ids[..]), 40, 40));
    assert_eq!((values(&data).len(), data.sha256()), (5 * 64, whole.sha256()));
    assert_eq!((data.labels(), data.class_names()), (whole.labels(), whole.class_names()));
    assert_eq!((data.resizing(), data.skipped()), (whole.resizing(), whole.skipped()));
    for i in ids {
        let (mut a, mut b) = ([0.0; 64], [0.0; 64]);
        data.write(i, &mut a);
        whole.write(i, &mut b);
        assert_eq!(a, b);
    }
    assert_eq!(load_with(dir.path(), part_of(5, false)).unwrap().sha256(), "");
    assert_eq!(load_with(dir.path(), part_of(100, false)).unwrap().part().unwrap().len(), 40);
}

#[test]
fn the_next_picture_takes_the_place_of_one_that_cannot_be_decoded() {
    let dir = forty();
    let plain = load_with(dir.path(), part_of(5, false)).unwrap();
    let second = plain.part().unwrap()[1];
    // Those of a class follow each other.
    let name = if second < 20 {
        format!("ant/{:02}.png", 2 * second)
    } else {
        format!("bee/{:02}.png", 2 * (second - 20) + 1)
    };
    let bytes = fs::read(dir.path().join(&name)).unwrap();
    fs::write(dir.path().join(&name), &bytes[..45]).unwrap();
    let data = load_with(dir.path(), part_of(5, false)).unwrap();
    let subset = Subset::new(3, 40);
    let expected: Vec<usize> = (0..6).map(|i| subset.index(i)).filter(|&i| i != second).collect();
    assert_eq!(data.part().unwrap(), expected);
    assert_eq!(data.skipped().len(), 1);
    assert!(data.skipped()[0].path.ends_with(&name), "{:?}", data.skipped());
    let strict = LoadOptions { strict: true, ..part_of(5, false) };
    assert!(load_with(dir.path(), strict).unwrap_err().to_string().contains(&name));
}

#[test]
fn with_the_checksum_a_part_knows_what_is_damaged_behind_its_header() {
    let dir = forty();
    // One that the part would not have come to, and the only picture of its class.
    let first = Subset::new(3, 40).index(0);
    let damaged = if first == 5 { "ant/12.png" } else { "ant/10.png" };
    save(&dir, "cow/00.png", &grey(8, 7));
    for name in [damaged, "cow/00.png"] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name), &bytes[..45]).unwrap();
    }
    for num in [1, 100] {
        let whole = load_with(dir.path(), LoadOptions { part: None, ..part_of(num, true) }).unwrap();
        let data = load_with(dir.path(), part_of(num, true)).unwrap();
        let ids: Vec<usize> = (0..39).map(|i| Subset::new(3, 39).index(i)).take(num).collect();
        assert_eq!((data.len(), data.part(), data.sha256()), (39, Some(&ids[..]), whole.sha256()));
        assert_eq!((data.labels(), data.class_names()), (whole.labels(), &["ant", "bee"].map(String::from)[..]));
        assert_eq!((data.skipped(), data.resizing()), (whole.skipped(), whole.resizing()));
        assert_eq!((data.skipped().len(), data.notes()), (2, whole.notes()));
        for i in ids {
            let (mut a, mut b) = ([0.0; 64], [0.0; 64]);
            data.write(i, &mut a);
            whole.write(i, &mut b);
            assert_eq!(a, b);
        }
    }
    // Without it their headers are all that is known.
    assert_eq!(load_with(dir.path(), part_of(1, false)).unwrap().len(), 41);
}
