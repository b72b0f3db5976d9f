//! Denoising networks in the layout of diffusers: a U-Net for images, a multilayer perceptron for low-dimensional data,
//! and the pipeline directory that both are kept in.
//!
//! Any unconditional or class-conditional `UNet2DModel` pipeline is a network here, and every network written here opens
//! in diffusers: the names of fields *are* the names of tensors, the keys of [`UNet2DConfig`](unet::UNet2DConfig) are those of its
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
//! | [`params`] | where parameters come from (a seed, a file) and how they leave a module |
//! | [`tensor_file`] | safetensors: bounded memory, no trust, deterministic bytes, atomic writes |
//! | [`pipeline`] | the directory of configuration, weights and scheduler |
//! | [`torch_file`] | files of `torch.save`, read without executing anything |
//! | [`disguise`] | what lies under a file's name in place of it: pointers, pages, nothing |
//! | [`openai`] | checkpoints of improved-diffusion and guided-diffusion |
//!
//! Configurations and files are checked when they are read, inputs by [`UNet2D::check`](unet::UNet2D::check): what a user, a
//! file or a device can cause is an error value, not a panic.
//!
//! # Example
//! A network from a seed, written as a diffusers pipeline and read back.
//! ```
//! use burn::{backend::Flex, tensor::Tensor};
//! use sfumato_nets::{
//!     params::RandomParams,
//!     pipeline::{AnyConfig, Facts, Pipeline, PipelineSpec, Scheduler},
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
//!
//! let dir = tempfile::tempdir()?;
//! let spec = PipelineSpec { config: AnyConfig::UNet(config), scheduler: Scheduler::default(), facts: Facts::default() };
//! spec.write(dir.path(), &net)?;
//! let pipeline = Pipeline::open(dir.path())?;
//! assert_eq!(pipeline.spec, spec);
//! let same = pipeline.load_unet::<Flex>(&device)?;
//! # let _ = same;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod disguise;
mod error;
mod json;
pub mod layers;
pub mod mlp;
mod network;
pub mod openai;
pub mod params;
pub mod pipeline;
mod state_names;
pub mod tensor_file;
pub mod torch_file;
pub mod unet;

pub use error::{ConfigError, InputError, NetError};
pub use json::JsonError;
pub use network::{Call, Guided, Network};
