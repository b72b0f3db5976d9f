//! Denoising networks in the layout of diffusers: a U-Net for images, a multilayer perceptron for low-dimensional data.
//!
//! Any unconditional or class-conditional `UNet2DModel` of diffusers is a network here: the names of fields *are* the names of tensors, the keys of [`UNet2DConfig`](unet::UNet2DConfig) are those of its
//! `config.json`, and values agree to float rounding. Networks are generic over the backend
//! ([`sfumato_kernels::Backend`]) and know no noise schedule; to a diffusion process they are
//! [`Denoiser`](sfumato_process::Denoiser)s.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`unet`] | the U-Net of DDPM with all keys of diffusers |
//! | [`mlp`] | residual layers for points in the plane and the like |
//! | [`Network`], [`Call`], [`Guided`] | networks as denoisers, with class labels and classifier-free guidance |
//! | [`layers`] | convolution, linear map, group norm, embedding, addressed dropout |
//! | [`params`] | where parameters come from (a seed, or whatever implements [`ParamSource`](params::ParamSource)) and how they leave a module |
//!
//! Files of parameters and directories of models are the business of the crate `sfumato-model`.
//!
//! Configurations are checked when they are read, inputs by [`UNet2D::check`](unet::UNet2D::check): what a user, a
//! file or a device can cause is an error value, not a panic.
//!
//! # Example
//! ```
//! use burn::{backend::Flex, tensor::Tensor};
//! use sfumato_nets::{
//!     params::RandomParams,
//!     unet::{DownBlockType, UNet2DConfig, UpBlockType},
//! };
//!
//! let config = UNet2DConfig {
//!     in_channels: 1,
//!     out_channels: 1,
//!     block_out_channels: vec![8, 16, 16],
//!     down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D, DownBlockType::DownBlock2D],
//!     up_block_types: vec![UpBlockType::UpBlock2D, UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
//!     norm_num_groups: 4,
//!     ..Default::default()
//! };
//! let device = Default::default();
//! let net = config.build::<Flex>(&mut RandomParams::new(42), &device)?;
//!
//! // Two images of 28x28 pixels at timesteps 0 and 999 (counted from 0, as in diffusers).
//! let output = net.forward(Tensor::zeros([2, 1, 28, 28], &device), &[0.0, 999.0], None, None);
//! assert_eq!(output.dims(), [2, 1, 28, 28]);
//! # Ok::<(), sfumato_nets::NetError>(())
//! ```
#![forbid(unsafe_code)]

mod class_path;
mod error;
pub mod layers;
pub mod mlp;
mod network;
pub mod params;
pub mod unet;

pub use class_path::Path;
pub use error::{ConfigError, InputError, NetError, SourceError};
pub use network::{Call, Guided, Network};
