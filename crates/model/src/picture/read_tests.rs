use std::{fs, io::Write};

use flate2::{Compression, write::ZlibEncoder};
use png::{ColorType, Encoder, chunk::ChunkType};
use proptest::prelude::*;

use super::*;
use crate::picture::{GridLayout, RECORD, Raster, Texts, write_grid};

/// A grey picture of 2×2 pixels with chunks of its own before and behind the pixels.
fn with_chunks(before: &[(&[u8; 4], &[u8])], behind: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    let write = |writer: &mut png::Writer<_>, chunks: &[(&[u8; 4], &[u8])]| {
        chunks.iter().for_each(|(name, data)| writer.write_chunk(ChunkType(**name), data).unwrap());
    };
    write(&mut writer, before);
    writer.write_image_data(&[0, 85, 170, 255]).unwrap();
    write(&mut writer, behind);
    writer.finish().unwrap();
    bytes
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<PngFile, PngError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    fs::write(&path, bytes).unwrap();
    read_png(&path)
}

/// The one text of a file.
fn only(bytes: &[u8]) -> (String, Result<String, String>) {
    let file = read(bytes).unwrap();
    let [PngText { keyword, text }] = &file.texts[..] else { panic!("{file:?}") };
    (keyword.clone(), text.clone())
}

/// A picture as the program writes it, with the text.
fn ours(text: &str) -> Vec<u8> {
    let name = Path::new("x.png");
    Raster::picture(name, &[0.0; 9], [1, 3, 3]).unwrap().to_png(name, &Texts::none().with(RECORD, text)).unwrap()
}

#[test]
fn texts_of_other_programs_are_read_wherever_they_stand() {
    let (zlib, itxt) =
        (packed("größer".chars().map(|c| c as u8).collect::<Vec<_>>().as_slice()), packed("日本".as_bytes()));
    let ztxt = [b"Author\0\0", &zlib[..]].concat();
    let packed_itxt = [b"Title\0\x01\0de\0Titel\0", &itxt[..]].concat();
    let bytes = with_chunks(&[(b"tEXt", b"Comment\0caf\xe9"), (b"zTXt", &ztxt)], &[(b"iTXt", &packed_itxt)]);
    let file = read(&bytes).unwrap();
    let found: Vec<(&str, &str)> =
        file.texts.iter().map(|text| (text.keyword.as_str(), text.text.as_deref().unwrap())).collect();
    assert_eq!(found, [("Comment", "café"), ("Author", "größer"), ("Title", "日本")]);
    assert_eq!((file.width, file.height, file.damage), (2, 2, None));
}

#[test]
fn a_text_that_unpacks_to_more_than_any_record_is_not_unpacked() {
    let bomb = packed(&vec![b'a'; 64 << 20]);
    assert!(bomb.len() < 100_000);
    for bytes in [
        with_chunks(&[(b"zTXt", &[b"sfumato\0\0", &bomb[..]].concat())], &[]),
        with_chunks(&[(b"iTXt", &[b"sfumato\0\x01\0\0\0", &bomb[..]].concat())], &[]),
        with_chunks(&[], &[(b"tEXt", &[b"sfumato\0", &vec![b'a'; 2 << 20][..]].concat())]),
    ] {
        let (keyword, text) = only(&bytes);
        assert_eq!(keyword, "sfumato");
        assert!(text.unwrap_err().contains("longer than 1024 KiB"));
    }
}

#[test]
fn texts_that_are_none_are_left_out_or_say_why() {
    for chunk in [&b"no keyword"[..], b"", b"\0", b"\0text", &[b'k'; 90]] {
        for name in [b"tEXt", b"zTXt", b"iTXt"] {
            let file = read(&with_chunks(&[(name, chunk)], &[])).unwrap();
            assert_eq!((file.texts.len(), file.damage), (0, None), "{chunk:?}");
        }
    }
    assert_eq!(read(&with_chunks(&[(b"iTXt", b"sfumato\0\0\0\0\0\xff\xfe")], &[])).unwrap().texts, []);
    let (_, text) = only(&with_chunks(&[(b"zTXt", b"sfumato\0\0this is no zlib")], &[]));
    assert!(text.is_err());
}

#[test]
fn what_is_no_png_or_ends_too_early_is_said() {
    let whole = ours("{}");
    let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(said(b"").contains("x.png is no PNG"));
    assert!(said(b"GIF89a").contains("is no PNG"));
    assert!(said(&whole[..20]).contains("x.png is a damaged PNG: it ends too early"), "{}", said(&whole[..20]));
    // Behind the texts the record is there, and what follows is missing.
    let cut = read(&whole[..whole.len() - 14]).unwrap();
    assert_eq!((cut.texts.len(), cut.damage.as_deref()), (1, Some("it ends too early")));
    let mut changed = whole.clone();
    let place = whole.windows(7).position(|bytes| bytes == b"sfumato").unwrap();
    changed[place + 8] ^= 1;
    assert!(said(&changed).contains("damaged"), "{}", said(&changed));
    assert!(read_png(Path::new("none.png")).unwrap_err().to_string().contains("none.png"));
    assert!(read_png(Path::new("/")).is_err());
}

#[test]
fn a_grid_carries_its_texts_and_the_same_pixels_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let [plain, told] = ["plain.png", "told.png"].map(|name| dir.path().join(name));
    let values: Vec<f32> = (0..48).map(|i| i as f32 / 24.0 - 1.0).collect();
    let write =
        |path: &Path, texts: &Texts| write_grid(path, &values, [4, 3, 2, 2], GridLayout::default(), texts).unwrap();
    write(&plain, &Texts::none());
    write(&told, &Texts::none().with(RECORD, "{\"seed\":7}"));
    assert_eq!(image::open(&plain).unwrap(), image::open(&told).unwrap());
    assert!(is_png(&plain) && !is_png(dir.path()));
    let [plain, told] = [plain, told].map(|path| fs::read(path).unwrap());
    // Length, name and checksum of the chunk; keyword and NUL; text.
    assert_eq!(told.len() - plain.len(), 12 + 8 + 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back(text in "\\PC{0,200}", more in "[ -~]{0,40}") {
        let name = Path::new("x.png");
        let texts = Texts::none().with(RECORD, text.clone()).with("Comment", more.clone());
        let bytes = Raster::picture(name, &[0.5; 12], [3, 2, 2]).unwrap().to_png(name, &texts).unwrap();
        let file = read(&bytes).unwrap();
        let found = |keyword: &str| file.texts.iter().find(|text| text.keyword == keyword).unwrap().text.clone();
        prop_assert_eq!(found(RECORD).unwrap(), text);
        prop_assert_eq!(found("Comment").unwrap(), more);
    }

    #[test]
    fn a_changed_file_is_read_or_refused_and_never_more(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        grown in prop::option::of((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..30))),
    ) {
        let mut bytes = ours("{\"seed\":7,\"index\":3}");
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((place, more)) = grown {
            let at = place.index(bytes.len());
            bytes.splice(at..at, more);
        }
        if let Some(place) = cut {
            bytes.truncate(place.index(bytes.len()));
        }
        match read(&bytes) {
            Ok(file) => prop_assert!(file.texts.len() <= 2),
            Err(error) => prop_assert!(error.to_string().contains("x.png")),
        }
    }
}
