//! A trained diffusion model as its user holds it: opened from a directory, sampled, scored.
//!
//! Any unconditional or class-conditional `UNet2DModel` pipeline of diffusers opens, whoever wrote it, and every directory that is
//! written here opens in diffusers. What diffusers does differently from the papers lives in this crate and nowhere below.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`Model`] | a model on a device: [`Sampling`] and [`Scoring`] say how it is sampled and scored, [`Samples`] are the result |
//! | [`pipeline`] | the directory of configuration, weights and scheduler |
//! | [`sampling`] | many samples, batch by batch |
//! | [`fitted`] | better variances and better steps, from numbers that lie beside the weights |
//! | [`params`] | parameters of networks in files |
//! | [`tensor_file`] | safetensors: bounded memory, no trust, deterministic bytes, atomic writes |
//! | [`torch_file`] | files of `torch.save`, read without executing anything |
//! | [`openai`] | checkpoints of improved-diffusion and guided-diffusion |
//! | [`disguise`] | what lies under a file's name in place of it: pointers, pages, nothing |
//! | `picture` | PNG files, grids, scatter plots and animations, with the feature `pictures` |
//!
//! # Features
//! - `pictures`: the module `picture`, and the methods of [`Samples`] that write PNG files. Without it nothing here depends on decoders or
//!   encoders of pictures.
//!
//! # Example
//! ```no_run
//! use burn::backend::Flex;
//! use sfumato_model::Model;
//!
//! let samples = Model::<Flex>::open("google/ddpm-cifar10-32")?.sample(16).steps(20).seed(7).draw()?;
//! assert_eq!(samples.to_rgb8(0)?.len(), 32 * 32 * 3);
//! # Ok::<(), sfumato_model::ModelError>(())
//! ```
#![forbid(unsafe_code)]

mod blueprint;
mod builder;
pub mod disguise;
mod error;
pub mod fitted;
mod flow;
mod json;
mod model;
mod noise_loss;
pub mod openai;
pub mod params;
#[cfg(feature = "pictures")]
pub mod picture;
pub mod pipeline;
mod samples;
pub mod sampling;
mod score;
mod spacing;
mod state_names;
pub mod tensor_file;
pub mod torch_file;

pub use blueprint::Blueprint;
pub use builder::Sampling;
pub use error::ModelError;
pub use json::JsonError;
pub use model::{Model, Net, Step};
pub use noise_loss::NoisedBatch;
pub use samples::Samples;
pub use score::Scoring;
pub use spacing::{Spacing, UnknownSpacing, leading, trailing};
