//! The texts of a PNG file, whoever wrote it.
//!
//! Nothing in the file is trusted: its length, the length of a text, and what a compressed text unpacks to are bounded.

use std::{
    io::{self, Cursor},
    path::{Path, PathBuf},
};

use png::{DecodeOptions, Decoder, DecodingError, Limits, Reader};
use sfumato_files::read_bytes;

/// Longest file that is read.
const LONGEST_FILE: u64 = 256 << 20;
/// Longest text, also of one that was compressed: far longer than any record.
const LONGEST_TEXT: usize = 1 << 20;
/// Memory for all texts.
const ALL_TEXTS: usize = 64 << 20;
/// How every PNG begins.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What a PNG file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngFile {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its texts: those that are plain, then compressed ones, then those in Unicode.
    pub texts: Vec<PngText>,
    /// Why the file could not be read to its end, if that is so.
    pub damage: Option<String>,
}

/// A text of a PNG file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngText {
    /// Its keyword, in any letters of Latin-1: not to be shown on a terminal as it is.
    pub keyword: String,
    /// The text, or why it cannot be read; not to be shown on a terminal as it is either.
    pub text: Result<String, String>,
}

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PngError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no PNG: it does not begin as one", path.display())]
    NotPng {
        /// The file.
        path: PathBuf,
    },
    /// The file ends, or breaks, before its pixels begin.
    #[error("{} is a damaged PNG: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Whether a file begins as a PNG does; not if it cannot be read.
pub fn is_png(path: &Path) -> bool {
    use std::io::Read;
    let mut first = [0; SIGNATURE.len()];
    let read = sfumato_files::open_regular(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == SIGNATURE
}

/// Reads the size and the texts of a PNG file, of which at least the part before the pixels has to be whole.
///
/// # Errors
/// [`PngError`] with the file.
pub fn read_png(path: &Path) -> Result<PngFile, PngError> {
    let bytes = read_bytes(path, LONGEST_FILE).map_err(|source| PngError::File { path: path.to_owned(), source })?;
    if !bytes.starts_with(SIGNATURE) {
        return Err(PngError::NotPng { path: path.to_owned() });
    }
    of_bytes(bytes).map_err(|error| PngError::Damaged { path: path.to_owned(), reason: reason(&error) })
}

fn of_bytes(bytes: Vec<u8>) -> Result<PngFile, DecodingError> {
    let mut options = DecodeOptions::default();
    // What was changed in a text is damage, not a text that is missing.
    options.set_skip_ancillary_crc_failures(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(Limits { bytes: ALL_TEXTS });
    let mut reader = decoder.read_info()?;
    // Texts may also stand behind the pixels.
    let damage = reader.finish().err().map(|error| reason(&error));
    let (width, height) = (reader.info().width, reader.info().height);
    Ok(PngFile { width, height, texts: texts(&reader), damage })
}

fn texts(reader: &Reader<Cursor<Vec<u8>>>) -> Vec<PngText> {
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().map(|chunk| (&chunk.keyword, bounded(chunk.text.clone())));
    let packed = info.compressed_latin1_text.iter().map(|chunk| {
        let mut chunk = chunk.clone();
        let text = chunk.decompress_text_with_limit(LONGEST_TEXT).and_then(|()| chunk.get_text());
        text.map_err(|error| reason(&error))
    });
    let packed = info.compressed_latin1_text.iter().map(|chunk| &chunk.keyword).zip(packed);
    let unicode = info.utf8_text.iter().map(|chunk| {
        let mut chunk = chunk.clone();
        let text = chunk.decompress_text_with_limit(LONGEST_TEXT).and_then(|()| chunk.get_text());
        text.map_err(|error| reason(&error)).and_then(bounded)
    });
    let unicode = info.utf8_text.iter().map(|chunk| &chunk.keyword).zip(unicode);
    plain.chain(packed).chain(unicode).map(|(keyword, text)| PngText { keyword: keyword.clone(), text }).collect()
}

fn bounded(text: String) -> Result<String, String> {
    if text.len() > LONGEST_TEXT { Err(too_long()) } else { Ok(text) }
}

fn too_long() -> String {
    format!("it is longer than {} KiB, the longest that is read", LONGEST_TEXT >> 10)
}

/// What the decoder found, in the words of this program.
fn reason(error: &DecodingError) -> String {
    match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        DecodingError::LimitsExceeded => "it holds more text than is read".to_owned(),
        DecodingError::Format(error) => match error.to_string() {
            // The library's words for a text that unpacks to more than it may.
            text if text.contains("decompression space") => too_long(),
            text => text.trim_end_matches('.').to_owned(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
