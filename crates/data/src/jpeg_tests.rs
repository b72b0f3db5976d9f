//! JPEGs that are whole, cut, damaged, or followed by something else.

use std::fs;
use std::path::Path;

use super::jpeg::check;
use super::jpeg_segment::Fault;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures");
const FILES: [&str; 10] = [
    "base444.jpg",
    "base420.jpg",
    "restart.jpg",
    "progressive444.jpg",
    "progressive420.jpg",
    "progressive-restart.jpg",
    "grey.jpg",
    "grey-progressive.jpg",
    "cmyk.jpg",
    "cmyk-progressive.jpg",
];

fn read(name: &str) -> Vec<u8> {
    fs::read(Path::new(GOLDEN).join(name)).unwrap()
}

/// Bytes without rhyme or reason, many of them 0xff.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| if next() < 40 { 0xff } else { next() }).collect()
}

#[test]
fn what_follows_the_picture_is_not_the_pictures() {
    for name in FILES {
        let jpeg = read(name);
        let mut trailers = vec![
            b"".to_vec(),
            b"junk".to_vec(),
            [&b"\xff\xda"[..], &[0; 64]].concat(),
            b"\xff\xc9\0\x04ab".to_vec(),
            jpeg.clone(),
            jpeg[..jpeg.len() / 2].to_vec(),
            read("progressive420.jpg"),
        ];
        trailers.extend((0..10).map(|seed| noise(seed, 1 << 16)));
        for trailer in trailers {
            assert_eq!(check(&[&jpeg[..], &trailer].concat()), Ok(()), "{name}, {} bytes more", trailer.len());
        }
        // An end marker that is missing behind data that is all there.
        assert_eq!(check(&jpeg[..jpeg.len() - 2]), Ok(()), "{name} without its end");
        let unmarked = [&jpeg[..jpeg.len() - 2], b"\0\0\0\0junk"].concat();
        assert_eq!(check(&unmarked), Ok(()), "{name} without its end, and junk");
    }
}

#[test]
fn a_cut_is_seen_wherever_it_is_and_whatever_follows_it() {
    for name in FILES {
        let jpeg = read(name);
        // The last bytes of a scan can be padding: what is cut off there is nothing.
        for end in (2..jpeg.len() - 8).step_by(7) {
            for tail in [&b""[..], b"\xff\xd9", b"\xff\xda", b"\xff\xd0\xff\xd9"] {
                let cut = [&jpeg[..end], tail].concat();
                assert!(check(&cut).is_err(), "{name} cut at {end} of {}, then {tail:02x?}", jpeg.len());
            }
        }
    }
}

#[test]
fn a_thumbnail_with_an_end_of_its_own_does_not_end_the_picture() {
    for name in FILES {
        let (jpeg, thumbnail) = (read(name), read("grey.jpg"));
        let segment = [b"Exif\0\0", &thumbnail[..]].concat();
        let length = (segment.len() as u16 + 2).to_be_bytes();
        let with = [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat();
        assert_eq!(check(&with), Ok(()), "{name}");
        assert_eq!(check(&with[..with.len() / 2 + segment.len() / 2]), Err(Fault::Truncated), "{name}");
    }
}

#[test]
fn codings_that_are_not_read_are_named() {
    let jpeg = read("base444.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let with = |at: usize, byte: u8| {
        let mut jpeg = jpeg.clone();
        jpeg[frame + at] = byte;
        check(&jpeg).unwrap_err().to_string()
    };
    for marker in [0xc9, 0xca, 0xcb] {
        assert!(with(1, marker).contains("arithmetically coded, which is not supported"));
    }
    assert!(with(1, 0xc3).contains("lossless"));
    assert!(with(1, 0xc5).contains("hierarchical"));
    assert!(with(4, 12).contains("12 bits a sample"));
    assert!(with(9, 0).contains("damaged"));
    assert!(with(9, 9).contains("damaged"));
}

#[test]
fn no_damage_makes_the_check_panic_or_run_on() {
    for name in FILES {
        let jpeg = read(name);
        for seed in 0..200 {
            let mut damaged = jpeg.clone();
            for (i, byte) in noise(seed, 6).chunks_exact(2).zip(noise(seed + 1000, 3)) {
                let at = (usize::from(i[0]) << 8 | usize::from(i[1])) % damaged.len();
                damaged[at] = byte;
            }
            let _ = check(&damaged);
        }
        for end in 0..jpeg.len().min(700) {
            let _ = check(&jpeg[..end]);
        }
    }
    for seed in 0..50 {
        let _ = check(&[&b"\xff\xd8"[..], &noise(seed, 500)].concat());
    }
}
