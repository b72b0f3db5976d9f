//! What to load of a data set, and how.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Background, ImageSize, LabelsFrom, Subset, ValueRange};

/// Which part of a data set.
///
/// `folder:` and `zip:` have two parts where there are folders called `train` and `test` (or `val`, `validation`, `dev`, …),
/// `npy:` has them where an archive's arrays are called so; otherwise all of it is one part that is loaded for either split,
/// with a note. Toys generate different points for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What a model is trained on.
    #[default]
    Train,
    /// What a model has not seen.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

/// A part of a data set, where no more of it is needed in memory.
///
/// An array or an archive of arrays, and a folder or an archive of pictures whose `image_size` and `channels` are given, are read
/// so; other data sets are loaded whole. [`Dataset::len`](super::Dataset::len) is that of the whole either way.
///
/// Of pictures only those of the part are decoded, and of the others the headers are read, unless the checksum is wanted. A
/// picture with a good header that cannot be decoded therefore counts as an example of the data set; in the part the next one of
/// the order takes its place. With the checksum all are decoded, and such a picture is none of the data set, as without a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Number of examples; all if there are fewer.
    pub num: usize,
    /// The first of the [`Subset`](super::Subset) of this seed, or without a seed the first of the data.
    pub seed: Option<u64>,
    /// Whether the checksum of the whole is wanted, for which all of it is read once more.
    pub checksum: bool,
}

impl Part {
    /// The examples of a data set of `count`, in their order; more than [`num`](Part::num).
    pub(super) fn order(self, count: usize) -> impl Iterator<Item = usize> {
        let subset = self.seed.map(|seed| Subset::new(seed, count));
        (0..count).map(move |place| subset.map_or(place, |subset| subset.index(place)))
    }
}

/// Options of [`load`](super::load). The default loads the training split as it is.
///
/// # Examples
/// ```
/// use sfumato_data::{ImageSize, LoadOptions, Split};
///
/// let options = LoadOptions { split: Split::Test, image_size: Some(ImageSize::square(32)), ..LoadOptions::default() };
/// assert!(options.download && !options.strict);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOptions {
    /// The part to load.
    pub split: Split,
    /// Height and width of the pictures, in pixels; `None` keeps the data set's own. [`load`](super::load) says how a
    /// picture is brought to a size, and what `folder:` does with `None`.
    pub image_size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB); `None` keeps the data set's own, and for `folder:` is grey if every picture is grey.
    pub channels: Option<usize>,
    /// What transparent pictures of a folder or an archive are laid on.
    pub background: Background,
    /// Where the classes of a folder's or an archive's pictures come from.
    pub labels: LabelsFrom,
    /// Which numbers of an array are black and white. `None`: 0 and 255 of integers, -1 and 1 of floats, 0 and 65535 of `uint16`
    /// that passes 255.
    pub range: Option<ValueRange>,
    /// Whether a picture that cannot be decoded is an error instead of being skipped and counted.
    pub strict: bool,
    /// Where the files of `fashion-mnist`, `mnist` or `cifar10` lie. `None` looks in the cache and in the place where
    /// a Debian package puts them, then downloads.
    pub data_dir: Option<PathBuf>,
    /// Where downloads are kept. `None`: the environment variable `SFUMATO_CACHE`, else `sfumato` in the user's cache
    /// folder (`XDG_CACHE_HOME`, `HOME/.cache` or `LOCALAPPDATA`).
    pub cache_dir: Option<PathBuf>,
    /// Whether files that are nowhere on this machine may be downloaded.
    pub download: bool,
    /// The address of a mirror, asked instead of the public hosts for `MIRROR/DATASET/FILE`. `None`: the environment
    /// variable `SFUMATO_MIRROR`, else the public hosts. Checksums are verified either way.
    pub mirror: Option<String>,
    /// Which examples are kept in memory; `None` keeps all.
    pub part: Option<Part>,
    /// Seed of the toys' points.
    pub seed: u64,
    /// Number of points that a toy has.
    pub toy_size: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            split: Split::Train,
            image_size: None,
            channels: None,
            background: Background::default(),
            labels: LabelsFrom::default(),
            range: None,
            strict: false,
            data_dir: None,
            cache_dir: None,
            download: true,
            mirror: None,
            part: None,
            seed: 0,
            toy_size: 10_000,
        }
    }
}
