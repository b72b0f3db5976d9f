//! Pictures as NumPy's files: the embedded ones, parts of them, and samples by class.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use flate2::Crc;
use flate2::read::GzDecoder;

use crate::cargo::root;

/// Pixels of a picture.
const PIXELS: usize = 28 * 28;

/// Grey pictures of 28×28 with their classes.
pub(super) struct Pictures {
    pixels: Vec<u8>,
    classes: Vec<u8>,
}

impl Pictures {
    /// The 10,000 that are part of the program.
    pub(super) fn embedded() -> anyhow::Result<Self> {
        let folder = root().join("crates/data/data/fashion-mnist-mini");
        let read = |file: &str, header: usize| {
            let path = folder.join(file);
            let packed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut content = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut content).with_context(|| path.display().to_string())?;
            ensure!(content.len() > header, "{} is cut off", path.display());
            anyhow::Ok(content.split_off(header))
        };
        let (pixels, classes) = (read("images-idx3-ubyte.gz", 16)?, read("labels-idx1-ubyte.gz", 8)?);
        ensure!(pixels.len() == classes.len() * PIXELS, "the embedded images and labels do not belong together");
        Ok(Self { pixels, classes })
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// A part of them as the array of an archive.
    fn part(&self, range: std::ops::Range<usize>) -> [Array; 2] {
        let pixels = &self.pixels[range.start * PIXELS..range.end * PIXELS];
        let shape = vec![range.len(), 28, 28];
        [
            Array { shape, kind: "|u1", bytes: pixels.to_vec() },
            Array { shape: vec![range.len()], kind: "|u1", bytes: self.classes[range].to_vec() },
        ]
    }

    /// Writes the first `count` of them, bytes of N×28×28.
    pub(super) fn write_first(&self, path: &Path, count: usize) -> anyhow::Result<()> {
        let [pictures, _] = self.part(0..count.min(self.len()));
        pictures.write(path)
    }

    /// Writes the first ones as an archive with a training and a test split, with classes if they are wanted.
    pub(super) fn write_splits(&self, path: &Path, [train, test]: [usize; 2], classes: bool) -> anyhow::Result<()> {
        ensure!(train + test <= self.len(), "there are only {} embedded images", self.len());
        let ([x_train, y_train], [x_test, y_test]) = (self.part(0..train), self.part(train..train + test));
        let mut members = vec![("x_train", x_train), ("x_test", x_test)];
        if classes {
            members.extend([("y_train", y_train), ("y_test", y_test)]);
        }
        let archive = archive(&members);
        fs::write(path, archive).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// An array of NumPy's, in C's order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands) struct Array {
    shape: Vec<usize>,
    /// The type as NumPy writes it.
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Array {
    /// The file's bytes (NumPy's format 1.0).
    fn file(&self) -> Vec<u8> {
        let shape: String = self.shape.iter().map(|side| format!("{side}, ")).collect();
        let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", self.kind);
        // The data begins at a multiple of 64.
        let padding = 63 - (10 + header.len()) % 64;
        header.extend(std::iter::repeat_n(' ', padding));
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), &self.bytes].concat()
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.file()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads single-precision numbers, as `sfumato sample` writes them.
    pub(in crate::commands) fn read_f32(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse_f32(&bytes)
            .with_context(|| format!("{} is no array of single precision in C's order", path.display()))
    }

    fn parse_f32(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
        let (length, rest) = rest.split_at_checked(2)?;
        let (header, data) = rest.split_at_checked(usize::from(u16::from_le_bytes(length.try_into().ok()?)))?;
        let header = std::str::from_utf8(header).ok()?;
        let wanted = header.contains("'descr': '<f4'") && header.contains("'fortran_order': False");
        let (shape, _) = header.split_once("'shape': (")?.1.split_once(')')?;
        let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape: Vec<usize> = sides.map(|side| side.parse().ok()).collect::<Option<_>>()?;
        let fits = data.len() == 4 * shape.iter().product::<usize>();
        (wanted && fits && !shape.is_empty()).then(|| Self { shape, kind: "<f4", bytes: data.to_vec() })
    }

    /// The numbers of an array of single precision.
    pub(in crate::commands) fn values(&self) -> Vec<f32> {
        self.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        self.shape[0]
    }

    /// Its pictures again and again, until there are at least so many.
    pub(super) fn repeated(mut self, least: usize) -> Self {
        let times = least.div_ceil(self.len().max(1)).max(1);
        self.shape[0] *= times;
        self.bytes = self.bytes.repeat(times);
        self
    }

    /// The pictures whose numbers leave the remainder `of` when divided by `by`.
    pub(super) fn every(&self, by: usize, of: usize) -> Self {
        let size = self.bytes.len() / self.len().max(1);
        let chosen: Vec<&[u8]> = self.bytes.chunks(size.max(1)).skip(of).step_by(by).collect();
        let mut shape = self.shape.clone();
        shape[0] = chosen.len();
        Self { shape, kind: self.kind, bytes: chosen.concat() }
    }
}

/// A zip archive of arrays that are stored as they are, as `numpy.savez` makes it.
fn archive(members: &[(&str, Array)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, array) in members {
        let (name, content) = (format!("{name}.npy"), array.file());
        let mut crc = Crc::new();
        crc.update(&content);
        let size = (content.len() as u32).to_le_bytes();
        // Version 2.0, no flags, stored, the first day of the format, checksum, both sizes, lengths of name and of nothing more.
        let (day, length) = ([0, 0, 0x21, 0], (name.len() as u16).to_le_bytes());
        let about = [&[20, 0, 0, 0, 0, 0][..], &day, &crc.sum().to_le_bytes(), &size, &size, &length, &[0, 0]].concat();
        let offset = (file.len() as u32).to_le_bytes();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &about, &[0; 10], &offset, name.as_bytes()].concat());
        file.extend([&b"PK\x03\x04"[..], &about, name.as_bytes(), &content].concat());
    }
    let (count, start) = ((members.len() as u16).to_le_bytes(), (file.len() as u32).to_le_bytes());
    let length = (directory.len() as u32).to_le_bytes();
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &start, &[0, 0]].concat();
    [file, directory, end].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arrays_come_back(shape in proptest::collection::vec(1..5usize, 1..5), by in 1..4usize) {
            let count: usize = shape.iter().product();
            let bytes: Vec<u8> = (0..4 * count).map(|i| (i * 7) as u8).collect();
            let array = Array { shape: shape.clone(), kind: "<f4", bytes };
            let file = array.file();
            prop_assert_eq!((file.len() - array.bytes.len()) % 64, 0);
            prop_assert_eq!(Array::parse_f32(&file), Some(array.clone()));
            prop_assert_eq!(Array::parse_f32(&file[..file.len() - 1]), None);
            let parts: usize = (0..by).map(|of| array.every(by, of).len()).sum();
            prop_assert_eq!(parts, array.len());
            let size = array.bytes.len() / shape[0];
            prop_assert_eq!(&array.every(by, 0).bytes[..size], &array.bytes[..size]);
            let (length, more) = (array.bytes.len(), array.clone().repeated(10));
            prop_assert!(more.len() >= 10 && more.len() < 10 + array.len() && more.len() % array.len() == 0);
            prop_assert!(more.bytes.chunks(length).all(|part| part == array.bytes));
        }
    }

    #[test]
    fn the_embedded_pictures_are_read() {
        let pictures = Pictures::embedded().unwrap();
        assert_eq!((pictures.len(), pictures.pixels.len()), (10_000, 10_000 * PIXELS));
        assert!(pictures.classes.iter().all(|class| *class < 10));
        assert!(pictures.write_splits(Path::new("nowhere"), [9_000, 1_001], true).is_err());
    }
}
