//! Data whose diffusion is known exactly: Gaussians and mixtures of Gaussians, in `f64`.
//!
//! For such data every `q(x_t)` is again a mixture of Gaussians, and so `E[x_0 | x_t]`, the reverse transition
//! `q(x_{t-1} | x_t)` and the density at every step have closed forms. [`Oracle`] puts them behind the trait that networks
//! implement, so that samplers and estimates of the bound can be checked against the truth and not against themselves.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`GaussianData`] | a Gaussian with any covariance, in its principal axes |
//! | [`MixtureData`] | a weighted sum of Gaussians |
//! | [`NoisedMixture`] | its marginal `q(x_t)`: density, `E[x_0 given x_t]`, `Cov[x_0 given x_t]`, `q(x_{t-1} given x_t)` |
//! | [`Oracle`] | the perfect [`Denoiser`](crate::Denoiser) |
//!
//! Meant for a few dimensions: a full covariance costs `d²` operations for each evaluation.
//!
//! # Example
//! Two points' worth of data, blurred: far from the middle, the oracle knows which of the two it was.
//! ```
//! use sfumato_process::oracle::{GaussianData, MixtureData};
//! use sfumato_schedule::ScheduleConfig;
//!
//! let data = MixtureData::new(vec![
//!     (0.5, GaussianData::isotropic(vec![-1.0], 0.01)?),
//!     (0.5, GaussianData::isotropic(vec![1.0], 0.01)?),
//! ])?;
//! let schedule = ScheduleConfig::default().build()?;
//! let noised = data.noised(&schedule, 300);
//! assert!(noised.mean_x_0(&[0.0])[0].abs() < 1e-12);
//! assert!((noised.mean_x_0(&[3.0])[0] - 1.0).abs() < 0.05);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod denoiser;
mod error;
mod gaussian;
mod mixture;
mod noised;
mod spectrum;

pub use denoiser::Oracle;
pub use error::DataError;
pub use gaussian::GaussianData;
pub use mixture::MixtureData;
pub use noised::NoisedMixture;
