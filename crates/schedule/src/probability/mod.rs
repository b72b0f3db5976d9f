//! Gaussians and discrete distributions: the identities that diffusion models are derived with.
//!
//! Logarithms are natural: densities, entropies and divergences are in nats (per nothing: whole vectors, not dimensions);
//! [`nats_to_bits`] and [`bits_per_dim`] are the one place where the unit changes. Distributions are validated when they are
//! made, so the functions on them are total.
//!
//! - [`Gaussian`], [`IsotropicGaussian`]: one number, or a vector with the same variance in every direction.
//! - [`LinearGaussian`]: a Gaussian seen through a linear map and Gaussian noise, and Bayes' rule for it.
//! - [`Discrete`], [`Joint`], [`bayes`]: finite distributions and tables of two variables.
//! - [`normal`]: the standard normal distribution function, in both tails.
//! - [`discretized_log_likelihood`]: a Gaussian's probability of an 8-bit grey level; [`discretized_slopes`]: its derivatives.

mod discrete;
mod discretized;
mod discretized_slopes;
mod error;
mod gaussian;
mod isotropic;
mod joint;
mod linear_gaussian;
pub mod normal;
mod stable;
mod units;

pub use discrete::Discrete;
pub use discretized::{LikelihoodCdf, discretized_log_likelihood, level_from_value, level_value};
pub use discretized_slopes::{LikelihoodSlopes, discretized_slopes};
pub use error::ProbabilityError;
pub use gaussian::{Gaussian, GaussianProduct};
pub use isotropic::IsotropicGaussian;
pub use joint::{Joint, bayes};
pub use linear_gaussian::LinearGaussian;
pub use units::{bits_per_dim, nats_to_bits};
