//! What can be wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use sfumato_files::NpyError;

use super::ImageSize;
use super::spec::DATASET_FORMS;

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
        hint: String,
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
    #[error("{} is a file, expected a folder of pictures (npy:{} reads an array, zip:{} an archive)", path.display(), path.display(), path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// A file was expected where there is something else.
    #[error("{} is no file but a folder, a pipe or a device", path.display())]
    NotAFile {
        /// The path given.
        path: PathBuf,
    },
    /// A folder holds no pictures.
    #[error("there is no picture in {}{ignored}; expected PNG, JPEG, WebP, BMP, TIFF or GIF files there or in its sub-folders", path.display())]
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
    #[error("cannot read {}: {reason} (without --strict it would be left out with a warning)", path.display())]
    BadPicture {
        /// The picture.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A picture that somebody named cannot be decoded.
    #[error("cannot read the picture {}: {reason}", path.display())]
    NotAPicture {
        /// The picture.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A folder holds pictures that are held out, and none to train on.
    #[error(
        "{} holds no training pictures, only {held}; name that folder itself to train on it, or put the others into a folder train",
        path.display()
    )]
    NoTrainSplit {
        /// The folder.
        path: PathBuf,
        /// The folders that are held out.
        held: String,
    },
    /// A folder holds training pictures, and none that are held out.
    #[error(
        "{} has no test split, only {train}: there is no folder test or val; --split train scores the training pictures",
        path.display()
    )]
    NoTestSplit {
        /// The folder or file.
        path: PathBuf,
        /// What is trained on.
        train: String,
    },
    /// Several folders are the same split.
    #[error("{} holds several folders that are the same split: {names}; name the one that is meant", path.display())]
    SeveralSplits {
        /// The folder.
        path: PathBuf,
        /// The folders.
        names: String,
    },
    /// An archive that is none, or a damaged one.
    #[error("cannot read the zip archive {}: {reason}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of labels that cannot be understood.
    #[error("cannot read the labels in {}: {reason}; --labels folders or --labels none does without", path.display())]
    LabelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of labels that lacks some pictures.
    #[error(
        "{} has no label for {count} of {of} pictures, the first of which is {}; add them, or do without the file by \
         --labels folders or --labels none", path.display(), picture.display()
    )]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// Pictures without a label.
        count: usize,
        /// All pictures.
        of: usize,
        /// The first without one.
        picture: PathBuf,
    },
    /// `--labels file-names`, and a name without a class.
    #[error("the name of {} has no class: --labels file-names expects CLASS_ANYTHING, as in cat_001.png", path.display())]
    NoPrefix {
        /// The picture.
        path: PathBuf,
    },
    /// Classes that a model does not know.
    #[error(
        "{dataset} has classes that the model does not know: {unknown} (the data has {found}; the model knows {known}); \
         rename the classes, or do without them by --ignore-labels"
    )]
    UnknownClasses {
        /// The data set.
        dataset: String,
        /// The classes that are not known.
        unknown: String,
        /// All classes of the data.
        found: String,
        /// All classes of the model.
        known: String,
    },
    /// An option that means nothing for the data set.
    #[error("{option} does nothing for {dataset}: {reason}")]
    Option {
        /// The option of the command line.
        option: &'static str,
        /// The data set.
        dataset: String,
        /// Why.
        reason: &'static str,
    },
    /// A text that is no size of pictures.
    #[error("`{value}` is no image size; expected a number of pixels as in 64, or HEIGHTxWIDTH as in 64x128")]
    ImageSizeText {
        /// What was given.
        value: String,
    },
    /// A text that is no colour.
    #[error("`{value}` is no background; expected white, black, grey or a colour #rrggbb")]
    Background {
        /// What was given.
        value: String,
    },
    /// A text that is no source of labels.
    #[error("`{value}` is no source of labels; expected auto, folders, file-names or none")]
    LabelsFrom {
        /// What was given.
        value: String,
    },
    /// A text that is no range of values.
    #[error("`{value}` is no range; expected BLACK..WHITE with the smaller number first, as in 0..1, 0..255 or -1..1")]
    Range {
        /// What was given.
        value: String,
    },
    /// A picture size that cannot be made.
    #[error("image size {size} is not possible for {dataset}: {reason}")]
    ImageSize {
        /// The data set.
        dataset: String,
        /// The size asked for, in pixels.
        size: ImageSize,
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
        "{} holds {dtype} values of shape {shape:?}: {reason}; expected pictures N×H×W, N×H×W×C or N×C×H×W of integers or floats \
         with 1 or 3 channels, or points N×D of floats", path.display()
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
    #[error("value {value} at {index:?} in {} is not {expected}{hint}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Index of the value, one number an axis.
        index: Vec<usize>,
        /// The value.
        value: f32,
        /// What was expected.
        expected: String,
        /// The way out.
        hint: &'static str,
    },
    /// An archive of arrays in which it cannot be told which one is meant.
    #[error("{}: {reason}; it holds {arrays}; npy:{}#NAME reads the one of that name", path.display(), path.display())]
    NpzChoice {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Names and shapes of its arrays.
        arrays: String,
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
