//! The directory of a zip archive whose entries are stored, not compressed: what torch writes.
//!
//! PKWARE's APPNOTE 6.3.10, sections 4.3 (records) and 4.5.3 (zip64). Every offset is checked against the file's length;
//! checksums are not, since torch itself can be told not to write them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::ZipFault;

/// Longest directory that is read: a hundred bytes an entry for more storages than any checkpoint has.
const MAX_DIRECTORY: u64 = 16 << 20;
/// The end record and the longest comment behind it.
const END_RECORD: usize = 22;
const MAX_COMMENT: usize = 65_535;
/// What stands in a 32-bit field whose value is in the zip64 extra field.
const ELSEWHERE: u32 = u32::MAX;

/// Where an entry's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    header: u64,
    pub(super) bytes: u64,
    stored: bool,
}

/// Why an archive could not be read.
#[derive(Debug)]
pub(super) enum ZipError {
    Io(io::Error),
    Fault(ZipFault),
}

impl From<io::Error> for ZipError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ZipFault> for ZipError {
    fn from(fault: ZipFault) -> Self {
        Self::Fault(fault)
    }
}

/// Entries by name.
pub(super) fn directory(file: &mut File, len: u64) -> Result<BTreeMap<String, Entry>, ZipError> {
    let (begin, bytes) = locate(file, len)?;
    if bytes > MAX_DIRECTORY {
        return Err(ZipFault::LongDirectory { bytes, limit: MAX_DIRECTORY }.into());
    }
    let records = read(file, len, "the directory", begin, bytes)?;
    let mut entries = BTreeMap::new();
    let mut rest = Record { what: "the directory", bytes: &records };
    while !rest.bytes.is_empty() {
        let (name, entry) = entry(&mut rest)?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(ZipFault::Twice { name }.into());
        }
    }
    Ok(entries)
}

/// First byte of the data of `entry`.
pub(super) fn data(file: &mut File, len: u64, name: &str, entry: &Entry) -> Result<u64, ZipError> {
    if !entry.stored {
        return Err(ZipFault::NotStored { name: name.into() }.into());
    }
    let header = read(file, len, name, entry.header, 30)?;
    let mut header = Record { what: name, bytes: &header };
    header.signature(0x0403_4b50)?;
    header.skip(22)?;
    let (name_len, extra_len) = (header.u16()?, header.u16()?);
    let begin = entry.header + 30 + u64::from(name_len) + u64::from(extra_len);
    within(len, name, begin, entry.bytes)?;
    Ok(begin)
}

/// First byte and length of the directory.
fn locate(file: &mut File, len: u64) -> Result<(u64, u64), ZipError> {
    let tail = len.min((END_RECORD + MAX_COMMENT) as u64);
    let bytes = read(file, len, "the end", len - tail, tail)?;
    // The end record is the last thing but a comment, whose length it gives.
    let starts = (0..bytes.len().saturating_sub(END_RECORD - 1)).rev();
    let start = starts.into_iter().find(|&start| {
        let record = &bytes[start..];
        let comment = usize::from(u16::from_le_bytes([record[20], record[21]]));
        record.starts_with(b"PK\x05\x06") && start + END_RECORD + comment == bytes.len()
    });
    let Some(start) = start else { return Err(ZipFault::NoDirectory { len }.into()) };
    let mut record = Record { what: "the end", bytes: &bytes[start + 12..] };
    let (size, offset) = (record.u32()?, record.u32()?);
    // Archives of 4 GiB or 65535 entries have a second, longer record, and a pointer to it right before this one.
    let pointer =
        start.checked_sub(20).map(|at| &bytes[at..start]).filter(|pointer| pointer.starts_with(b"PK\x06\x07"));
    let Some(pointer) = pointer else { return Ok((offset.into(), size.into())) };
    let mut pointer = Record { what: "the zip64 end", bytes: &pointer[8..] };
    let record = read(file, len, "the zip64 end", pointer.u64()?, 56)?;
    let mut record = Record { what: "the zip64 end", bytes: &record };
    record.signature(0x0606_4b50)?;
    record.skip(36)?;
    let size = record.u64()?;
    Ok((record.u64()?, size))
}

/// Takes one entry off the directory.
fn entry(rest: &mut Record<'_>) -> Result<(String, Entry), ZipFault> {
    rest.signature(0x0201_4b50)?;
    rest.skip(4)?;
    let (flags, method) = (rest.u16()?, rest.u16()?);
    rest.skip(8)?;
    let (compressed, size) = (rest.u32()?, rest.u32()?);
    let (name_len, extra_len, comment_len) = (rest.u16()?, rest.u16()?, rest.u16()?);
    rest.skip(8)?;
    let header = rest.u32()?;
    let name = String::from_utf8_lossy(rest.take(name_len.into())?).into_owned();
    let extra = rest.take(extra_len.into())?;
    rest.skip(comment_len.into())?;

    // The 64-bit values of those fields that say so, in the order of the record.
    let mut wide = Record { what: "a zip64 field", bytes: zip64(extra)? };
    let mut widen = |field: u32| if field == ELSEWHERE { wide.u64() } else { Ok(field.into()) };
    let (bytes, compressed, header) = (widen(size)?, widen(compressed)?, widen(header)?);
    // Bit 0 of the flags: encrypted.
    Ok((name, Entry { header, bytes, stored: method == 0 && flags & 1 == 0 && compressed == bytes }))
}

/// The zip64 field among the extra fields; empty if there is none.
fn zip64(extra: &[u8]) -> Result<&[u8], ZipFault> {
    let mut rest = Record { what: "an extra field", bytes: extra };
    while rest.bytes.len() >= 4 {
        let (id, len) = (rest.u16()?, rest.u16()?);
        let field = rest.take(len.into())?;
        if id == 1 {
            return Ok(field);
        }
    }
    Ok(&[])
}

fn within(len: u64, what: &str, begin: u64, bytes: u64) -> Result<(), ZipFault> {
    let end = begin.saturating_add(bytes);
    if end > len {
        return Err(ZipFault::Outside { what: what.into(), begin, end, len });
    }
    Ok(())
}

fn read(file: &mut File, len: u64, what: &str, begin: u64, bytes: u64) -> Result<Vec<u8>, ZipError> {
    within(len, what, begin, bytes)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut buffer = vec![0; bytes as usize];
    file.read_exact(&mut buffer)?;
    Ok(buffer)
}

/// Little-endian fields, one after the other.
struct Record<'a> {
    what: &'a str,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ZipFault> {
        let (taken, rest) =
            self.bytes.split_at_checked(len).ok_or_else(|| ZipFault::Record { what: self.what.into() })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn skip(&mut self, len: usize) -> Result<(), ZipFault> {
        self.take(len).map(drop)
    }

    fn signature(&mut self, expected: u32) -> Result<(), ZipFault> {
        if self.u32()? == expected { Ok(()) } else { Err(ZipFault::Record { what: self.what.into() }) }
    }

    fn u16(&mut self) -> Result<u16, ZipFault> {
        Ok(self.take(2)?.iter().rev().fold(0, |value, &byte| value << 8 | u16::from(byte)))
    }

    fn u32(&mut self) -> Result<u32, ZipFault> {
        Ok(self.take(4)?.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn u64(&mut self) -> Result<u64, ZipFault> {
        Ok(self.take(8)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }
}
