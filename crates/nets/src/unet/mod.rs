//! The U-Net of DDPM in the structure of diffusers' `UNet2DModel`.
//!
//! Ho et al. (2020), arXiv:2006.11239, appendix B; Ronneberger et al. (2015), arXiv:1505.04597. The encoder halves the
//! resolution from level to level and keeps every intermediate result; the decoder doubles it again and joins them.
//! Each residual block is told the time.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `config` | [`UNet2DConfig`]: the keys of diffusers, their defaults, what is supported |
//! | `plan` | channels of every block, shared by construction and [`Summary`] |
//! | `model` | [`UNet2D`]: construction, checks, forward pass |
//! | `parts` | how many examples go through at a time without a gradient |
//! | `resnet`, `attention`, `resample`, `blocks` | the parts |
//! | `time` | sinusoidal and Fourier features, their embedding |

mod attention;
mod blocks;
mod class_embedding;
mod config;
mod config_json;
mod config_types;
mod model;
mod parts;
mod plan;
mod resample;
mod resnet;
#[cfg(test)]
mod shapes;
mod summary;
mod time;
mod validate;

pub use attention::Attention;
pub use blocks::{DownBlock, MidBlock, UpBlock};
pub use class_embedding::{ClassEmbedding, Condition};
pub use config::UNet2DConfig;
pub use config_types::{
    ClassEmbedType, DownBlockType, MidBlockType, ResampleType, SampleSize, TimeEmbeddingType, TimeScaleShift,
    UpBlockType,
};
pub use model::UNet2D;
pub use resample::Resampler;
pub use resnet::ResnetBlock;
pub use summary::{BlockSummary, Summary};
pub use time::{TimeEmbedding, TimeProjection, sinusoidal};
pub(crate) use validate::MAX_PARAMETERS;
