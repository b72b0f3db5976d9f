//! What files say of their pixels: alpha that colours are multiplied by already, and how a picture is turned.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};

use super::decode::{Target, dimensions, picture};
use super::{Background, ImageSize};

/// Numbers of a TIFF in one order of bytes.
struct Bytes {
    little: bool,
    bytes: Vec<u8>,
}

impl Bytes {
    fn short(&mut self, value: u16) {
        self.bytes.extend(if self.little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn long(&mut self, value: u32) {
        self.bytes.extend(if self.little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    /// A TIFF with these entries in its directory, all of one number: tag, whether it is a LONG, value.
    fn tiff(little: bool, entries: &[(u16, bool, u32)]) -> Bytes {
        let mut bytes = Bytes { little, bytes: if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() } };
        bytes.long(8);
        bytes.short(entries.len() as u16);
        for &(tag, is_long, value) in entries {
            bytes.short(tag);
            bytes.short(if is_long { 4 } else { 3 });
            // The bits of a pixel are four numbers, which lie elsewhere.
            bytes.long(if tag == 258 { 4 } else { 1 });
            if is_long || tag == 258 {
                bytes.long(value);
            } else {
                bytes.short(value as u16);
                bytes.short(0);
            }
        }
        bytes.long(0);
        bytes
    }
}

/// A TIFF of one pixel.
fn pixel(little: bool, rgba: [u8; 4], extra: u32) -> Vec<u8> {
    let end = 8 + 2 + 12 * 10 + 4;
    let entries = [
        (256, false, 1),
        (257, false, 1),
        (258, false, end),
        (259, false, 1),
        (262, false, 2),
        (273, true, end + 8),
        (277, false, 4),
        (278, false, 1),
        (279, true, 4),
        (338, false, extra),
    ];
    let mut tiff = Bytes::tiff(little, &entries);
    (0..4).for_each(|_| tiff.short(8));
    tiff.bytes.extend(rgba);
    tiff.bytes
}

#[test]
fn premultiplied_alpha_is_not_multiplied_again() {
    let on = |background: &str, bytes: &[u8]| {
        let target = Target::new(ImageSize::square(1), background.parse::<Background>().unwrap());
        let mut out = [0; 3];
        assert!(picture(bytes, &target, &mut out).unwrap().transparent);
        out
    };
    for little in [true, false] {
        // A fifth of (200, 100, 255), stored either way.
        assert_eq!(on("white", &pixel(little, [40, 20, 51, 51], 1)), [244, 224, 255]);
        assert_eq!(on("black", &pixel(little, [40, 20, 51, 51], 1)), [40, 20, 51]);
        assert_eq!(on("white", &pixel(little, [200, 100, 255, 51], 2)), [244, 224, 255]);
        // Colours above their alpha.
        assert_eq!(on("white", &pixel(little, [255, 0, 51, 51], 1)), [255, 204, 255]);
    }
}

/// A JPEG of 32×16 pixels whose upper half is white, with these entries in its Exif.
fn jpeg(little: bool, entries: &[(u16, bool, u32)]) -> Vec<u8> {
    let upper = RgbImage::from_fn(32, 16, |_, y| image::Rgb(if y < 8 { [255; 3] } else { [0; 3] }));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(upper).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let file = file.into_inner();
    let exif = Bytes::tiff(little, entries).bytes;
    let length = (exif.len() as u16 + 8).to_be_bytes();
    [&file[..2], &[0xff, 0xe1], &length, b"Exif\0\0", &exif, &file[2..]].concat()
}

#[test]
fn an_orientation_is_obeyed_whichever_type_it_has() {
    for (little, is_long) in [(true, true), (false, true), (true, false), (false, false)] {
        // A quarter turn to the right: the upper half becomes the right one.
        let turned = jpeg(little, &[(0x100, true, 32), (0x112, is_long, 6)]);
        let size = ImageSize { height: 32, width: 16 };
        assert_eq!(dimensions(Cursor::new(&turned)).unwrap(), size);
        let mut out = vec![0; 3 * 32 * 16];
        let decoded = picture(&turned, &Target::new(size, Background::default()), &mut out).unwrap();
        assert_eq!(decoded.from, size);
        assert!(out[0] < 30 && out[15] > 225 && out[31 * 16] < 30 && out[31 * 16 + 15] > 225);
        // Upright, and what is no orientation.
        for value in [1, 0, 9, 262] {
            let upright = jpeg(little, &[(0x112, is_long, value)]);
            assert_eq!(dimensions(Cursor::new(&upright)).unwrap(), ImageSize { height: 16, width: 32 });
        }
    }
}
