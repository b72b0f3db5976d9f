//! Configuration of the U-Net: the keys of diffusers' `UNet2DModel`.

use serde::{Deserialize, Serialize};

use super::{
    ClassEmbedType, DownBlockType, MidBlockType, ResampleType, SampleSize, TimeEmbeddingType, TimeScaleShift,
    UpBlockType,
};
use crate::layers::Activation;

/// Everything that decides the structure of a [`UNet2D`](super::UNet2D).
///
/// Keys and defaults are those of diffusers' `UNet2DModel`. As a part of a larger configuration (TOML, JSON) unknown keys
/// are an error; [`UNet2DConfig::from_json`] reads diffusers' own `config.json`, where they are warnings.
///
/// ```
/// use sfumato_nets::unet::{DownBlockType, UNet2DConfig, UpBlockType};
/// let config = UNet2DConfig {
///     in_channels: 1,
///     out_channels: 1,
///     block_out_channels: vec![32, 64],
///     down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
///     up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
///     norm_num_groups: 8,
///     ..Default::default()
/// };
/// config.validate()?;
/// assert_eq!(config.size_divisor(), 2);
/// # Ok::<(), sfumato_nets::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNet2DConfig {
    /// Height and width of the training images, for information: the network takes any size that [`UNet2DConfig::size_divisor`] divides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<SampleSize>,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Whether the input is in [0, 1] and is mapped to [-1, 1] first.
    pub center_input_sample: bool,
    /// What the time features are made of.
    pub time_embedding_type: TimeEmbeddingType,
    /// Length of the time embedding; 4 · `block_out_channels[0]` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_embedding_dim: Option<usize>,
    /// Shift of the lowest frequency: frequencies are `10000^(-i / (half - freq_shift))`. DDPM's own is 1.
    pub freq_shift: i64,
    /// Whether cosines come before sines.
    pub flip_sin_to_cos: bool,
    /// Encoder levels, from full resolution down.
    pub down_block_types: Vec<DownBlockType>,
    /// The block between encoder and decoder.
    pub mid_block_type: MidBlockType,
    /// Decoder levels, from the lowest resolution up.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of each level, from full resolution down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of an encoder level; decoder levels have one more.
    pub layers_per_block: usize,
    /// Divisor of every residual sum in the mid block.
    pub mid_block_scale_factor: f64,
    /// Padding of downsampling convolutions: 1 all round, or 0 for one pixel right and below.
    pub downsample_padding: usize,
    /// How encoder levels with attention downsample.
    pub downsample_type: ResampleType,
    /// How decoder levels with attention upsample.
    pub upsample_type: ResampleType,
    /// Probability of dropout in residual blocks, in [0, 1).
    pub dropout: f64,
    /// Activation in residual blocks.
    pub act_fn: Activation,
    /// Channels of an attention head; none for a single head. Written as 0 where a format has no null.
    #[serde(with = "zero_is_none")]
    pub attention_head_dim: Option<usize>,
    /// Heads of every attention, whatever its channels; takes the place of `attention_head_dim` where it is given.
    ///
    /// Networks of OpenAI's projects count heads so. `UNet2DModel` cannot: `config.json` then holds the channels of a head
    /// level by level, a list that diffusers refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_heads: Option<usize>,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Groups of the norm in the mid block's attention; if not given, `norm_num_groups` with the default
    /// `resnet_time_scale_shift` and no norm with the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attn_norm_num_groups: Option<usize>,
    /// Added to the variance in group norms.
    pub norm_eps: f64,
    /// How residual blocks are told the time.
    pub resnet_time_scale_shift: TimeScaleShift,
    /// Whether the mid block has self-attention.
    pub add_attention: bool,
    /// Class conditioning other than by a learned table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_embed_type: Option<ClassEmbedType>,
    /// Rows of the learned class table (without `class_embed_type`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_class_embeds: Option<usize>,
}

impl Default for UNet2DConfig {
    /// The class defaults of diffusers.
    fn default() -> Self {
        use DownBlockType::{AttnDownBlock2D, DownBlock2D};
        use UpBlockType::{AttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            freq_shift: 0,
            flip_sin_to_cos: true,
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D],
            mid_block_type: MidBlockType::UNetMidBlock2D,
            up_block_types: vec![AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: ResampleType::Conv,
            upsample_type: ResampleType::Conv,
            dropout: 0.0,
            act_fn: Activation::Silu,
            attention_head_dim: Some(8),
            attention_heads: None,
            norm_num_groups: 32,
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: TimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
        }
    }
}

impl UNet2DConfig {
    /// Number that height and width must be multiples of: `2^(levels - 1)`.
    ///
    /// # Panics
    /// If there are more levels than [`UNet2DConfig::validate`] allows.
    pub fn size_divisor(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    /// Length of the time embedding.
    pub fn time_embed_dim(&self) -> usize {
        match self.time_embedding_dim {
            Some(dim) if dim > 0 => dim,
            _ => 4 * self.block_out_channels[0],
        }
    }

    /// Length of the time features that the embedding starts from.
    pub(super) fn time_feature_dim(&self) -> usize {
        match self.time_embedding_type {
            TimeEmbeddingType::Positional => self.block_out_channels[0],
            TimeEmbeddingType::Fourier => 2 * self.block_out_channels[0],
        }
    }

    /// Number of class labels that the network tells apart; none for unconditional networks and where labels are unbounded.
    pub fn num_classes(&self) -> Option<usize> {
        self.class_embed_type.is_none().then_some(self.num_class_embeds).flatten()
    }

    /// Whether the network needs class labels or class embeddings.
    pub fn is_conditional(&self) -> bool {
        self.class_embed_type.is_some() || self.num_class_embeds.is_some()
    }

    /// Heads and channels of a head in an attention over `channels`.
    pub fn heads(&self, channels: usize) -> (usize, usize) {
        match self.attention_heads {
            Some(heads) => (heads, channels / heads),
            None => {
                let dim = self.attention_head_dim.unwrap_or(channels);
                (channels / dim, dim)
            }
        }
    }
}

/// `None` as 0, for formats without null in which a missing key means the default, 8.
mod zero_is_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(dim: &Option<usize>, serializer: S) -> Result<S::Ok, S::Error> {
        dim.unwrap_or(0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
        Ok(Option::<usize>::deserialize(deserializer)?.filter(|&dim| dim > 0))
    }
}
