//! Where the data of a run comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sfumato_data::{Background, Dataset, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, Split, ValueRange};

use super::{TrainConfig, check};
use crate::TrainError;

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
    /// Chance that a class-conditional network is not told the class of an example, in [0, 1): by that it learns what it needs for guidance.
    /// 0.1 if nothing is said. With 0 it has no class that stands for "any", and guidance is not possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_dropout: Option<f64>,
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
            label_dropout: None,
            strict: false,
        }
    }
}

/// Chance that a label is replaced by the null class, if nothing is said, so that one network learns both the conditional and the
/// unconditional model (Ho & Salimans 2022, arXiv:2207.12598, §4).
const LABEL_DROPOUT: f64 = 0.1;

impl TrainConfig {
    /// Chance that a class-conditional network is not told a class: [`DataConfig::label_dropout`], or what it is if nothing is said.
    pub fn label_dropout(&self) -> f64 {
        self.data.label_dropout.unwrap_or(LABEL_DROPOUT)
    }

    pub(super) fn check_label_dropout(&self) -> Result<(), TrainError> {
        let Some(chance) = self.data.label_dropout else { return Ok(()) };
        check("data.label_dropout", chance, (0.0..1.0).contains(&chance), "a number in [0, 1)")?;
        let expected = "left out, as the network learns no classes (--class-conditional learns them)";
        check("data.label_dropout", chance, self.model.class_conditional(), expected)
    }

    /// Without label dropout there is no class that an example without one could have.
    pub(super) fn check_labels(&self, data: &dyn Dataset) -> Result<(), TrainError> {
        if !self.model.class_conditional() || self.label_dropout() > 0.0 {
            return Ok(());
        }
        let unlabelled = (0..data.len()).find(|&i| data.label(i).is_none());
        let expected = format!("above 0, as example {} of {} has no label", unlabelled.unwrap_or(0), data.name());
        check("data.label_dropout", 0, unlabelled.is_none(), &expected)
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
