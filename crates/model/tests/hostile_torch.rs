//! Damaged and malicious files of torch: always an error that names the file, never a panic, never much memory.

#[path = "common/formula.rs"]
mod formula;
#[path = "common/memory.rs"]
mod memory;
#[path = "common/torch_writer.rs"]
mod torch_writer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use formula::Formula;
use memory::peak;
use proptest::{prelude::*, sample::Index};
use sfumato_model::torch_file::{TorchFile, TorchFileError};
use tempfile::{TempDir, tempdir};
use torch_writer::{archive, checkpoint, state_dict};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Far above what the small files need, far below what their claims would cost.
const MUCH: usize = 8 << 20;

fn tensors() -> Vec<torch_writer::Tensor> {
    let shapes: [(&str, &[usize]); 4] =
        [("a.weight", &[8, 3, 3, 3]), ("a.bias", &[8]), ("b.weight", &[5, 8]), ("c", &[])];
    shapes.map(|(name, shape)| (name.to_owned(), shape.to_vec(), Formula.weight(name, shape))).into()
}

fn written(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("checkpoint.pt");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Opens a file and reads all its tensors.
fn read_all(path: &Path) -> Result<(), TorchFileError> {
    let mut file = TorchFile::open(path)?;
    let names: Vec<String> = file.tensors().keys().cloned().collect();
    names.iter().try_for_each(|name| file.read(name).map(drop))
}

/// What is said of a file; none if it can be read.
fn verdict(bytes: &[u8]) -> Option<String> {
    let (_dir, path) = written(bytes);
    let (result, held) = peak(|| read_all(&path));
    assert!(held < MUCH + bytes.len(), "{held} bytes were held");
    let message = result.err()?.to_string();
    assert!(message.contains("checkpoint.pt"), "{message}");
    assert!(message.len() < 2000, "a message of {} bytes", message.len());
    Some(message)
}

fn refused(bytes: &[u8]) -> String {
    verdict(bytes).expect("this is no checkpoint")
}

/// A stream whose object is `pickle`.
fn stream(pickle: &[u8]) -> Vec<u8> {
    let whole = checkpoint(&[], true);
    let empty = state_dict(&[], true);
    let at = whole.windows(empty.len()).position(|window| window == empty).unwrap();
    [&whole[..at], pickle, &whole[at + empty.len()..]].concat()
}

#[test]
fn undamaged_files_are_read() {
    assert_eq!(verdict(&checkpoint(&tensors(), false)), None);
    assert_eq!(verdict(&checkpoint(&tensors(), true)), None);
    assert_eq!(verdict(&stream(&state_dict(&[], true))), None);
}

#[test]
fn truncation_anywhere_is_seen() {
    for whole in [checkpoint(&tensors(), false), checkpoint(&tensors(), true)] {
        for len in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            refused(&whole[..len]);
        }
    }
}

#[test]
fn objects_that_are_no_state_dict_are_described() {
    assert!(refused(&stream(b"\x80\x02N.")).contains("its root is None"));
    assert!(refused(&stream(b"\x80\x02](K\x01e.")).contains("its root is a list"));
    assert!(refused(&stream(b"\x80\x02}X\x05\0\0\0epochK\x03s.")).contains("`epoch` is a number"));
    assert!(refused(&stream(b"\x80\x02}K\x01K\x02s.")).contains("one of its keys is a number"));
    let nested = b"\x80\x02}X\x05\0\0\0model}s.";
    assert!(refused(&stream(nested)).contains("`model` is a dictionary"));
    // A dictionary in itself.
    assert!(refused(&stream(b"\x80\x02}q\x00X\x01\0\0\0ah\x00s.")).contains("`a` is a dictionary"));
}

/// A pickle with one tensor of our choosing over a storage of `elements` numbers.
fn tensor(elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let mut out =
        b"\x80\x02}X\x01\0\0\0tctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n".to_vec();
    out.extend(b"X\x01\0\0\x000X\x03\0\0\0cpu");
    let integer = |value: i32| [&b"J"[..], &value.to_le_bytes()].concat();
    out.extend([&integer(elements), &b"tQ"[..], &integer(offset)].concat());
    for list in [shape, strides] {
        out.push(b'(');
        list.iter().for_each(|&n| out.extend(integer(n)));
        out.push(b't');
    }
    out.extend(b"\x89}tRs.");
    out
}

#[test]
fn tensors_that_claim_more_than_their_storage_cost_nothing() {
    // A storage of six numbers, there in the file.
    let file = |pickle: Vec<u8>| {
        let entries = [("x/data.pkl".to_owned(), pickle), ("x/data/0".to_owned(), vec![0; 24])];
        archive(&entries, false)
    };
    assert_eq!(verdict(&file(tensor(6, 0, &[2, 3], &[3, 1]))), None);
    assert_eq!(verdict(&file(tensor(6, 1, &[2, 2], &[3, 1]))), None);
    for (offset, shape, strides) in [
        (0, &[2, 4][..], &[4, 1][..]),
        (1, &[2, 3], &[3, 1]),
        (7, &[0], &[1]),
        // A billion times the same number.
        (0, &[1_000_000_000], &[0]),
        (0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]),
        (0, &[2, 2], &[i32::MAX, i32::MAX]),
        (i32::MAX, &[1], &[1]),
        (0, &[2, 3], &[3]),
    ] {
        let message = refused(&file(tensor(6, offset, shape, strides)));
        assert!(message.contains("`t`"), "{message}");
    }
    for (offset, shape, strides) in [(-1, &[1][..], &[1][..]), (0, &[-1], &[1]), (0, &[1], &[-1])] {
        assert!(refused(&file(tensor(6, offset, shape, strides))).contains("a tensor is malformed"));
    }
    // A storage that claims more, or less, than there is.
    assert!(refused(&file(tensor(7, 0, &[1], &[1]))).contains("x/data/0"));
    assert!(refused(&file(tensor(i32::MAX, 0, &[1], &[1]))).contains("x/data/0"));
    assert!(refused(&file(tensor(-6, 0, &[1], &[1]))).contains("a storage is malformed"));
    let lost = archive(&[("x/data.pkl".to_owned(), tensor(6, 0, &[1], &[1]))], false);
    assert!(refused(&lost).contains("no entry `x/data/0`"));
    assert!(refused(&archive(&[("x/version".to_owned(), vec![])], false)).contains("no entry `archive/data.pkl`"));
    // The same claims in a stream.
    assert!(refused(&stream(&tensor(i32::MAX, 0, &[1], &[1]))).contains("checkpoint.pt"));
}

#[test]
fn archives_that_torch_would_not_write_are_refused() {
    let entries = [("x/data.pkl".to_owned(), state_dict(&[], false))];
    let whole = archive(&entries, false);
    let directory = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[directory + at..directory + at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    // Compressed (method 8), encrypted (bit 0 of the flags).
    assert!(refused(&changed(10, &[8])).contains("compressed or encrypted"));
    assert!(refused(&changed(8, &[1])).contains("compressed or encrypted"));
    // An entry, a name and a header beyond the end.
    assert!(refused(&changed(20, &[0xfe; 8])).contains("checkpoint.pt"));
    assert!(refused(&changed(28, &[0xff; 2])).contains("malformed"));
    assert!(refused(&changed(42, &[0xfe; 4])).contains("at bytes"));
    let twice = [entries[0].clone(), entries[0].clone()];
    assert!(refused(&archive(&twice, false)).contains("occurs twice"));
    let foreign = [entries[0].clone(), ("x/byteorder".to_owned(), b"big".to_vec())];
    assert!(refused(&archive(&foreign, false)).contains("big-endian"));
    // A directory of four gigabytes.
    let mut long = whole.clone();
    let end = long.len() - 22;
    long[end + 12..end + 16].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    assert!(refused(&long).contains("directory"));
}

/// Instructions with operands, right and wrong ones.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"N",
        b"\x88",
        b"]",
        b")",
        b"}",
        b"(",
        b"t",
        b"l",
        b"\x85",
        b"\x86",
        b"\x87",
        b"a",
        b"e",
        b"s",
        b"u",
        b"0",
        b"Q",
        b"R",
        b"b",
        b"\x94",
        b"\x93",
        b".",
        b"q\x00",
        b"h\x00",
        b"q\x01",
        b"h\x01",
        b"K\x05",
        b"M\x01\x02",
        b"J\xff\xff\xff\xff",
        b"X\x01\0\0\0a",
        b"X\x07\0\0\0storage",
        b"\x8c\x01b",
        b"\x8a\x02\x01\x80",
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"cos\nsystem\n",
        b"G\0\0\0\0\0\0\0\0",
    ];
    prop_oneof![
        8 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_is_an_error_that_names_the_file_or_a_state_dict(program in prop::collection::vec(instruction(), 0..60)) {
        verdict(&stream(&program.concat()));
        verdict(&archive(&[("x/data.pkl".to_owned(), program.concat())], false));
    }

    #[test]
    fn any_damage_is_an_error_that_names_the_file_or_leaves_a_checkpoint(
        container: bool,
        at in any::<Index>(),
        new in prop::collection::vec(any::<u8>(), 0..12),
        removed in 0usize..12,
    ) {
        let mut bytes = checkpoint(&tensors(), !container);
        let at = at.index(bytes.len());
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, new);
        verdict(&bytes);
    }
}
