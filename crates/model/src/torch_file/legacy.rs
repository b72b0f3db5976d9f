//! The container of torch before 1.6: five pickles, then the storages.
//!
//! Magic number, protocol version, facts about the machine, the object, the keys of the storages in the order in which they
//! follow, each as its number of elements (eight bytes) and its numbers. torch's `serialization._legacy_save`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::{
    PickleFault,
    pickle::{self, Pickle},
    tensors::{StateDict, StateFault},
    value::Value,
};

/// The magic number 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The start of such a file: protocol 2, a long of ten bytes.
pub(super) const START: [u8; 14] = [
    0x80, 0x02, 0x8a, 0x0a, MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], MAGIC[4], MAGIC[5], MAGIC[6], MAGIC[7], MAGIC[8],
    MAGIC[9],
];
/// Version of the protocol, the only one there ever was.
const VERSION: i64 = 1001;

/// Why such a file could not be read.
#[derive(Debug)]
pub(super) enum LegacyError {
    Io(io::Error),
    State(StateFault),
}

impl From<io::Error> for LegacyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StateFault> for LegacyError {
    fn from(fault: StateFault) -> Self {
        Self::State(fault)
    }
}

impl From<PickleFault> for LegacyError {
    fn from(fault: PickleFault) -> Self {
        Self::State(fault.into())
    }
}

/// The tensors and the first byte of every storage of a file that starts with `prefix`.
pub(super) fn read(
    file: &mut File,
    len: u64,
    prefix: &[u8],
    anchors: &[&str],
) -> Result<(StateDict, BTreeMap<String, u64>), LegacyError> {
    let magic = pickle::read(prefix, 0)?;
    let version = pickle::read(prefix, magic.end)?;
    let machine = pickle::read(prefix, version.end)?;
    let known = *magic.values.get(magic.root) == Value::Long(MAGIC.to_vec())
        && *version.values.get(version.root) == Value::Int(VERSION);
    if !known || !is_little_endian(&machine) {
        return Err(PickleFault::Malformed { what: "the header (magic number, version 1001, little-endian)" }.into());
    }
    let object = pickle::read(prefix, machine.end)?;
    let keys = pickle::read(prefix, object.end)?;
    let mut state = StateDict::new(&object, anchors)?;
    state.add_all_storages(&object.values);
    let places = places(file, len, &state, &keys)?;
    Ok((state, places))
}

fn is_little_endian(machine: &Pickle) -> bool {
    let Value::Dict(facts) = machine.values.get(machine.root) else { return false };
    let fact = facts.iter().find(|&&(key, _)| machine.values.text(key) == Some("little_endian"));
    fact.is_some_and(|&(_, value)| *machine.values.get(value) == Value::Bool(true))
}

/// Walks along the storages; each must be as long as the pickle says and lie within the file.
fn places(file: &mut File, len: u64, state: &StateDict, keys: &Pickle) -> Result<BTreeMap<String, u64>, LegacyError> {
    let malformed = |what| LegacyError::from(PickleFault::Malformed { what });
    let Value::List(list) = keys.values.get(keys.root) else { return Err(malformed("the list of storages")) };
    let mut at = keys.end as u64;
    let mut places = BTreeMap::new();
    let mut expected = at;
    let mut storages = Vec::with_capacity(list.len());
    for &key in list {
        let key = keys.values.text(key).ok_or_else(|| malformed("the list of storages"))?;
        let storage = state.storages.get(key).ok_or_else(|| malformed("a storage that no tensor needs"))?;
        // Products of elements and their size were checked when the storage was read.
        expected = expected.saturating_add(8).saturating_add(storage.elements * storage.dtype.size() as u64);
        storages.push((key, storage));
    }
    if expected > len {
        return Err(StateFault::Truncated { len, expected }.into());
    }
    for (key, storage) in storages {
        file.seek(SeekFrom::Start(at))?;
        let mut elements = [0; 8];
        file.read_exact(&mut elements)?;
        if u64::from_le_bytes(elements) != storage.elements {
            let reason = format!("storage `{key}` has another length than the {} elements it should", storage.elements);
            return Err(StateFault::Tensor { tensor: first_in(state, key), reason }.into());
        }
        places.insert(key.to_owned(), at + 8);
        at += 8 + storage.elements * storage.dtype.size() as u64;
    }
    Ok(places)
}

/// The name of the first tensor in the storage `key`.
fn first_in(state: &StateDict, key: &str) -> String {
    let mut names = state.tensors.iter().filter(|(_, tensor)| tensor.storage == key);
    names.next().map(|(name, _)| name.clone()).unwrap_or_default()
}
