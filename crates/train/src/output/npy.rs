//! NumPy's `.npy` files: reading numbers of any type, writing `f32`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::npy_header::{Header, MAX_HEADER};
use super::{NpyError, OutputError, write_atomically};
use crate::memory;

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpyType {
    /// `bool`, a byte that is 0 or 1.
    Bool,
    /// `uint8`.
    U8,
    /// Another integer type, of so many bytes.
    Int {
        /// 1, 2, 4 or 8.
        bytes: usize,
        /// Whether it has a sign.
        signed: bool,
    },
    /// `float16`, `float32` or `float64`, of so many bytes.
    Float {
        /// 2, 4 or 8.
        bytes: usize,
    },
}

impl NpyType {
    /// The type, and whether its bytes are in big-endian order, of NumPy's notation.
    fn parse(dtype: &str) -> Option<(NpyType, bool)> {
        let big = dtype.starts_with('>');
        let kind = match dtype.trim_start_matches(['<', '>', '|', '=']) {
            "b1" | "?" => NpyType::Bool,
            "u1" => NpyType::U8,
            "i1" => NpyType::Int { bytes: 1, signed: true },
            "u2" => NpyType::Int { bytes: 2, signed: false },
            "i2" => NpyType::Int { bytes: 2, signed: true },
            "u4" => NpyType::Int { bytes: 4, signed: false },
            "i4" => NpyType::Int { bytes: 4, signed: true },
            "u8" => NpyType::Int { bytes: 8, signed: false },
            "i8" => NpyType::Int { bytes: 8, signed: true },
            "f2" => NpyType::Float { bytes: 2 },
            "f4" => NpyType::Float { bytes: 4 },
            "f8" => NpyType::Float { bytes: 8 },
            _ => return None,
        };
        Some((kind, big))
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            NpyType::Bool | NpyType::U8 => 1,
            NpyType::Int { bytes, .. } | NpyType::Float { bytes } => bytes,
        }
    }

    /// The number that the bytes of one element stand for.
    fn number(self, bytes: &[u8], big: bool) -> f32 {
        let word = |from: &mut dyn Iterator<Item = &u8>| from.fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let word = if big { word(&mut bytes.iter()) } else { word(&mut bytes.iter().rev()) };
        match self {
            NpyType::Bool | NpyType::U8 | NpyType::Int { signed: false, .. } => word as f32,
            NpyType::Int { bytes, signed: true } => {
                let unused = 64 - 8 * bytes as u32;
                ((word << unused) as i64 >> unused) as f32
            }
            NpyType::Float { bytes: 2 } => half(word as u16),
            NpyType::Float { bytes: 4 } => f32::from_bits(word as u32),
            NpyType::Float { .. } => f64::from_bits(word) as f32,
        }
    }
}

/// IEEE 754 binary16 as `f32`, exactly.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}

/// A `.npy` array whose header has been read and whose length agrees with it, so that reading the data allocates no more
/// than there is.
pub struct NpyReader<'a> {
    input: Input<'a>,
    path: PathBuf,
    header: Header,
    /// Length of the data in bytes.
    bytes: u64,
}

/// Where the bytes come from.
enum Input<'a> {
    /// A file, in which one can go ahead.
    File(BufReader<File>),
    /// Anything else, such as an entry of an archive.
    Stream(Box<dyn Read + 'a>),
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::File(file) => file.read(buffer),
            Input::Stream(stream) => stream.read(buffer),
        }
    }
}

impl std::fmt::Debug for NpyReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NpyReader").field("path", &self.path).field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'a> NpyReader<'a> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`NpyError`] if it cannot be read, is no file (a pipe or a device), is no `.npy` file (versions 1 to 3), or is shorter or
    /// longer than its header says.
    pub fn open(path: &Path) -> Result<NpyReader<'static>, NpyError> {
        let failed = |source| NpyError::Io { path: path.to_owned(), source };
        // A pipe would be waited for, and a device never ends.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(NpyError::NotNpy { path: path.to_owned(), reason: "it is no file" });
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        NpyReader::start(Input::File(BufReader::with_capacity(1 << 16, file)), length, path)
    }

    /// Reads the header of an array of `length` bytes, header included; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`open`](NpyReader::open).
    pub fn new(input: Box<dyn Read + 'a>, length: u64, path: &Path) -> Result<NpyReader<'a>, NpyError> {
        NpyReader::start(Input::Stream(input), length, path)
    }

    fn start(mut input: Input<'a>, length: u64, path: &Path) -> Result<NpyReader<'a>, NpyError> {
        let failed = |source| NpyError::Io { path: path.to_owned(), source };
        let not_npy = |reason| NpyError::NotNpy { path: path.to_owned(), reason };
        let mut read_exactly = |bytes: &mut [u8]| match input.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(not_npy("it ends within its header")),
            result => result.map_err(failed),
        };
        let mut start = [0; 8];
        read_exactly(&mut start)?;
        if start[..6] != *b"\x93NUMPY" {
            return Err(not_npy("it does not start with \\x93NUMPY"));
        }
        let (header_length, offset) = match start[6] {
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
        if header_length > MAX_HEADER {
            return Err(not_npy("its header is longer than 64 KiB"));
        }
        let mut text = vec![0; header_length];
        read_exactly(&mut text)?;
        let text = String::from_utf8(text).map_err(|_| not_npy("its header is not text"))?;
        let header = Header::parse(&text).map_err(not_npy)?;
        let found = length.saturating_sub(offset + header_length as u64);
        let reader = NpyReader { input, path: path.to_owned(), header, bytes: found };
        if let Some(npy_type) = reader.npy_type() {
            let shape = &reader.header.shape;
            let product = shape.iter().try_fold(npy_type.size() as u128, |product, &n| product.checked_mul(n.into()));
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

    /// The element type, if it is one of numbers.
    pub fn npy_type(&self) -> Option<NpyType> {
        NpyType::parse(self.dtype()).map(|(npy_type, _)| npy_type)
    }

    /// Reads all values of a `uint8` or `bool` array as they are, in C order whatever the file's.
    ///
    /// # Errors
    /// [`NpyError::Type`] for another type, [`NpyError::Io`], [`NpyError::OutOfMemory`].
    pub fn read_bytes(mut self) -> Result<Vec<u8>, NpyError> {
        if !matches!(self.npy_type(), Some(NpyType::U8 | NpyType::Bool)) {
            return Err(self.wrong_type("uint8"));
        }
        let mut values = self.reserve(self.bytes)?;
        let n = Read::by_ref(&mut self.input).take(self.bytes).read_to_end(&mut values).map_err(|e| self.failed(e))?;
        // The file shrank since it was opened.
        if (n as u64) < self.bytes {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.in_c_order(values)
    }

    /// Reads all values of a `float32` array, which has to be in C order.
    ///
    /// # Errors
    /// [`NpyError::Type`] for another type, [`NpyError::FortranOrder`], [`NpyError::Io`], [`NpyError::OutOfMemory`].
    pub fn read_f32(self) -> Result<Vec<f32>, NpyError> {
        if self.dtype() != "<f4" {
            return Err(self.wrong_type("float32 (<f4)"));
        }
        if self.header.fortran_order {
            return Err(NpyError::FortranOrder { path: self.path });
        }
        self.read_numbers()
    }

    /// Reads all values of an array of numbers, each as the nearest `f32`, in C order whatever the file's.
    ///
    /// # Errors
    /// [`NpyError::Type`] for what are no numbers, [`NpyError::Io`], [`NpyError::OutOfMemory`].
    pub fn read_numbers(mut self) -> Result<Vec<f32>, NpyError> {
        let Some((npy_type, big)) = NpyType::parse(self.dtype()) else {
            return Err(self.wrong_type("numbers"));
        };
        let size = npy_type.size();
        let count = self.bytes / size as u64;
        let mut values = self.reserve(count)?;
        self.extend(&mut values, count as usize, npy_type, big)?;
        self.in_c_order(values)
    }

    /// Appends the next `count` numbers in the order of the file.
    fn extend(&mut self, values: &mut Vec<f32>, count: usize, npy_type: NpyType, big: bool) -> Result<(), NpyError> {
        let size = npy_type.size();
        let mut buffer = vec![0; 1 << 16];
        let mut rest = count * size;
        while rest > 0 {
            let chunk = &mut buffer[..rest.min(1 << 16)];
            self.input.read_exact(chunk).map_err(|source| NpyError::Io { path: self.path.clone(), source })?;
            let elements = chunk.chunks_exact(size);
            match (npy_type, big) {
                // The usual ones, at the speed of the file.
                (NpyType::Float { bytes: 4 }, false) => {
                    values.extend(elements.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
                }
                _ => values.extend(elements.map(|bytes| npy_type.number(bytes, big))),
            }
            rest -= chunk.len();
        }
        Ok(())
    }

    /// Whether the first axis moves fastest in the file.
    pub(crate) fn fortran_order(&self) -> bool {
        self.header.fortran_order && self.header.shape.len() > 1
    }

    /// Passes over the next `count` elements.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), NpyError> {
        let bytes = (count * self.npy_type().map_or(1, NpyType::size)) as u64;
        let passed = match &mut self.input {
            Input::File(file) => i64::try_from(bytes).map_err(io::Error::other).and_then(|n| file.seek_relative(n)),
            Input::Stream(stream) => io::copy(&mut stream.take(bytes), &mut io::sink()).map(drop),
        };
        passed.map_err(|error| self.failed(error))
    }

    /// The next `count` elements of a `uint8` or `bool` array into `values`, in the order of the file.
    pub(crate) fn next_bytes(&mut self, values: &mut Vec<u8>, count: usize) -> Result<(), NpyError> {
        values.resize(count, 0);
        self.input.read_exact(values).map_err(|source| NpyError::Io { path: self.path.clone(), source })
    }

    /// The next `count` elements of an array of numbers into `values`, in the order of the file.
    pub(crate) fn next_numbers(&mut self, values: &mut Vec<f32>, count: usize) -> Result<(), NpyError> {
        let Some((npy_type, big)) = NpyType::parse(self.dtype()) else {
            return Err(self.wrong_type("numbers"));
        };
        values.clear();
        self.extend(values, count, npy_type, big)
    }

    /// Turns an array whose first axis moves fastest into one whose last does.
    fn in_c_order<T: Copy>(&self, values: Vec<T>) -> Result<Vec<T>, NpyError> {
        let shape = &self.header.shape;
        if !self.header.fortran_order || shape.len() < 2 || values.is_empty() {
            return Ok(values);
        }
        // The length agrees with the shape, so that no size is too large for memory.
        let shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        let mut strides = vec![1; shape.len()];
        for axis in 1..shape.len() {
            strides[axis] = strides[axis - 1] * shape[axis - 1];
        }
        let mut turned = self.reserve(values.len() as u64)?;
        let mut index = vec![0; shape.len()];
        let mut from = 0;
        for _ in 0..values.len() {
            turned.push(values[from]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                from += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                from -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Ok(turned)
    }

    fn wrong_type(&self, expected: &'static str) -> NpyError {
        NpyError::Type { path: self.path.clone(), dtype: self.dtype().to_owned(), expected }
    }

    fn reserve<T>(&self, values: u64) -> Result<Vec<T>, NpyError> {
        memory::reserve(values).ok_or_else(|| NpyError::OutOfMemory { path: self.path.clone(), bytes: self.bytes })
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
        for (bits, value) in
            [(0x7c00u16, f32::INFINITY), (0xfc00, f32::NEG_INFINITY), (1, 2f32.powi(-24)), (0x8000, 0.0)]
        {
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
        assert!(matches!(error, OutputError::Shape { values: 5, .. }), "{error}");
    }
}
