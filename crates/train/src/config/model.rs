//! The network, in a few words; [`resolve`](UNetSpec::resolve) fills in what the data decides.

use serde::{Deserialize, Serialize};
use sfumato_data::Dataset;
use sfumato_nets::{
    ConfigError, NetError,
    mlp::MlpConfig,
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};
use sfumato_process::ModelVariance;

use super::{
    UNet2DSpec, check,
    unet2d::{Keys, for_data},
};
use crate::TrainError;

/// Which network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelConfig {
    /// A U-Net, for images.
    Unet(UNetSpec),
    /// A U-Net, for images, by the keys of diffusers.
    Unet2d(UNet2DSpec),
    /// A time-conditioned MLP, for points of a few dimensions.
    Mlp(MlpSpec),
    /// A network that another program defines, and trains with [`Run::train_network`](crate::Run::train_network).
    Own(OwnSpec),
}

/// The name of a network that another program defines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnSpec {
    /// Its class, as in its [`OwnConfig`](sfumato_model::pipeline::OwnConfig).
    pub class: String,
}

/// A U-Net in the structure of diffusers' `UNet2DModel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetSpec {
    /// Channels of each level; each level but the last halves the image.
    pub channels: Vec<usize>,
    /// Residual blocks of each level on the way down; one more on the way up.
    pub blocks_per_level: usize,
    /// Whether each level has self-attention after its blocks.
    pub attention: Vec<bool>,
    /// Channels of an attention head; 0 for a single head.
    pub head_dim: usize,
    /// Groups of the group norms; must divide every level's channels.
    pub groups: usize,
    /// Added to variances in the group norms.
    pub norm_eps: f64,
    /// Chance that an activation is dropped.
    pub dropout: f64,
    /// Learn the classes of the data set's labels; one more class stands for "any" and serves guidance.
    pub class_conditional: bool,
    /// As in diffusers: 0, or 1 for the frequencies of the original DDPM.
    pub freq_shift: i64,
    /// As in diffusers: `[cos | sin]` if true, `[sin | cos]` as in the original DDPM if false.
    pub flip_sin_to_cos: bool,
    /// As in diffusers: 1, or 0 for the one-sided padding of the original DDPM.
    pub downsample_padding: usize,
}

/// An MLP with residual layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpSpec {
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Number of residual layers.
    pub layers: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::Unet(UNetSpec::default())
    }
}

impl Default for UNetSpec {
    fn default() -> Self {
        Self {
            channels: vec![32, 64, 64],
            blocks_per_level: 2,
            attention: vec![false, true, false],
            head_dim: 0,
            groups: 8,
            norm_eps: 1e-5,
            dropout: 0.0,
            class_conditional: false,
            freq_shift: 0,
            flip_sin_to_cos: true,
            downsample_padding: 1,
        }
    }
}

impl Default for MlpSpec {
    fn default() -> Self {
        Self { hidden: 128, layers: 4 }
    }
}

impl ModelConfig {
    /// Makes a U-Net class-conditional; `false` if this network has no classes.
    pub fn set_class_conditional(&mut self) -> bool {
        match self {
            Self::Unet(spec) => {
                spec.class_conditional = true;
                true
            }
            Self::Unet2d(spec) => {
                spec.class_conditional = true;
                true
            }
            Self::Mlp(_) | Self::Own(_) => false,
        }
    }

    /// Whether the network learns classes.
    pub fn class_conditional(&self) -> bool {
        match self {
            Self::Unet(spec) => spec.class_conditional,
            Self::Unet2d(spec) => spec.class_conditional,
            Self::Mlp(_) | Self::Own(_) => false,
        }
    }

    /// Makes it learn no classes.
    pub fn forget_classes(&mut self) {
        match self {
            Self::Unet(spec) => spec.class_conditional = false,
            Self::Unet2d(spec) => spec.class_conditional = false,
            Self::Mlp(_) | Self::Own(_) => {}
        }
    }

    /// Checks what can be checked without the data.
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        match self {
            Self::Own(spec) => check("model.class", &spec.class, !spec.class.is_empty(), "the name of a class"),
            Self::Unet(spec) => spec.validate(),
            Self::Unet2d(spec) => spec.validate(),
            Self::Mlp(spec) => {
                let (widths, layers) = (1..=MAX_WIDTH, 1..=MAX_LAYERS);
                check("model.hidden", spec.hidden, widths.contains(&spec.hidden), &format!("1 to {MAX_WIDTH}"))?;
                check("model.layers", spec.layers, layers.contains(&spec.layers), &format!("1 to {MAX_LAYERS}"))
            }
        }
    }
}

/// Levels that a network may have, as [`UNet2DConfig::validate`] says.
const MAX_LEVELS: usize = 16;
/// Channels or hidden units of a layer, and layers, that a network may have, as it says too.
const MAX_WIDTH: usize = 1 << 16;
const MAX_LAYERS: usize = 256;

impl UNetSpec {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let list = |values: &[usize]| format!("{values:?}");
        let channels_fit = self.groups > 0 && self.channels.iter().all(|c| *c > 0 && c % self.groups == 0);
        let levels = self.channels.len();
        let expected = format!("a list of at least one level and at most {MAX_LEVELS}");
        check("model.channels", list(&self.channels), (1..=MAX_LEVELS).contains(&levels), &expected)?;
        let wide = self.channels.iter().all(|&channels| channels <= MAX_WIDTH);
        check("model.channels", list(&self.channels), wide, &format!("a list of numbers up to {MAX_WIDTH}"))?;
        check(
            "model.groups",
            self.groups,
            channels_fit,
            &format!("a divisor of every number in channels = {:?}", self.channels),
        )?;
        let (blocks, range) = (self.blocks_per_level, 1..=MAX_LAYERS);
        check("model.blocks_per_level", blocks, range.contains(&blocks), &format!("1 to {MAX_LAYERS}"))?;
        check(
            "model.attention",
            format!("{:?}", self.attention),
            self.attention.len() == levels,
            &format!("a list of {levels} values, one for each level of model.channels"),
        )?;
        let heads_fit = self.head_dim == 0 || self.channels.iter().all(|c| c % self.head_dim == 0);
        check("model.head_dim", self.head_dim, heads_fit, "0 (one head) or a divisor of every number in channels")?;
        check("model.dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "a number in [0, 1)")?;
        check("model.norm_eps", self.norm_eps, self.norm_eps > 0.0, "a number above 0")?;
        check("model.downsample_padding", self.downsample_padding, self.downsample_padding <= 1, "0 or 1")
    }

    /// The network for `data`: its channels (twice as many outputs where `variance` is learned), its size and its classes.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] if the data is no image, its sides cannot be halved often enough, or it has no labels for a
    /// class-conditional model.
    pub fn resolve(&self, data: &dyn Dataset, variance: ModelVariance) -> Result<UNet2DConfig, TrainError> {
        let keys = Keys { kind: "unet", levels: "model.channels" };
        for_data(self.structure(), self.class_conditional, &keys, data, variance)
    }

    /// The structure, but for what the data decides.
    pub(super) fn structure(&self) -> UNet2DConfig {
        let down = |with: &bool| if *with { DownBlockType::AttnDownBlock2D } else { DownBlockType::DownBlock2D };
        let up = |with: &bool| if *with { UpBlockType::AttnUpBlock2D } else { UpBlockType::UpBlock2D };
        UNet2DConfig {
            block_out_channels: self.channels.clone(),
            layers_per_block: self.blocks_per_level,
            down_block_types: self.attention.iter().map(down).collect(),
            up_block_types: self.attention.iter().rev().map(up).collect(),
            attention_head_dim: (self.head_dim > 0).then_some(self.head_dim),
            norm_num_groups: self.groups,
            norm_eps: self.norm_eps,
            dropout: self.dropout,
            freq_shift: self.freq_shift,
            flip_sin_to_cos: self.flip_sin_to_cos,
            downsample_padding: self.downsample_padding,
            ..UNet2DConfig::default()
        }
    }
}

/// What is wrong with a network, under the key of this file.
pub(super) fn as_written(error: ConfigError) -> TrainError {
    let ConfigError::Value { key, value, expected } = error else { return NetError::from(error).into() };
    let key = match key {
        "hidden_dim" => "model.hidden",
        "num_blocks" => "model.layers",
        "block_out_channels" => "model.channels",
        "layers_per_block" => "model.blocks_per_level",
        "norm_num_groups" => "model.groups",
        "attention_head_dim" => "model.head_dim",
        "freq_shift" => "model.freq_shift",
        other => other,
    };
    TrainError::ConfigValue { key, value, expected }
}

impl MlpSpec {
    /// The network for `data`, with twice the outputs where `variance` is learned.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] if the data are images.
    pub fn resolve(&self, data: &dyn Dataset, variance: ModelVariance) -> Result<MlpConfig, TrainError> {
        let &[dimensions] = data.shape() else {
            let expected = format!("\"unet\": {} holds images", data.name());
            return Err(TrainError::ConfigValue { key: "model.kind", value: "mlp".into(), expected });
        };
        Ok(MlpConfig {
            data_dim: dimensions,
            hidden_dim: self.hidden,
            num_blocks: self.layers,
            learned_variance: variance.learned().is_some(),
            ..MlpConfig::default()
        })
    }
}
