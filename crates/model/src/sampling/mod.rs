//! Many samples from a model, batch by batch: which sampler, over which steps, with which noise.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`SamplerKind`] | the samplers by name, and what is known of each |
//! | [`SamplerChoice`] | what the caller says; the rest comes from the model's scheduler |
//! | [`Sampler`] | the same with every step settled |
//! | [`SampleOptions`] | all that a caller can ask for, and whether the model can do it |
//! | [`SamplePlan`], [`draw`](fn@draw) | how many samples, of which classes, from which noise; and the drawing |
//! | [`Origin`] | samples from pictures in place of noise: changed, or with known parts |
//! | [`Encoding`] | the way back: from pictures to the noise that they are made from |
//! | [`Guidance`], [`GuidanceInterval`] | how strongly samples are pushed towards their class, and at which noise levels |
//! | [`LateStart`] | where a sampler takes data for noise |
//! | [`LevelOptions`], [`euler_levels`], [`dpm_solver_levels`] | the noise levels of diffusers' solvers |

mod choice;
mod denoiser;
mod draw;
mod encode;
mod error;
mod fitted;
mod guidance;
mod leaps;
mod levels;
mod options;
mod origin;
mod plan;
mod registry;
mod start;

pub use choice::{DdimConvention, SamplerChoice};
pub use draw::{Progress, draw, draw_batches};
pub use encode::{Encoding, encode_batches};
pub use error::SamplerError;
pub use guidance::{Guidance, GuidanceInterval};
pub use leaps::{ending_at_first_step, strided};
pub use levels::{FinalSigma, LevelOptions, dpm_solver_levels, euler_levels};
pub use options::SampleOptions;
pub use origin::{Origin, Pictures, PicturesError};
pub use plan::{Classes, Noise, SamplePlan};
pub use registry::{Sampler, SamplerInfo, SamplerKind};
pub use start::LateStart;
