//! Checkpoints of OpenAI's improved-diffusion and guided-diffusion as models of the diffusers layout.
//!
//! Nichol & Dhariwal (2021), arXiv:2102.09672; Dhariwal & Nichol (2021), arXiv:2105.05233. Their `.pt` files hold tensors
//! and nothing else: the structure comes from the command-line flags that their READMEs print beside each download.
//!
//! # What is the same computation
//! Residual blocks (both kinds of time conditioning), self-attention with any number of heads and either order of `qkv`,
//! resampling by convolutions or by residual blocks, class tables, sinusoidal features (`[cos | sin]`, no shift), group norms of
//! 32 groups and ε = 1e-5. Only names and layouts change: `qkv` of shape `[3C, C, 1]` is cut into three linear maps.
//!
//! # What is expressed by other means
//! - Learned variances: the network has `2C` output channels and the scheduler says `learned_range`.
//! - The linear schedule scaled to `T`, and its like: as `trained_betas`.
//! - `rescale_timesteps` with `T ≠ 1000`: the networks see `1000 t / T`, `UNet2DModel` sees integers. The model becomes
//!   the sub-chain of 1000 steps at which `1000 t / T` is an integer, with the betas of that sub-chain (the respacing of
//!   improved-diffusion itself). That needs `T` to be a multiple of 1000.
//! - `num_heads` heads at levels of different widths: as [`attention_heads`](sfumato_nets::unet::UNet2DConfig::attention_heads), which
//!   `UNet2DModel` cannot say. Such a model runs here, and diffusers refuses its configuration.
//!
//! # What is refused
//! Anything else, with the flag: different heads up and down, a first level that is narrower than `num_channels` (the 512×512
//! models), other multiples of `T`, classifiers and upsamplers.

mod checkpoint;
mod flags;
mod model;
mod names;
mod params;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use flags::{FlagError, OpenAiFlags, Project};
pub use model::{Model, ModelError, Note};
pub use params::CheckpointParams;
