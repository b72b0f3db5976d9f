//! Where the data of a run comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sfumato_data::{Background, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, Split, ValueRange};

/// Where the data comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `fashion-mnist-mini`, `cifar10`, `folder:PATH`, …
    pub dataset: DatasetSpec,
    /// Directory with the files of a named data set; found or downloaded where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Size to which images are resized and cropped: `64`, or `[64, 128]` for height and width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB) for images of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// What transparent images are laid on: `white` if nothing is said, `black`, `#rrggbb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    /// Where the classes of a folder's images come from: `auto` if nothing is said, `folders`, `file-names`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsFrom>,
    /// Which numbers of an array are black and white, as in `0..1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<ValueRange>,
    /// Mirror images left to right at random.
    pub flip: bool,
    /// Stop at the first unreadable image instead of leaving it out.
    pub strict: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dataset: DatasetSpec::FashionMnistMini,
            dir: None,
            image_size: None,
            channels: None,
            background: None,
            labels: None,
            range: None,
            flip: false,
            strict: false,
        }
    }
}

impl DataConfig {
    /// How the split is loaded that a run of this configuration trains on.
    pub fn load_options(&self, seed: u64) -> LoadOptions {
        LoadOptions {
            split: Split::Train,
            image_size: self.image_size,
            channels: self.channels,
            background: self.background.unwrap_or_default(),
            labels: self.labels.unwrap_or_default(),
            range: self.range,
            strict: self.strict,
            data_dir: self.dir.clone(),
            seed,
            ..LoadOptions::default()
        }
    }
}
