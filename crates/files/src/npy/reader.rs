//! Reading arrays piece by piece.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::header::{Header, MAX_HEADER};
use super::{NpyError, NpyType};
use crate::memory;

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
    pub fn fortran_order(&self) -> bool {
        self.header.fortran_order && self.header.shape.len() > 1
    }

    /// Passes over the next `count` elements.
    pub fn skip(&mut self, count: usize) -> Result<(), NpyError> {
        let bytes = (count * self.npy_type().map_or(1, NpyType::size)) as u64;
        let passed = match &mut self.input {
            Input::File(file) => i64::try_from(bytes).map_err(io::Error::other).and_then(|n| file.seek_relative(n)),
            Input::Stream(stream) => io::copy(&mut stream.take(bytes), &mut io::sink()).map(drop),
        };
        passed.map_err(|error| self.failed(error))
    }

    /// The next `count` elements of a `uint8` or `bool` array into `values`, in the order of the file.
    pub fn next_bytes(&mut self, values: &mut Vec<u8>, count: usize) -> Result<(), NpyError> {
        values.resize(count, 0);
        self.input.read_exact(values).map_err(|source| NpyError::Io { path: self.path.clone(), source })
    }

    /// The next `count` elements of an array of numbers into `values`, in the order of the file.
    pub fn next_numbers(&mut self, values: &mut Vec<f32>, count: usize) -> Result<(), NpyError> {
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
