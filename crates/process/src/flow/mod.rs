//! The likelihood of data by the probability-flow ODE: Song et al. (2021), arXiv:2011.13456, §4.3 and Appendix D.
//!
//! The chain has an ODE whose paths have the chain's marginals, if the network is perfect. It carries every `x_1` to one `x_T` and back. So it makes a density
//! `p_1` of `N(0, I)`, which has no bound in it: by the instantaneous change of variables (their Eq. 39)
//!
//! `ln p_1(x_1) = ln N(x_T; 0, I) + ∫ div(dx/ds) ds`
//!
//! along the path, here over `s = -λ`, the negative log-SNR, from that of step 1 to that of step `T`:
//! `dx/ds = ½ n (ε̂ - n x)`, with `n = √(1 - ᾱ)`. Between the steps the network is asked at the time where a straight line of `ln σ` has the level,
//! as the samplers over [`NoiseLevels`](crate::NoiseLevels) ask it.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Start`] | how an example becomes `x_1`: continuous data, 8-bit data with uniform noise, or the chain's first step |
//! | [`Trace`] | the divergence, exactly or by Hutchinson's estimator |
//! | [`Solver`] | Runge–Kutta methods with an estimate of what their error changes |
//! | [`Field`], [`Differentiated`] | the network's prediction with products of its Jacobian |
//! | [`estimate_flow`] | the likelihood of many examples |
//!
//! # Example
//! A network that predicts `x_0 = 0` for all it sees knows data that is one point, and its flow leads from there to `N(0, I)`:
//! ```
//! use burn::{backend::{Autodiff, Flex}, tensor::{DType, Tensor}};
//! use sfumato_process::{Chain, Parameterization, bound::Examples, flow::{Differentiated, FlowPlan, Solver, Start, Trace, estimate_flow}};
//! use sfumato_schedule::ScheduleConfig;
//!
//! struct Points([f32; 4]);
//! impl Examples for Points {
//!     fn len(&self) -> usize { 2 }
//!     fn shape(&self) -> &[usize] { &[2] }
//!     fn write(&self, i: usize, out: &mut [f32]) { out.copy_from_slice(&self.0[2 * i..2 * i + 2]) }
//! }
//!
//! type A = Autodiff<Flex>;
//! let schedule = ScheduleConfig::default().build()?;
//! let chain = Chain::new(&schedule, Parameterization::X0);
//! let predict = |x: Tensor<A, 2>, _: &[f64], _: &[usize]| x * 0.0;
//! let field = Differentiated { predict: &predict, shape: &[2], device: &Default::default(), dtype: DType::F64 };
//! let plan = FlowPlan { start: Start::Density, trace: Trace::Exact, solver: Solver::default(), draws: 1, seed: 0 };
//! let found = estimate_flow(&chain, &field, &plan, &Points([0.0, 0.0, 0.01, -0.02]), 8, &mut |_| std::ops::ControlFlow::Continue(()))?;
//! // The point, seen through the noise of step 1: N(0, σ²).
//! let variance = 1.0 / schedule.snr(1);
//! for (example, squares) in found.each.iter().zip([0.0, 0.0005]) {
//!     let expected = (std::f64::consts::TAU * variance).ln() + 0.5 * squares / variance;
//!     assert!((example.total() - expected).abs() < 1e-3, "{} for {expected}", example.total());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod drift;
mod error;
mod estimate;
mod field;
mod plan;
mod result;
mod solver;
mod start;
mod tableau;
mod trace;

pub use error::FlowError;
pub use estimate::{FlowProgress, estimate_flow};
pub use field::{Answers, Differentiated, Field, FirstStep, Query};
pub use plan::{FlowPlan, Start};
pub use result::{ExampleLikelihood, FlowLikelihood};
pub use solver::{Method, Solver, Steps};
pub use trace::{ProbeKind, Trace};
