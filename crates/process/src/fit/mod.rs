//! What one pass over data says about a trained network beyond its bound: the best fixed variances, and the best steps for shorter chains.
//!
//! Both follow from a few numbers for each step `t`, measured with the network's own predictions ([`measure`](fn@measure)):
//! - `E‖x_0 - x̂_0‖²/d`, the **error**: every term of the bound of every chain is a closed form of it, since both means of
//!   `KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t))` weigh `x_t` alike;
//! - `m_t = E‖ε̂‖²/d`, the **noise norm**: for a perfect network `(1 - ᾱ_t)/ᾱ_t (1 - m_t) = E tr Cov(x_0 | x_t)/d` (Bao et al. 2022,
//!   arXiv:2201.06503, Theorem 1);
//! - the **decoder's** `-log p(x_0 | x_t)` for a row of variances, since every step may be the last one before clean data.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`VarianceRule`] | where the variances of a reverse chain come from: a formula of the schedule, or a fit |
//! | [`measured_steps`] | the steps that are measured; the others are interpolated |
//! | [`measure`](fn@measure), [`Measured`] | the pass over the data, and its numbers |
//! | [`Fit`] | what follows: variances, terms of all leaps, the best steps |
//!
//! All terms are in nats for one dimension here.
//!
//! # Clipping
//! Where the chain clips `x̂_0`, its mean is made of the clipped one. The error is that of the clipped prediction, and `m_t` that of
//! the noise that follows from it; [`Node::raw_noise_norm`] is the network's own, for comparison.

mod curve;
mod decoder;
mod error;
mod measure;
mod measured;
mod nodes;
mod rule;
mod terms;

pub use error::FitError;
pub use measure::{MeasurePlan, measure};
pub use measured::{Measured, Node};
pub use nodes::measured_steps;
pub use rule::VarianceRule;
pub use terms::Fit;
