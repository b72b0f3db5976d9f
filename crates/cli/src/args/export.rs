//! `sfumato export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sfumato_model::tensor_file::Precision;

use super::values;

/// Write a model as a directory that diffusers loads
///
/// Takes a checkpoint of ours or any other model directory: weights from one file or several, in any precision, under old names or
/// new ones. Leaves out what only training needs. Noise schedules that diffusers has no name for go in as `trained_betas`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato export --model runs/fashion-mnist-mini/model --out garments
  sfumato export --model runs/fashion-mnist-mini/model --dtype f16 --out garments-small
  sfumato export --model runs/fashion-mnist-mini/model --weights raw --out garments-raw

In Python:
  DDPMPipeline.from_pretrained(\"garments\")
  UNet2DModel.from_pretrained(\"garments\", subfolder=\"unet\")   class-conditional models: unet(x, t, class_labels)")]
pub(crate) struct ExportArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory for the result; must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which weights of a training checkpoint
    #[arg(long, value_enum, default_value_t = WeightsName::Ema, value_name = "NAME")]
    pub(crate) weights: WeightsName,
    /// Precision of the weights in the file
    #[arg(long, value_enum, default_value_t = DtypeName::F32, value_name = "TYPE")]
    pub(crate) dtype: DtypeName,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one. The copy says it
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0))]
    pub(crate) null_class: Option<usize>,
}

/// The weights that a training checkpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsName {
    /// The moving average, which is what samples are drawn with
    Ema,
    /// The weights themselves, without the average
    Raw,
}

/// Precisions of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtypeName {
    /// 32 bits: the weights as they are
    F32,
    /// Half precision
    F16,
    /// Brain float
    Bf16,
}

impl From<DtypeName> for Precision {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F32 => Self::F32,
            DtypeName::F16 => Self::F16,
            DtypeName::Bf16 => Self::BF16,
        }
    }
}
