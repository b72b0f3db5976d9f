//! Noise schedules and the exact mathematics of diffusion models, in `f64`: no tensors, no I/O, no randomness.
//!
//! A diffusion model adds noise to data in `T` small steps and learns to take them back (Ho et al. 2020,
//! arXiv:2006.11239). This crate holds what is known in closed form. Steps run `t = 1, ..., T`; `t = 0` is clean data, where
//! `alpha_bar` is 1.
//!
//! # A schedule and its coefficients
//! ```
//! use sfumato_schedule::{Cosine, ScheduleConfig};
//!
//! // By name, as on a command line, or by parameters.
//! let linear = "linear".parse::<ScheduleConfig>()?.build()?;
//! let cosine = ScheduleConfig::from(Cosine { steps: 4000, ..Cosine::default() }).build()?;
//!
//! // q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)
//! assert!((linear.alpha_bar(1000) - 4.0e-5).abs() < 1e-6);
//! assert!(cosine.alpha_bar(2000) > 0.49);
//!
//! // q(x_{t-1} | x_t, x_0) = N(weights.x_0 x_0 + weights.x_t x_t, beta_tilde_t I)
//! let weights = linear.posterior_mean_coefficients(500);
//! assert!(linear.posterior_variance(500) < linear.beta(500) && weights.x_t > weights.x_0);
//!
//! // The same chain in 50 leaps.
//! let fast = linear.respace(&sfumato_schedule::evenly_spaced(1000, 50)?)?;
//! assert_eq!((fast.schedule().steps(), fast.original_step(1)), (50, 1));
//! # Ok::<(), sfumato_schedule::ScheduleError>(())
//! ```
//!
//! # Map
//! - [`NoiseSchedule`]: the validated tables; [`ScheduleConfig`]: a family and its parameters, from a file or a command line;
//!   [`families`]: the formulas.
//! - [`NoiseSchedule::respace`], [`evenly_spaced`]: shorter chains; [`NoiseSchedule::leap`]: any single leap of one; [`BestSteps`]: the
//!   cheapest, whatever the leaps cost.
//! - [`LogSnrCurve`]: the log-SNR between the steps; [`LossCurve`]: the schedule that a measured loss asks for.
//! - [`ForwardKernel`], [`forward_induction`]: the chain as Gaussian kernels, step by step and in closed form;
//!   [`NoiseSchedule::prior_kl`] and its neighbours: what a schedule alone says about the variational bound.
//! - [`NoiseSchedule::with_zero_terminal_snr`]: the same schedule, down to pure noise.
//! - [`check()`]: what is wrong with a schedule for given data.
//! - [`probability`]: Gaussians, discrete distributions, the normal distribution function and the likelihood of 8-bit data.
//! - [`ScheduleError`], [`probability::ProbabilityError`]: everything that can be wrong with the input.
//!
//! # Accuracy
//! `alpha_bar` and `1 - alpha_bar` are multiplied up in twice the precision of `f64`, tails and differences of the normal
//! distribution function keep their relative accuracy, and divergences do not cancel; each function says what it promises.

#![forbid(unsafe_code)]

mod best_steps;
mod bound;
mod check;
mod config;
mod double_double;
mod error;
pub mod families;
mod forward;
mod leap;
mod learned;
mod log_linear;
mod log_snr;
mod nearest;
mod posterior;
pub mod probability;
mod respace;
mod schedule;
mod spacing;
mod zero_snr;

pub use best_steps::{BestSteps, ChainCosts};
pub use check::{CheckConditions, Finding, IdleReason, Severity, check};
pub use config::ScheduleConfig;
pub use error::{MAX_STEPS, ScheduleError};
pub use families::*;
pub use forward::{ForwardKernel, forward_induction};
pub use leap::Leap;
pub use learned::{LevelLoss, LossCurve, Spread};
pub use log_snr::LogSnrCurve;
pub use nearest::nearest;
pub use posterior::{Coefficients, PosteriorMean};
pub use respace::RespacedSchedule;
pub use schedule::NoiseSchedule;
pub use spacing::evenly_spaced;
