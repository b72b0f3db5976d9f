//! The choices among which a configuration picks.

use serde::{Deserialize, Serialize};

/// Height and width of the images that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampleSize {
    /// As high as wide.
    Square(usize),
    /// Height, width.
    Rectangle([usize; 2]),
}

impl SampleSize {
    /// Height and width in pixels.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Rectangle(sides) => sides,
        }
    }
}

/// What the time features are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TimeEmbeddingType {
    /// Sines and cosines of the timestep at geometric frequencies.
    #[default]
    Positional,
    /// Sines and cosines of its logarithm at stored random frequencies; the output is divided by the timestep.
    Fourier,
}

/// A level of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DownBlockType {
    /// Residual blocks, then a strided convolution.
    #[serde(alias = "UNetResDownBlock2D")]
    DownBlock2D,
    /// Residual blocks each followed by self-attention, then downsampling by `downsample_type`.
    #[serde(alias = "UNetResAttnDownBlock2D")]
    AttnDownBlock2D,
    /// Residual blocks, then a residual block that downsamples.
    #[serde(alias = "UNetResResnetDownsampleBlock2D")]
    ResnetDownsampleBlock2D,
}

/// The block between encoder and decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MidBlockType {
    /// Residual block, self-attention, residual block.
    #[default]
    UNetMidBlock2D,
    /// Nothing; `null` in the files.
    None,
}

/// A level of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum UpBlockType {
    /// Residual blocks, then nearest-neighbour upsampling and a convolution.
    #[serde(alias = "UNetResUpBlock2D")]
    UpBlock2D,
    /// Residual blocks each followed by self-attention, then upsampling by `upsample_type`.
    #[serde(alias = "UNetResAttnUpBlock2D")]
    AttnUpBlock2D,
    /// Residual blocks, then a residual block that upsamples.
    #[serde(alias = "UNetResResnetUpsampleBlock2D")]
    ResnetUpsampleBlock2D,
}

/// How attention levels change the resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResampleType {
    /// By one convolution.
    #[default]
    Conv,
    /// By a residual block.
    Resnet,
}

/// How a residual block is told the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeScaleShift {
    /// A bias for each channel before the second norm: Ho et al. (2020).
    #[default]
    Default,
    /// A scale and a shift for each channel after it: Dhariwal & Nichol (2021), arXiv:2105.05233, section 3.1.
    ScaleShift,
}

/// Class conditioning by something other than a learned table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ClassEmbedType {
    /// The label passes through the time features and an embedding of its own.
    Timestep,
    /// The caller gives the embedding.
    Identity,
}
