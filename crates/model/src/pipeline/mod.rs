//! The pipeline directory of diffusers: networks on disk.
//!
//! ```text
//! model_index.json                               which classes the components are
//! unet/config.json                               structure of the network
//! unet/diffusion_pytorch_model.safetensors       its weights
//! scheduler/scheduler_config.json                noise schedule, parameterisation, variance
//! README.md                                      the model's card
//! ```
//!
//! [`Pipeline::open`] reads such a directory, whoever wrote it: each part may lie in its folder or in the root, and the weights have
//! many names. [`PipelineSpec`] writes one that diffusers opens.

mod any_config;
mod card;
mod error;
mod facts;
mod fit;
mod index;
mod keys;
mod layout;
mod null_class;
mod own;
mod read;
mod scheduler;
mod scheduler_class;
mod scheduler_keys;
mod scheduler_read;
mod scheduler_solvers;
mod scheduler_write;
mod weights;
mod write;

pub use any_config::AnyConfig;
pub use error::{Note, PipelineError, Warning};
pub use facts::Facts;
pub use fit::Labels;
pub use own::OwnConfig;
pub use read::Pipeline;
pub use scheduler::{SamplingDefaults, Scheduler, Thresholding};
pub use write::{PipelineSpec, WEIGHTS_FILE};
