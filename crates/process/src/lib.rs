//! Diffusion processes on [Burn](burn) tensors: the fixed forward chain `q`, the learned reverse chain `p`, the samplers
//! that walk it, and the bound on the likelihood that it gives.
//!
//! Nothing here knows a network, a data set or a device. A network is whatever implements [`Denoiser`]; noise is
//! an explicit argument, by default a pure function of (seed, sample index, draw) ([`SeededNoise`]); every tensor is
//! generic over Burn's `Backend` and over its rank, with the batch first.
//!
//! Steps `t` run `1..=T` as in the papers, and `t = 0` is clean data. Data is scaled to [-1, 1].
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`forward`] | `q(x_t given x_{t-1})`, `q(x_t given x_0)`, whole trajectories, `q(x_{t-1} given x_t, x_0)` |
//! | [`parameterization`] | epsilon, x_0 and v predictions, and how to pass from one to another |
//! | [`reverse`] | `p(x_{t-1} given x_t)` with fixed and learned variances |
//! | [`clipping`] | keeping predictions of the clean data in range |
//! | [`levels`] | the noise levels that solvers of the probability-flow ODE visit |
//! | [`sampler`] | ancestral sampling (DDPM), DDIM, DPM-Solver++, UniPC, Euler and Heun, with an observer for intermediate states |
//! | [`loss`] | `L_simple` |
//! | [`objective`] | `L_simple`, the bound and both as losses, with weights, for fixed and learned variances |
//! | [`times`] | which steps training visits: densities of noise levels |
//! | [`bound`] | the variational bound: path-wise, as a sum of divergences, exact, and in continuous time |
//! | [`flow`] | the likelihood by the probability-flow ODE |
//! | [`fit`] | the best fixed variances and the best steps, from one pass over data |
//! | [`oracle`] | data whose diffusion is known exactly, and the perfect denoiser for it |
//! | [`noise`] | counter-based and replayed noise |
//! | [`denoiser`] | the trait that a network implements |
//!
//! # Example
//!
//! Ancestral sampling with a denoiser that knows the answer: when all data is one point `c`, the network's best guess
//! of the noise in `x_t` is `(x_t - √ᾱ_t c) / √(1 - ᾱ_t)`, and the chain ends at `c`.
//!
//! ```
//! use burn::{backend::Flex, tensor::{Tensor, backend::Backend}};
//! use sfumato_process::{Chain, Denoiser, SeededNoise, parameterization::Parameterization, sampler};
//! use sfumato_schedule::{NoiseSchedule, ScheduleConfig};
//!
//! struct OnePoint(NoiseSchedule, f64);
//! impl<B: Backend> Denoiser<B, 2> for OnePoint {
//!     fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
//!         let alpha_bar = self.0.alpha_bar(t[0]);
//!         (x_t - alpha_bar.sqrt() * self.1) / (1.0 - alpha_bar).sqrt()
//!     }
//! }
//!
//! let schedule = ScheduleConfig::default().build()?;
//! let chain = Chain::new(&schedule, Parameterization::Epsilon);
//! let device = Default::default();
//! let x_0 = sampler::ancestral::<Flex, 2>(&chain, &OnePoint(schedule, 0.25), &SeededNoise::new(1), [4, 3], &device, &mut sampler::ignore)?;
//! for value in x_0.into_data().iter::<f64>() {
//!     assert!((value - 0.25).abs() < 1e-3);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod bound;
mod broadcast;
pub mod clipping;
pub mod denoiser;
pub mod fit;
pub mod flow;
pub mod forward;
mod gaussian;
pub mod levels;
pub mod loss;
mod named;
pub mod noise;
mod noise_between;
pub mod objective;
pub mod oracle;
mod output;
pub mod parameterization;
pub mod reverse;
pub mod sampler;
pub mod times;
mod variance;

pub use clipping::Clipping;
pub use denoiser::Denoiser;
pub use fit::VarianceRule;
pub use gaussian::Gaussian;
pub use levels::{NoiseLevel, NoiseLevels};
pub use named::ParameterError;
pub use noise::{NoiseError, NoiseSource, RecordedNoise, SeededNoise};
pub use noise_between::NoiseBetween;
pub use objective::{DiffusionObjective, Loss, Objective, Weight};
pub use output::OutputShapeError;
pub use parameterization::Parameterization;
pub use reverse::{Chain, ReverseStep};
pub use variance::{LearnedVariance, ModelVariance, ReverseVariance, StepVariance, VarianceError};
