//! `train --tensorboard DIR`: the files, read back by their structure. `tests/tensorboard/read.py` does the same with TensorBoard itself.

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{TINY, fail, sfumato, succeed, train_tiny};
use serde_json::Value;

/// A field of a protocol-buffers message.
#[derive(Debug)]
enum Field<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    Fixed(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    unreachable!()
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken
        };
        let field = match key & 7 {
            1 => Field::Fixed(take(8).to_vec()),
            5 => Field::Fixed(take(4).to_vec()),
            0 => Field::Integer(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(taken)
            }
            wire => panic!("wire type {wire}"),
        };
        found.push((key >> 3, field));
    }
    found
}

/// Checksum of Castagnoli, bit by bit, then masked.
fn masked(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// What the files in a folder hold: scalars by tag and step, and pictures by step.
#[derive(Debug, Default)]
struct Read {
    scalars: BTreeMap<String, BTreeMap<u64, f32>>,
    pictures: BTreeMap<u64, Vec<u8>>,
    versions: usize,
}

fn read(dir: &Path) -> Read {
    let mut read = Read::default();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
        let bytes = fs::read(&path).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            let record = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked(record).to_le_bytes());
            event(record, &mut read);
            rest = &rest[16 + length..];
        }
    }
    read
}

fn event(record: &[u8], read: &mut Read) {
    let mut step = 0;
    for (number, field) in fields(record) {
        match (number, field) {
            (1, Field::Fixed(time)) => assert!(f64::from_le_bytes(time.try_into().unwrap()) > 1.7e9),
            (2, Field::Integer(found)) => step = found,
            (3, Field::Bytes(version)) => {
                assert_eq!(version, b"brain.Event:2");
                read.versions += 1;
            }
            (5, Field::Bytes(summary)) => {
                for (_, value) in fields(summary) {
                    let Field::Bytes(value) = value else { panic!("a value is a message") };
                    self::value(value, step, read);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn value(value: &[u8], step: u64, read: &mut Read) {
    let mut tag = String::new();
    for (number, field) in fields(value) {
        match (number, field) {
            (1, Field::Bytes(text)) => tag = String::from_utf8(text.to_vec()).unwrap(),
            (2, Field::Fixed(number)) => {
                let number = f32::from_le_bytes(number.try_into().unwrap());
                assert!(
                    read.scalars.entry(tag.clone()).or_default().insert(step, number).is_none(),
                    "{tag} {step} twice"
                );
            }
            (4, Field::Bytes(image)) => {
                assert_eq!(tag, "samples");
                let Some((4, Field::Bytes(png))) = fields(image).pop() else { panic!("a picture has bytes") };
                read.pictures.insert(step, png.to_vec());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_are_the_metrics_and_the_grids_also_over_a_resumption() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "3", "--sample-every", "2", "--tensorboard", "board"]);
    let board = dir.path().join("board");
    succeed(dir.path(), &["train", "--resume", "runs/a", "--steps", "5", "--tensorboard", "board"]);
    let found = read(&board);
    assert_eq!(found.versions, 2);
    let lines = metrics(&run);
    assert_eq!(lines.len(), 5);
    for key in ["loss", "grad_norm", "learning_rate", "images_per_second"] {
        let expected = lines.iter().map(|line| (line["step"].as_u64().unwrap(), line[key].as_f64().unwrap() as f32));
        assert_eq!(found.scalars[key], expected.collect(), "{key}");
    }
    assert_eq!(found.pictures.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
    for (step, png) in found.pictures {
        assert_eq!(png, fs::read(run.join(format!("samples/step-{step:07}.png"))).unwrap());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_said_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let args: Vec<&str> = ["train", "--out", "runs/a", "--steps", "1", "--tensorboard", "file/board"]
        .iter()
        .chain(TINY)
        .copied()
        .collect();
    let said = fail(dir.path(), 1, &args);
    assert!(said.contains("file/board") && !dir.path().join("runs").exists(), "{said}");
    assert!(sfumato(dir.path()).args(["train", "--help"]).output().unwrap().status.success());
}
