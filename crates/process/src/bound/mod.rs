//! The variational bound on `-log p(x_0)`, three ways that must agree, and its limit in continuous time.
//!
//! Jensen's inequality gives `-log p_θ(x_0) ≤ E_q[-log p_θ(x_{0:T})/q(x_{1:T} | x_0)]`, and the difference is exactly
//! `KL(q(x_{1:T} | x_0) ‖ p_θ(x_{1:T} | x_0))` (Ho et al. 2020, arXiv:2006.11239, Eqs. 3 and 5).
//!
//! | way | item | what it is |
//! | --- | --- | --- |
//! | path-wise | [`pathwise`], [`Path`] | `-log p(x_T) - Σ log p_θ(x_{t-1} given x_t)/q(x_t given x_{t-1})` along one trajectory |
//! | KL form | [`estimate`](fn@estimate), [`step_terms`], [`prior_term`] | `L_T + Σ L_{t-1} + L_0`, each divergence in closed form |
//! | exact | [`AffineChain`] | all expectations in closed form, for Gaussian data and a model that is affine in `x_t` |
//! | continuous time | [`estimate_continuous`], [`level_terms`] | `L_T + ½ ∫ E‖ε - ε̂‖² dλ + L_0`, the limit of the KL form of ever more steps |
//!
//! In the KL form
//! - `L_T = KL(q(x_T | x_0) ‖ N(0, I))`, the **prior** term, needs no model;
//! - `L_{t-1} = KL(q(x_{t-1} | x_t, x_0) ‖ p_θ(x_{t-1} | x_t))` for `t = 2, …, T`, the **steps**;
//! - `L_0 = -log p_θ(x_0 | x_1)`, the **decoder** ([`Decoder`]): the discretised Gaussian for 8-bit data, a plain Gaussian density
//!   for continuous data. The two are not comparable: one is a probability, the other a density.
//!
//! All terms are in nats for a whole example; [`Mean::bits_per_dim`] is the one conversion. The network computes in the
//! backend's floats; from its prediction of `x_0` on everything is `f64` on the host: divergences come from differences of means,
//! never from differences of large log-densities, and sums run over examples in order, so that a result does not depend on the
//! size of batches (up to the network's own rounding).
//!
//! A respaced [`Chain`](crate::Chain) gives the bound of *that* chain, with its own `p_θ`.
//!
//! # Example
//! An oracle's bound is close to the entropy of the data, which no model can beat:
//! ```
//! use burn::{backend::Flex, tensor::{DType, Tensor}};
//! use sfumato_process::{Chain, Parameterization, bound, oracle::{GaussianData, Oracle}};
//! use sfumato_schedule::{NoiseSchedule, probability::Gaussian};
//!
//! let schedule = NoiseSchedule::from_betas((1..=100).map(|t| 0.002 * t as f64).collect())?;
//! let data = Gaussian::new(0.5, 0.3)?;
//! // The exact reverse chain of Gaussian data, and its bound.
//! let exact = bound::AffineChain::exact(&schedule, &data);
//! let gap = exact.bound(&schedule, &data).total() - data.entropy();
//! assert!(gap > 0.0 && gap < 1e-3);
//!
//! // The same model as a denoiser, one example at one step.
//! let oracle = Oracle::new(GaussianData::isotropic(vec![0.5], 0.3)?, &schedule, Parameterization::X0);
//! let chain = Chain::new(&schedule, Parameterization::X0);
//! let device = Default::default();
//! let x = |value: f64| Tensor::<Flex, 2>::from_data([[value]], (&device, DType::F64));
//! let nats = bound::step_terms(&chain, &oracle, bound::Decoder::Gaussian, x(0.6), x(0.4), &[50])?;
//! assert!(nats[0] > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod affine;
mod batches;
mod continuous;
mod decoder;
mod error;
mod estimate;
pub(crate) mod host;
mod levels;
mod moments;
mod noise;
mod path;
mod pathwise;
mod plan;
mod predicted;
mod result;
mod strata;
mod terms;

pub use affine::{AffineChain, AffineStep, ExactBound};
pub(crate) use continuous::Between;
pub use continuous::{ContinuousPlan, PredictBetween, estimate_continuous, level_terms};
pub use decoder::Decoder;
pub use error::BoundError;
pub(crate) use estimate::WithExamples;
pub use estimate::{Examples, Heard, Predict, Progress, estimate};
pub use levels::{Level, LevelStrata};
pub use moments::{Mean, Moments};
pub use noise::BoundNoise;
pub use path::Path;
pub use pathwise::pathwise;
pub use plan::{Plan, Point};
pub use result::{Bound, ExampleTerms, LevelTerm, StepTerm};
pub use strata::{Strata, Stratum};
pub use terms::{prior_term, step_terms};
