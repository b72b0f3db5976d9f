//! NumPy's `.npy` files: reading bytes and `f32`, writing `f32`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::npy_header::{Header, MAX_HEADER};
use super::{NpyError, OutputError, write_atomically};

/// An element type that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpyType {
    /// `uint8`.
    U8,
    /// `float32`, little-endian.
    F32,
}

/// A `.npy` file whose header has been read and whose length agrees with it, so that reading the data allocates no more
/// than the file holds.
#[derive(Debug)]
pub struct NpyReader {
    file: File,
    path: PathBuf,
    header: Header,
    /// Length of the data in bytes.
    bytes: u64,
}

impl NpyReader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`NpyError`] if it cannot be read, is no `.npy` file (versions 1 to 3), is in Fortran order, or is shorter or
    /// longer than its header says.
    pub fn open(path: &Path) -> Result<NpyReader, NpyError> {
        let failed = |source| NpyError::Io { path: path.to_owned(), source };
        let not_npy = |reason| NpyError::NotNpy { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(failed)?;
        let mut read_exactly = |bytes: &mut [u8]| match file.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(not_npy("it ends within its header")),
            result => result.map_err(failed),
        };
        let mut start = [0; 8];
        read_exactly(&mut start)?;
        if start[..6] != *b"\x93NUMPY" {
            return Err(not_npy("it does not start with \\x93NUMPY"));
        }
        let (length, offset) = match start[6] {
            1 => {
                let mut length = [0; 2];
                read_exactly(&mut length)?;
                (usize::from(u16::from_le_bytes(length)), 10)
            }
            2 | 3 => {
                let mut length = [0; 4];
                read_exactly(&mut length)?;
                (u32::from_le_bytes(length) as usize, 12)
            }
            _ => return Err(not_npy("its version is not 1, 2 or 3")),
        };
        if length > MAX_HEADER {
            return Err(not_npy("its header is longer than 64 KiB"));
        }
        let mut text = vec![0; length];
        read_exactly(&mut text)?;
        let text = String::from_utf8(text).map_err(|_| not_npy("its header is not text"))?;
        let header = Header::parse(&text).map_err(not_npy)?;
        if header.fortran_order {
            return Err(NpyError::FortranOrder { path: path.to_owned() });
        }
        let found = file.metadata().map_err(failed)?.len().saturating_sub(offset + length as u64);
        let reader = NpyReader { file, path: path.to_owned(), header, bytes: found };
        if let Some(npy_type) = reader.npy_type() {
            let size = match npy_type {
                NpyType::U8 => 1u128,
                NpyType::F32 => 4,
            };
            let shape = &reader.header.shape;
            let product = shape.iter().try_fold(size, |product, &n| product.checked_mul(n.into()));
            let expected = product.unwrap_or(u128::MAX);
            if expected != found.into() {
                return Err(NpyError::Length { path: path.to_owned(), shape: shape.clone(), expected, found });
            }
        }
        Ok(reader)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shape of the array.
    pub fn shape(&self) -> &[u64] {
        &self.header.shape
    }

    /// The element type in NumPy's notation, e.g. `<f4`.
    pub fn dtype(&self) -> &str {
        &self.header.descr
    }

    /// The element type, if it is one that can be read.
    pub fn npy_type(&self) -> Option<NpyType> {
        match self.dtype() {
            "|u1" | "<u1" | "u1" => Some(NpyType::U8),
            "<f4" => Some(NpyType::F32),
            _ => None,
        }
    }

    /// Reads all values of a `uint8` array, in C order.
    ///
    /// # Errors
    /// [`NpyError::Type`] for another type, [`NpyError::Io`].
    pub fn read_u8(mut self) -> Result<Vec<u8>, NpyError> {
        self.expect(NpyType::U8, "uint8")?;
        let mut values = self.reserve(self.bytes)?;
        let n = Read::by_ref(&mut self.file).take(self.bytes).read_to_end(&mut values).map_err(|e| self.failed(e))?;
        // The file shrank since it was opened.
        if (n as u64) < self.bytes { Err(self.failed(io::ErrorKind::UnexpectedEof.into())) } else { Ok(values) }
    }

    /// Reads all values of a `float32` array, in C order.
    ///
    /// # Errors
    /// [`NpyError::Type`] for another type, [`NpyError::Io`].
    pub fn read_f32(mut self) -> Result<Vec<f32>, NpyError> {
        self.expect(NpyType::F32, "float32 (<f4)")?;
        let mut values = self.reserve(self.bytes / 4)?;
        let mut buffer = vec![0; 1 << 16];
        let mut rest = self.bytes as usize;
        while rest > 0 {
            let chunk = &mut buffer[..rest.min(1 << 16)];
            self.file.read_exact(chunk).map_err(|error| NpyError::Io { path: self.path.clone(), source: error })?;
            values.extend(chunk.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))));
            rest -= chunk.len();
        }
        Ok(values)
    }

    fn expect(&self, npy_type: NpyType, expected: &'static str) -> Result<(), NpyError> {
        if self.npy_type() == Some(npy_type) {
            return Ok(());
        }
        Err(NpyError::Type { path: self.path.clone(), dtype: self.dtype().to_owned(), expected })
    }

    fn reserve<T>(&self, values: u64) -> Result<Vec<T>, NpyError> {
        let mut vector = Vec::new();
        let too_much = || NpyError::OutOfMemory { path: self.path.clone(), bytes: self.bytes };
        let values = usize::try_from(values).map_err(|_| too_much())?;
        vector.try_reserve_exact(values).map_err(|_| too_much())?;
        Ok(vector)
    }

    fn failed(&self, source: io::Error) -> NpyError {
        NpyError::Io { path: self.path.clone(), source }
    }
}

/// Reads a `float32` array of any shape: its shape and its values in C order.
///
/// # Errors
/// [`NpyError`], as [`NpyReader::open`] and [`NpyReader::read_f32`].
pub fn read_npy_f32(path: &Path) -> Result<(Vec<usize>, Vec<f32>), NpyError> {
    let reader = NpyReader::open(path)?;
    let shape = reader.shape().iter().map(|&n| n as usize).collect();
    Ok((shape, reader.read_f32()?))
}

/// Writes a `float32` array in C order, as `numpy.save` would.
///
/// # Errors
/// [`OutputError::Shape`] if the number of values is not the product of the shape; [`OutputError::Io`].
pub fn write_npy_f32(path: &Path, shape: &[usize], values: &[f32]) -> Result<(), OutputError> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(OutputError::Shape { path: path.to_owned(), shape: shape.to_vec(), values: values.len() });
    }
    let shape = shape.iter().map(|&n| n as u64).collect();
    let mut bytes = Header { descr: "<f4".to_owned(), fortran_order: false, shape }.encode();
    bytes.reserve_exact(4 * values.len());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

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
            let bytes = [encode(descr, false, &[1]), vec![0; 1]].concat();
            let message = error(&bytes);
            assert!(message.contains(descr) && message.contains("float32"), "{message}");
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
            assert_eq!(NpyReader::open(&path).unwrap().read_u8().unwrap(), [7, 8, 9]);
        }
    }

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let (_dir, path) = file(b"");
        let error = write_npy_f32(&path, &[2, 2], &[0.0; 5]).unwrap_err();
        assert!(matches!(error, OutputError::Shape { values: 5, .. }), "{error}");
    }
}
