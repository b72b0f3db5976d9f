//! PNG files that no encoder writes, through the loader: each is read, or left out by its name.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::Dataset;
use super::{DatasetSpec, LoadOptions, LoadedDataset, load, png};

const SIDE: u32 = 4;
const INDEXED: u8 = 3;

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    [&(data.len() as u32).to_be_bytes(), &body[..], &png::crc(&body)].concat()
}

fn header(width: u32, height: u32, colour: u8, interlaced: u8) -> Vec<u8> {
    let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, interlaced]].concat();
    chunk(b"IHDR", &data)
}

/// Rows of [`SIDE`] indices 0, 1, 0, 1, …
fn pixels() -> Vec<u8> {
    let row = [0, 0, 1, 0, 1];
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&row.repeat(SIDE as usize)).unwrap();
    chunk(b"IDAT", &encoder.finish().unwrap())
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat(), chunk(b"IEND", b"")].concat()
}

fn indexed(between: &[Vec<u8>]) -> Vec<u8> {
    file(&[vec![header(SIDE, SIDE, INDEXED, 0)], between.to_vec(), vec![pixels()]].concat())
}

fn read(files: &[(&str, Vec<u8>)], options: &LoadOptions) -> LoadedDataset {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    load(&DatasetSpec::Folder(dir.path().to_owned()), options).unwrap()
}

/// The first two pixels of an example as bytes, channel by channel.
fn start(data: &LoadedDataset, i: usize) -> Vec<u8> {
    let mut values = vec![0.0; data.example_len()];
    data.write(i, &mut values);
    let byte = |x: &f32| ((x + 1.0) * 127.5).round() as u8;
    values.chunks((SIDE * SIDE) as usize).flat_map(|plane| plane[..2].iter().map(byte)).collect()
}

#[test]
fn a_palette_is_read_up_to_its_last_whole_colour() {
    let colours = [[10, 20, 30], [200, 100, 50]];
    for surplus in [0, 1, 2] {
        let palette = [colours.concat(), vec![9; surplus]].concat();
        let data = read(&[("x.png", indexed(&[chunk(b"PLTE", &palette)]))], &LoadOptions::default());
        assert_eq!((data.len(), data.skipped().len()), (1, 0), "{surplus}");
        assert_eq!(start(&data, 0), [10, 200, 20, 100, 30, 50], "{surplus}");
    }
    // And one of more colours than an index can name.
    let palette = colours.concat().into_iter().chain(std::iter::repeat_n(7, 1000)).collect::<Vec<u8>>();
    let data = read(&[("x.png", indexed(&[chunk(b"PLTE", &palette)]))], &LoadOptions::default());
    assert_eq!(start(&data, 0), [10, 200, 20, 100, 30, 50]);
    assert_eq!(data.shape(), [3, SIDE as usize, SIDE as usize]);
}

#[test]
fn an_alpha_for_more_colours_than_there_are_is_no_reason_to_stop() {
    let palette = chunk(b"PLTE", &[10, 20, 30, 200, 100, 50]);
    let data = read(&[("x.png", indexed(&[palette, chunk(b"tRNS", &[255; 5])]))], &LoadOptions::default());
    assert_eq!(start(&data, 0), [10, 200, 20, 100, 30, 50]);
}

#[test]
fn damaged_ones_are_named_and_left_out_and_an_error_where_it_is_asked_for() {
    let palette = chunk(b"PLTE", &[10, 20, 30, 200, 100, 50]);
    let mut bad_sum = palette.clone();
    *bad_sum.last_mut().unwrap() ^= 1;
    let mut bad_surplus = chunk(b"PLTE", &[1, 2, 3, 4]);
    *bad_surplus.last_mut().unwrap() ^= 1;
    let cut = |bytes: Vec<u8>, end: usize| bytes[..end].to_vec();
    let whole = indexed(std::slice::from_ref(&palette));
    let interlaced = file(&[header(SIDE, SIDE, INDEXED, 1), palette.clone(), pixels()]);
    let huge = |side| file(&[header(side, side, INDEXED, 0), palette.clone(), pixels()]);
    let bad = [
        ("no-palette", indexed(&[])),
        ("empty-palette", indexed(&[chunk(b"PLTE", &[])])),
        ("short-palette", indexed(&[chunk(b"PLTE", &[1, 2])])),
        ("palette-sum", indexed(&[bad_sum])),
        ("surplus-sum", indexed(&[bad_surplus])),
        ("zero", huge(0)),
        ("huge", huge(1 << 31)),
        ("largest", huge(u32::MAX)),
        ("wide", huge(1 << 16)),
        ("interlaced", cut(interlaced.clone(), interlaced.len() - 20)),
        ("no-pixels", file(&[header(SIDE, SIDE, INDEXED, 0), palette.clone()])),
        ("in-palette", cut(whole.clone(), 44)),
        ("in-header", cut(whole.clone(), 20)),
        ("depth", file(&[chunk(b"IHDR", &[0, 0, 0, 4, 0, 0, 0, 4, 7, 3, 0, 0, 0]), palette.clone(), pixels()])),
        ("long-chunk", [&whole[..33], &u32::MAX.to_be_bytes(), b"PLTE"].concat()),
    ];
    let names: Vec<String> = bad.iter().map(|(name, _)| format!("{name}.png")).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        names.iter().map(String::as_str).zip(bad.into_iter().map(|(_, b)| b)).collect();
    files.push(("good.png", whole));
    let data = read(&files, &LoadOptions::default());
    let mut skipped: Vec<&str> =
        data.skipped().iter().filter_map(|file| Path::file_name(&file.path)?.to_str()).collect();
    skipped.sort();
    let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort();
    assert_eq!((data.len(), skipped), (1, expected));

    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in &files {
        fs::write(dir.path().join(name), bytes).unwrap();
        let strict = LoadOptions { strict: true, ..LoadOptions::default() };
        let result = load(&DatasetSpec::Folder(dir.path().to_owned()), &strict);
        fs::remove_file(dir.path().join(name)).unwrap();
        match *name {
            "good.png" => assert!(result.is_ok()),
            name => assert!(result.unwrap_err().to_string().contains(name), "{name}"),
        }
    }
}
