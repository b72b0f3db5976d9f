//! A trained diffusion model as its user holds it: opened from a directory, sampled, scored.
//!
//! Any unconditional or class-conditional `UNet2DModel` pipeline of diffusers opens, whoever wrote it, and every directory that is
//! written here opens in diffusers. What diffusers does differently from the papers lives in this crate and nowhere below.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`pipeline`] | the directory of configuration, weights and scheduler |
//! | [`sampling`] | many samples, batch by batch |
//! | [`params`] | parameters of networks in files |
//! | [`tensor_file`] | safetensors: bounded memory, no trust, deterministic bytes, atomic writes |
//! | [`torch_file`] | files of `torch.save`, read without executing anything |
//! | [`openai`] | checkpoints of improved-diffusion and guided-diffusion |
//! | [`disguise`] | what lies under a file's name in place of it: pointers, pages, nothing |
//! | `picture` | PNG files, grids, scatter plots and animations, with the feature `pictures` |
#![forbid(unsafe_code)]

mod blueprint;
pub mod disguise;
mod json;
pub mod openai;
pub mod params;
#[cfg(feature = "pictures")]
pub mod picture;
pub mod pipeline;
pub mod sampling;
mod state_names;
pub mod tensor_file;
pub mod torch_file;

pub use blueprint::Blueprint;
pub use json::JsonError;
