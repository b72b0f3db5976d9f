//! Samplers: from `x_T ~ N(0, I)` down the reverse chain to `x_0`.
//!
//! | sampler | of | noise in its steps | evaluations for `S` steps |
//! | --- | --- | --- | --- |
//! | [`ancestral`] | Ho et al. (2020), Algorithm 2 | yes | `S` |
//! | [`ddim`] | Song, Meng & Ermon (2021), Eq. 12 | with `η > 0` | `S` |
//! | [`DpmSolver`] | Lu et al. (2022), Algorithm 2 | with [`SolverEquation::Sde`] | `S` |
//! | [`UniPc`] | Zhao et al. (2023), Algorithms 1 and 2 | no | `S` |
//! | [`Euler`] | Karras et al. (2022), Eq. 4 | no | `S` |
//! | [`EulerAncestral`] | Song et al. (2021), Eq. 47 | yes | `S` |
//! | [`Heun`] | Karras et al. (2022), Algorithm 1 | no | `2S - 1` |
//!
//! Each is a [`Stepper`] whose step follows its paper line by line, and [`walk`] takes it from noise to data. Noise is drawn
//! from a [`NoiseSource`](crate::NoiseSource) (draw 0 is `x_T`, then one draw for each stochastic step), and an observer
//! sees every state and may stop the chain.
//!
//! A walk may also start from a picture: [`walk_from`] a state [in the middle](in_the_middle) (SDEdit, Meng et al. 2022, arXiv:2108.01073),
//! or with known pixels all the way ([`Inpainting`]). [`Inversion`] goes back from data to the noise that a deterministic sampler makes it from.

mod ancestral;
mod ddim;
mod dpm_solver;
mod euler;
mod euler_ancestral;
mod heun;
mod inpainting;
mod inversion;
mod unipc;
mod walk;
mod weights;

pub use ancestral::{Ancestral, ancestral};
pub use ddim::{Ddim, DdimSteps, Leaps, ddim};
pub use dpm_solver::{DpmSolver, DpmSolverOptions, SolverEquation, SolverOrder, SolverType};
pub use euler::Euler;
pub use euler_ancestral::EulerAncestral;
pub use heun::Heun;
pub use inpainting::{Inpainting, Move, Resampling};
pub use inversion::{Inversion, InversionError, Rule};
pub use unipc::{UniPc, UniPcOptions, UniPcScale};
pub use walk::{Observer, SampleError, State, Step, Stepper, ignore, in_the_middle, walk, walk_from};
