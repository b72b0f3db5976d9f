//! The regret of a model by noise level: how far its loss is above that of the perfect denoiser of its training set.
//!
//! The training set, as a distribution of its own, is a mixture of points. Its perfect denoiser is known in closed form: the posterior
//! mean is a softmax over the training examples ([`EmpiricalMixture`]). At each noise level it has a loss, `E‖ε - ε*(x_t)‖²/D`, below
//! which nothing comes; it is `ᾱ/(1 - ᾱ) · (E‖x_0‖² - E‖E[x_0 | x_t]‖²)/D` (arXiv:2506.13763, which measures the same of
//! large training sets).
//!
//! - A network with that loss has learned the training set by heart. Its training loss above it is its *regret*.
//! - Its loss on held-out examples above that on training examples is its *gap*. A gap is what learning by heart costs others.
//! - The same perfect denoiser on held-out examples says what it would cost to have learned everything by heart.
//!
//! The model and the optimum get the same examples with the same noise, so that the standard error of the regret is that of differences.
//! Noise is a function of (seed, place, step), where the place counts the examples of either set: training and held-out examples share
//! it.

mod error;
mod examples;
mod levels;
mod losses;
mod mixture;
mod near;
mod optimum;
mod posterior;
mod products;
mod run;
mod verdict;

pub use error::RegretError;
pub use levels::{LEVELS, Level, levels};
pub use losses::{Figures, HeldOut, LevelFigures, Regret};
pub use mixture::{EmpiricalMixture, Query};
pub use run::{NoiseLosses, RegretPlan, RegretProgress, RegretSets, regret, regret_of};
pub use verdict::{Verdict, has_gap};
