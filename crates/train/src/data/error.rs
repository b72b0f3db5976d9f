//! What can be wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use super::spec::DATASET_FORMS;
use crate::output::NpyError;

/// Why a data set could not be loaded. Every message names the file and the value, and says what would have worked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A string is no [`DatasetSpec`](super::DatasetSpec).
    #[error("unknown data set `{spec}`{hint}; expected one of: {DATASET_FORMS}")]
    UnknownSpec {
        /// What was given.
        spec: String,
        /// A guess at what was meant, or empty.
        hint: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// `folder:` was given something that is not a folder.
    #[error("{} is a file, expected a folder of PNG or JPEG files (an array is read with npy:{})", path.display(), path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// A folder holds no pictures.
    #[error("no PNG or JPEG file in {}{ignored}; expected *.png, *.jpg or *.jpeg there or in its sub-folders", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// What it holds instead, or empty.
        ignored: String,
    },
    /// Every picture of a folder was skipped.
    #[error("none of the {count} pictures in {} can be read; the first: {first}", path.display())]
    NothingReadable {
        /// The folder.
        path: PathBuf,
        /// How many were tried.
        count: usize,
        /// The first one's path and reason.
        first: String,
    },
    /// A picture cannot be decoded, and the options are strict.
    #[error("cannot decode {}: {reason} (without --strict it would be skipped with a warning)", path.display())]
    BadPicture {
        /// The picture.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A picture size that cannot be made.
    #[error("image size {size} is not possible for {dataset}: {reason}")]
    ImageSize {
        /// The data set.
        dataset: String,
        /// The size asked for, in pixels.
        size: usize,
        /// Why not, and what is.
        reason: &'static str,
    },
    /// A channel count that cannot be made.
    #[error("{channels} channels are not possible for {dataset}: {reason}")]
    Channels {
        /// The data set.
        dataset: String,
        /// The count asked for.
        channels: usize,
        /// Why not, and what is.
        reason: &'static str,
    },
    /// The embedded mini set holds training images only.
    #[error(
        "fashion-mnist-mini has no test split, it is the first 10,000 training images; \
         use `fashion-mnist` with the split `test` (Debian's package dataset-fashion-mnist, a directory with its four \
         IDX files, or a download)"
    )]
    MiniHasNoTestSplit,
    /// A directory lacks files of a data set.
    #[error(
        "{} does not hold the {dataset} files: {missing} not found there (nor with the other usual spellings, with or without .gz); \
         give the directory that holds them, or leave the directory out to use the cache or a download", directory.display()
    )]
    MissingFiles {
        /// The data set.
        dataset: &'static str,
        /// The directory given.
        directory: PathBuf,
        /// The first file that is missing.
        missing: String,
    },
    /// The files are nowhere and downloading is off.
    #[error(
        "{file} of {dataset} is neither in the cache ({}) nor installed, and downloading is switched off; \
         allow the download or give a directory that holds the files", cache.display()
    )]
    DownloadOff {
        /// The data set.
        dataset: &'static str,
        /// The file looked for.
        file: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// No place for downloads.
    #[error(
        "no folder for downloads: set SFUMATO_CACHE to one (XDG_CACHE_HOME, HOME and LOCALAPPDATA are not set either)"
    )]
    NoCacheDir,
    /// No address gave the file.
    #[error(
        "cannot download {file} of {dataset}: {attempts}; check the connection, set SFUMATO_MIRROR to a mirror, \
         or put the file into {}", cache.display()
    )]
    Download {
        /// The data set.
        dataset: &'static str,
        /// The file.
        file: String,
        /// Each address with what went wrong there.
        attempts: String,
        /// Where the file would have been kept.
        cache: PathBuf,
    },
    /// A file is not the published one.
    #[error(
        "{} is not the published file: its {algorithm} is {found}, expected {expected}; delete it to fetch it again", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// `MD5` or `SHA-256`.
        algorithm: &'static str,
        /// The published sum, in hexadecimal.
        expected: String,
        /// The sum found.
        found: String,
    },
    /// A file is shorter or longer than its header or its format says.
    #[error("{} holds {found} bytes of data where {expected} are expected; it is truncated or damaged, fetch or make it again", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that it should hold (uncompressed).
        expected: u64,
        /// Bytes that it holds; for a file that goes on, at least this many.
        found: u64,
    },
    /// A gzip stream is damaged.
    #[error("cannot decompress {}: {source}; the file is truncated or damaged, fetch it again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// An IDX file starts with the wrong magic number.
    #[error("{} is no IDX file of {expected_dimensions}-dimensional bytes: it starts with {found:#010x}, expected {expected:#010x}", path.display())]
    IdxMagic {
        /// The file.
        path: PathBuf,
        /// 3 for images, 1 for labels.
        expected_dimensions: usize,
        /// The magic number expected.
        expected: u32,
        /// The one found.
        found: u32,
    },
    /// An array or a set of pictures has a zero dimension or too many values.
    #[error("{} has the shape {shape:?}, which is empty or too large for this machine", path.display())]
    BadSize {
        /// The file or folder.
        path: PathBuf,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// Images and labels do not belong together.
    #[error("{} holds {labels} labels for {images} images", path.display())]
    LabelCount {
        /// The label file.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label is out of range.
    #[error("label {label} of image {index} in {} is not below {classes}", path.display())]
    Label {
        /// The label file.
        path: PathBuf,
        /// Which image, from 0.
        index: usize,
        /// The label found.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A `.npy` file cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A `.npy` file has a type or shape that is no data set.
    #[error(
        "{} holds {dtype} values of shape {shape:?}: {reason}; expected uint8 N×H×W×C or N×C×H×W with 1 or 3 channels, \
         float32 N×C×H×W in [-1, 1], or float32 N×D", path.display()
    )]
    NpyLayout {
        /// The file.
        path: PathBuf,
        /// Its element type in NumPy's notation.
        dtype: String,
        /// Its shape.
        shape: Vec<u64>,
        /// What is wrong.
        reason: &'static str,
    },
    /// A value of an array is not a number, or is out of range.
    #[error("value {value} at {index:?} in {} is not {expected}; rescale or clean the array first", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Index of the value, one number an axis.
        index: Vec<usize>,
        /// The value.
        value: f32,
        /// What was expected.
        expected: &'static str,
    },
    /// A toy with no points.
    #[error("a toy data set needs at least 1 point, toy_size is 0")]
    EmptyToy,
}

impl DataError {
    /// Closure for `map_err` on file operations.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> DataError + 'a {
        move |source| DataError::Io { action, path: path.to_owned(), source }
    }
}
