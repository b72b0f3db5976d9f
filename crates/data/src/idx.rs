//! The IDX file format of MNIST and its relatives: big-endian magic number, sizes, then bytes; plain or gzipped.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use sfumato_files::memory;

use super::DataError;
use super::guard::guarded_or;
use super::store::regular;

/// Contents of an IDX file of unsigned bytes.
#[derive(Debug)]
pub(super) struct Idx<const D: usize> {
    pub(super) dimensions: [usize; D],
    pub(super) values: Vec<u8>,
    /// The file's header as it stands, for checksums of the uncompressed file.
    pub(super) header: Vec<u8>,
}

/// Most bytes that an IDX file may announce: 4 GiB, far above any published set.
const MAX_BYTES: u64 = 1 << 32;

/// Deflate makes at most 1032 bytes of one.
pub(super) const MAX_EXPANSION: u64 = 1032;

/// Reads an IDX file of `D`-dimensional unsigned bytes; a gzip stream is recognised by its magic bytes.
pub(super) fn read<const D: usize>(path: &Path) -> Result<Idx<D>, DataError> {
    let file = regular(path)?;
    let stored = file.metadata().map_err(DataError::io("read", path))?.len();
    let mut file = BufReader::new(file);
    let mut start = [0; 2];
    let got = read_up_to(&mut file, &mut start).map_err(DataError::io("read", path))?;
    let file = start[..got].chain(file);
    if start == [0x1f, 0x8b] {
        unpack(file, stored, path)
    } else {
        let short = |expected, found| DataError::Length { path: path.to_owned(), expected, found };
        parse(file, stored, short, path)
    }
}

/// Reads uncompressed IDX from a gzip stream in memory.
pub(super) fn read_gz_bytes<const D: usize>(bytes: &[u8], path: &Path) -> Result<Idx<D>, DataError> {
    unpack(bytes, bytes.len() as u64, path)
}

/// Reads a gzip stream of `stored` bytes.
fn unpack<const D: usize>(stream: impl Read, stored: u64, path: &Path) -> Result<Idx<D>, DataError> {
    let damaged = |reason| DataError::Gzip { path: path.to_owned(), source: io::Error::other(reason) };
    let lies = |announced, _| {
        damaged(format!("its header announces {announced} bytes of data, which {stored} bytes of gzip cannot hold"))
    };
    guarded_or(|| parse(GzDecoder::new(stream), stored.saturating_mul(MAX_EXPANSION), lies, path), damaged)
}

/// Reads a stream that can hold at most `most` bytes; `short` makes the error of the bytes announced and of those possible.
fn parse<const D: usize>(
    mut reader: impl Read,
    most: u64,
    short: impl Fn(u64, u64) -> DataError,
    path: &Path,
) -> Result<Idx<D>, DataError> {
    let damaged = |source: io::Error| match source.kind() {
        // flate2 reports damage with these kinds; anything else comes from the file system.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            DataError::Gzip { path: path.to_owned(), source }
        }
        _ => DataError::Io { action: "read", path: path.to_owned(), source },
    };
    let mut header = vec![0; 4 + 4 * D];
    let got = read_up_to(&mut reader, &mut header).map_err(damaged)?;
    if got < header.len() {
        return Err(DataError::Length { path: path.to_owned(), expected: header.len() as u64, found: got as u64 });
    }
    let word = |i: usize| u32::from_be_bytes(header[4 * i..4 * i + 4].try_into().expect("four bytes"));
    let expected = 0x0800 | D as u32;
    if word(0) != expected {
        return Err(DataError::IdxMagic { path: path.to_owned(), expected_dimensions: D, expected, found: word(0) });
    }
    let shape: [u32; D] = std::array::from_fn(|i| word(i + 1));
    let bytes = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n.into()));
    let Some(bytes @ 1..=MAX_BYTES) = bytes else {
        return Err(DataError::BadSize { path: path.to_owned(), shape: shape.map(u64::from).to_vec() });
    };
    // Before any memory is taken: a header cannot ask for more than the file can hold.
    let most = most.saturating_sub(header.len() as u64);
    if bytes > most {
        return Err(short(bytes, most));
    }
    let mut values = memory::reserve(bytes)
        .ok_or_else(|| DataError::BadSize { path: path.to_owned(), shape: shape.map(u64::from).to_vec() })?;
    reader.by_ref().take(bytes).read_to_end(&mut values).map_err(damaged)?;
    let rest = read_up_to(&mut reader, &mut [0]).map_err(damaged)?;
    let found = (values.len() + rest) as u64;
    if found != bytes {
        return Err(DataError::Length { path: path.to_owned(), expected: bytes, found });
    }
    Ok(Idx { dimensions: shape.map(|n| n as usize), values, header })
}

/// Fills `buffer` as far as the reader goes.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    pub(in super::super) fn idx(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
        let mut file = (0x0800 | dimensions.len() as u32).to_be_bytes().to_vec();
        dimensions.iter().for_each(|n| file.extend(n.to_be_bytes()));
        file.extend(values);
        file
    }

    pub(in super::super) fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes<const D: usize>(bytes: &[u8]) -> Result<Idx<D>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-idx");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    #[test]
    fn plain_and_gzipped_files_read_the_same() {
        let file = idx(&[2, 2, 3], &(0..12).collect::<Vec<u8>>());
        for bytes in [file.clone(), gz(&file)] {
            let idx = read_bytes::<3>(&bytes).unwrap();
            assert_eq!((idx.dimensions, idx.values), ([2, 2, 3], (0..12).collect()));
            assert_eq!(idx.header, file[..16]);
        }
    }

    #[test]
    fn damaged_files_are_named_and_explained() {
        let file = idx(&[2, 2, 3], &[9; 12]);
        let cases: [(Vec<u8>, &str); 9] = [
            (vec![], "holds 0 bytes of data where 16"),
            (vec![0], "holds 1 bytes"),
            (file[..20].to_vec(), "holds 4 bytes of data where 12"),
            ([&file[..], &[0]].concat(), "holds 13 bytes of data where 12"),
            (idx(&[12], &[9; 12]), "0x00000801, expected 0x00000803"),
            (idx(&[u32::MAX, u32::MAX, u32::MAX], &[9; 12]), "too large"),
            (idx(&[1 << 20, 28, 28], &[9; 12]), "holds 12 bytes"),
            (idx(&[0, 28, 28], &[]), "empty"),
            (gz(&file)[..30].to_vec(), "cannot decompress"),
        ];
        for (bytes, expected) in cases {
            let message = read_bytes::<3>(&bytes).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("x-idx"), "{message}");
        }
        // What is unpacked is no more than was announced, and what is announced no more than there can be.
        let long = [&file[..], &vec![0; 1 << 20]].concat();
        let message = read_bytes::<3>(&gz(&long)).unwrap_err().to_string();
        assert!(message.contains("holds 13 bytes of data where 12"), "{message}");
        let message = read_bytes::<3>(&gz(&idx(&[1 << 20, 60, 60], &[9; 12]))).unwrap_err().to_string();
        assert!(message.contains("announces 3774873600 bytes") && message.contains("x-idx"), "{message}");
        let mut damaged = gz(&file);
        let middle = damaged.len() - 6;
        damaged[middle] ^= 0xff; // the CRC
        assert!(matches!(read_bytes::<3>(&damaged), Err(DataError::Gzip { .. })));
        let missing = read::<3>(Path::new("no/such-file")).unwrap_err().to_string();
        assert!(missing.contains("cannot open no/such-file"), "{missing}");
    }
}
