//! The pipeline directory of diffusers: networks on disk.
//!
//! ```text
//! model_index.json                               which classes the components are
//! unet/config.json                               structure of the network
//! unet/diffusion_pytorch_model.safetensors       its weights
//! scheduler/scheduler_config.json                noise schedule, parameterisation, variance
//! ```
//!
//! [`Pipeline::open`] reads such a directory (or the flat layout with `config.json` at the root), whoever wrote it;
//! [`PipelineSpec`] writes one that diffusers opens.

mod any_config;
mod error;
mod facts;
mod json;
mod read;
mod scheduler;
mod scheduler_read;
mod scheduler_write;
mod write;

pub use any_config::AnyConfig;
pub use error::{PipelineError, Warning};
pub use facts::Facts;
pub use read::Pipeline;
pub use scheduler::{SamplingDefaults, Scheduler, Thresholding};
pub use write::{PipelineSpec, WEIGHTS_FILE};
