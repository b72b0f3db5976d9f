use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use super::{header::Header, types::half};

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn error(bytes: &[u8]) -> String {
    let (_dir, path) = file(bytes);
    let message = read_npy_f32(&path).unwrap_err().to_string();
    assert!(message.contains("x.npy"), "{message}");
    message
}

fn encode(descr: &str, fortran_order: bool, shape: &[u64]) -> Vec<u8> {
    Header { descr: descr.into(), fortran_order, shape: shape.to_vec() }.encode()
}

#[test]
fn another_implementation_reads_what_is_written() {
    let (_dir, path) = file(b"");
    let values = [1.0f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY, 3.5, -7.25];
    for shape in [&[6][..], &[2, 3], &[1, 6, 1], &[3, 2, 1, 1]] {
        write_npy_f32(&path, shape, &values).unwrap();
        let npy = npyz::NpyFile::new(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(npy.shape().iter().map(|&n| n as usize).collect::<Vec<_>>(), shape);
        assert_eq!((npy.order(), npy.into_vec::<f32>().unwrap()), (npyz::Order::C, values.to_vec()));
    }
}

proptest! {
    #[test]
    fn arrays_round_trip_to_the_bit(shape in prop::collection::vec(0usize..6, 0..5), seed: u32) {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n as u32).map(|i| f32::from_bits(seed.wrapping_mul(2_654_435_769).wrapping_add(i * 97_003))).collect();
        let (_dir, path) = file(b"");
        write_npy_f32(&path, &shape, &values).unwrap();
        let (read_shape, read) = read_npy_f32(&path).unwrap();
        prop_assert_eq!(read_shape, shape);
        prop_assert!(read.iter().map(|x| x.to_bits()).eq(values.iter().map(|x| x.to_bits())));
    }
}

#[test]
fn damaged_and_lying_files_are_refused_without_allocating_what_they_claim() {
    let data = [0u8; 24];
    let good = [encode("<f4", false, &[2, 3]), data.to_vec()].concat();
    assert!(error(&good[..good.len() - 1]).contains("holds 23 bytes of data, but its header announces 24"));
    assert!(error(&[&good[..], &[0]].concat()).contains("holds 25 bytes"));
    assert!(error(&good[..50]).contains("ends within its header"));
    assert!(error(b"").contains("ends within its header"));
    assert!(error(b"PNG and not an array").contains("does not start"));
    let huge = [encode("<f4", false, &[1 << 40, 1 << 10]), data.to_vec()].concat();
    assert!(error(&huge).contains("announces 4503599627370496"));
    // 2^64 elements would wrap around to 0 in 64 bits.
    let wrapping = [encode("<f4", false, &[1 << 32, 1 << 32]), vec![]].concat();
    assert!(error(&wrapping).contains("holds 0 bytes"));
    let overflowing = [encode("<f4", false, &[u64::MAX; 4]), vec![]].concat();
    assert!(error(&overflowing).contains("holds 0 bytes"));
    let mut long_header = b"\x93NUMPY\x02\x00".to_vec();
    long_header.extend(u32::MAX.to_le_bytes());
    assert!(error(&long_header).contains("longer than 64 KiB"));
    assert!(error(b"\x93NUMPY\x09\x00\x01\x00x").contains("version"));
}

#[test]
fn fortran_order_and_other_types_are_refused_with_the_remedy() {
    assert!(error(&[encode("<f4", true, &[2, 3]), vec![0; 24]].concat()).contains("ascontiguousarray"));
    for descr in ["<f8", ">f4", "|u1", "<i8", "|O", "<U3"] {
        let size = NpyType::parse(descr).map_or(1, |(npy_type, _)| npy_type.size());
        let bytes = [encode(descr, false, &[1]), vec![0; size]].concat();
        let message = error(&bytes);
        assert!(message.contains(descr) && message.contains("float32"), "{message}");
    }
}

#[test]
fn numbers_of_every_type_and_either_order_are_read() {
    let values = [0.0f32, 1.0, -2.5, 100.0, 65_504.0, 6.103_515_6e-5];
    let read = |descr: &str, fortran, shape: &[u64], data: Vec<u8>| {
        let (_dir, path) = file(&[encode(descr, fortran, shape), data].concat());
        NpyReader::open(&path).unwrap().read_numbers().unwrap()
    };
    // Made with np.array(values, np.float16).tobytes().
    let halves: [u16; 6] = [0, 0x3c00, 0xc100, 0x5640, 0x7bff, 0x0400];
    let bytes = |big: bool, each: &dyn Fn(f32) -> Vec<u8>| -> Vec<u8> {
        values
            .iter()
            .flat_map(|x| {
                let mut b = each(*x);
                if big {
                    b.reverse()
                };
                b
            })
            .collect()
    };
    for big in [false, true] {
        let name = |text: &str| format!("{}{text}", if big { '>' } else { '<' });
        assert_eq!(read(&name("f4"), false, &[6], bytes(big, &|x| x.to_le_bytes().to_vec())), values);
        assert_eq!(read(&name("f8"), false, &[6], bytes(big, &|x| f64::from(x).to_le_bytes().to_vec())), values);
        let halves = halves.iter().flat_map(|h| if big { h.to_be_bytes() } else { h.to_le_bytes() }).collect();
        assert_eq!(read(&name("f2"), false, &[6], halves), values);
        let ints = [-1i64, 0, 7].iter().flat_map(|i| if big { i.to_be_bytes() } else { i.to_le_bytes() }).collect();
        assert_eq!(read(&name("i8"), false, &[3], ints), [-1.0, 0.0, 7.0]);
        let words = [0u16, 300, 65_535].iter().flat_map(|i| if big { i.to_be_bytes() } else { i.to_le_bytes() });
        assert_eq!(read(&name("u2"), false, &[3], words.collect()), [0.0, 300.0, 65_535.0]);
    }
    assert_eq!(read("|i1", false, &[2], vec![255, 127]), [-1.0, 127.0]);
    assert_eq!(read("|b1", false, &[2], vec![0, 1]), [0.0, 1.0]);
    // a[i, j, k] = 100 i + 10 j + k, column by column.
    let data = (0..4).flat_map(|k| (0..3).flat_map(move |j| (0..2).map(move |i| 100 * i + 10 * j + k))).collect();
    let expected: Vec<f32> =
        (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| (100 * i + 10 * j + k) as f32))).collect();
    assert_eq!(read("|u1", true, &[2, 3, 4], data), expected);
    for (bits, value) in [(0x7c00u16, f32::INFINITY), (0xfc00, f32::NEG_INFINITY), (1, 2f32.powi(-24)), (0x8000, 0.0)] {
        assert_eq!(half(bits), value);
    }
    assert!(half(0x7e00).is_nan());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    for path in ["/dev/zero", "/tmp"] {
        let message = read_npy_f32(Path::new(path)).unwrap_err().to_string();
        assert!(message.contains("no file"), "{message}");
    }
}

#[test]
fn versions_2_and_3_are_read() {
    for version in [2, 3] {
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend([7, 8, 9]);
        let (_dir, path) = file(&bytes);
        assert_eq!(NpyReader::open(&path).unwrap().read_bytes().unwrap(), [7, 8, 9]);
    }
}

#[test]
fn a_wrong_number_of_values_is_refused() {
    let (_dir, path) = file(b"");
    let error = write_npy_f32(&path, &[2, 2], &[0.0; 5]).unwrap_err();
    assert!(matches!(error, NpyError::Count { values: 5, .. }), "{error}");
}
