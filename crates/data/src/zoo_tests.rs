//! Pictures of every kind that people bring, against the pixels that Pillow and numpy give them (`tests/golden/pictures`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use super::Dataset;
use super::{DatasetSpec, ImageSize, LoadOptions, Values, load};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures");

/// RGB planes of a picture that lies alone in a folder.
fn pixels(file: &Path, name: &str, options: LoadOptions) -> Result<(ImageSize, Vec<u8>), String> {
    let dir = tempdir().unwrap();
    fs::copy(file, dir.path().join(name)).unwrap();
    let options = LoadOptions { channels: Some(3), strict: true, ..options };
    let data = load(&DatasetSpec::Folder(dir.path().to_owned()), &options).map_err(|error| error.to_string())?;
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    Ok((ImageSize { height: data.shape()[1], width: data.shape()[2] }, values.to_vec()))
}

fn golden(name: &str) -> PathBuf {
    Path::new(GOLDEN).join(name)
}

#[test]
fn pictures_of_every_kind_have_the_pixels_that_pillow_gives_them() {
    let expected: Value = serde_json::from_slice(&fs::read(golden("expected.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    assert!(expected.len() > 25);
    for (name, picture) in expected {
        let (size, found) =
            pixels(&golden(name), name, LoadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::json!([size.height, size.width]), picture["size"], "{name}");
        let hex = picture["rgb"].as_str().unwrap();
        let plane = size.height * size.width;
        // Decoders of JPEG round differently, and enlarge halved colours with other filters.
        let tolerance = if name.ends_with(".jpg") { 12 } else { 0 };
        for i in 0..3 * plane {
            let at = 2 * (i % plane * 3 + i / plane);
            let wanted = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            assert!(found[i].abs_diff(wanted) <= tolerance, "{name}, value {i}: {} against {wanted}", found[i]);
        }
    }
}

#[test]
fn a_name_that_promises_another_kind_is_no_obstacle() {
    for (file, name) in [
        ("picture.webp", "a.jpg"),
        ("picture.bmp", "a.png"),
        ("picture.tif", "a.jpeg"),
        ("animated.gif", "a.png"),
        ("base444.jpg", "a.png"),
        ("interlaced.png", "a.JPG"),
        ("interlaced.png", "picture"),
        ("base444.jpg", "picture.dat"),
    ] {
        pixels(&golden(file), name, LoadOptions::default()).unwrap_or_else(|error| panic!("{file} as {name}: {error}"));
    }
}

#[test]
fn a_palette_on_which_the_decoder_panics_is_mended() {
    let dir = tempdir().unwrap();
    fs::copy(golden("one.png"), dir.path().join("good.png")).unwrap();
    fs::copy(golden("bad-palette.png"), dir.path().join("bad.png")).unwrap();
    let data = load(&DatasetSpec::Folder(dir.path().to_owned()), &LoadOptions::default()).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (2, 0), "{:?}", data.skipped());
}

#[test]
fn pixels_and_panoramas_are_fitted() {
    let dir = tempdir().unwrap();
    let save = |name: &str, width, height| {
        image::GrayImage::from_pixel(width, height, image::Luma([9])).save(dir.path().join(name)).unwrap();
    };
    for (name, width, height) in
        [("a.png", 1, 1), ("b.png", 500, 1), ("c.png", 1, 500), ("d.png", 65_536, 2), ("e.png", 70_000, 1)]
    {
        save(name, width, height);
    }
    let options = LoadOptions { image_size: Some(ImageSize { height: 4, width: 8 }), ..LoadOptions::default() };
    let data = load(&DatasetSpec::Folder(dir.path().to_owned()), &options).unwrap();
    assert_eq!((data.len(), data.shape()), (4, &[1usize, 4, 8][..]));
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    assert!(values.iter().all(|&value| value == 9));
    assert!(data.skipped()[0].reason.contains("65536 pixels a side"), "{:?}", data.skipped());
    let resizing = data.resizing().unwrap();
    assert_eq!((resizing.smallest.to_string(), resizing.largest.to_string()), ("1x1".into(), "2x65536".into()));
    assert!(data.notes().iter().any(|note| note.contains("100 % of a picture is cut away")), "{:?}", data.notes());
}

/// A JPEG on its side: the rectangle that is seen counts, for each of the eight orientations.
#[test]
fn exif_turns_rectangles() {
    let dir = tempdir().unwrap();
    let mut picture = image::RgbImage::from_pixel(32, 16, image::Rgb([255; 3]));
    // Black in the stored top left corner.
    picture.enumerate_pixels_mut().filter(|(x, y, _)| *x < 16 && *y < 8).for_each(|(_, _, pixel)| pixel.0 = [0; 3]);
    let plain = dir.path().join("plain.jpg");
    picture.save(&plain).unwrap();
    let jpeg = fs::read(&plain).unwrap();
    // Where the corner is seen: top or bottom, left or right.
    let corners = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
    for (orientation, (down, right)) in (1..=8u8).zip(corners) {
        let mut tiff = *b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0";
        tiff[24] = orientation;
        let length = (tiff.len() as u16 + 2).to_be_bytes();
        let turned = dir.path().join("turned");
        fs::write(&turned, [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()).unwrap();
        let (size, values) = pixels(&turned, "a.jpg", LoadOptions::default()).unwrap();
        let (height, width) = if orientation < 5 { (16, 32) } else { (32, 16) };
        assert_eq!(size, ImageSize { height, width }, "orientation {orientation}");
        let at = |down: usize, right: usize| {
            values[(height / 4 + down * height / 2) * width + width / 4 + right * width / 2]
        };
        for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let dark = at(y, x) < 60;
            assert_eq!(dark, (y, x) == (down, right), "orientation {orientation}, {y} {x}: {}", at(y, x));
        }
    }
}

#[test]
fn what_is_no_picture_is_left_out_with_its_reason() {
    let dir = tempdir().unwrap();
    fs::copy(golden("one.png"), dir.path().join("good.png")).unwrap();
    for (name, bytes, reason) in [
        ("a.png", &b"only text\n"[..], "no picture but text"),
        ("b.png", b"", "an empty file"),
        ("c.jpg", b"<!DOCTYPE html><html>", "a page of HTML"),
        ("d.jpg", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("e.png", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC, which is not supported"),
        ("f.png", b"PK\x03\x04rest", "a zip archive"),
        ("g.gif", b"GIF89a", ""),
        ("h.webp", b"RIFF\x04\0\0\0WEBP", ""),
        ("i.tif", b"II*\0\x08\0\0\0", ""),
        ("j.bmp", b"BM\x1e\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\xff\xff\xff\xff\x01\0\x18\0", ""),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let data = load(&DatasetSpec::Folder(dir.path().to_owned()), &LoadOptions::default()).unwrap();
        assert_eq!((data.len(), data.skipped().len()), (1, 1), "{name}");
        assert!(data.skipped()[0].reason.contains(reason), "{name}: {}", data.skipped()[0].reason);
        fs::remove_file(dir.path().join(name)).unwrap();
    }
}
