//! The likelihood by the flow: how `eval --flow` computes it.

use clap::{Args, ValueEnum};
use sfumato_process::flow::Method;

use super::values;

/// What `--flow` takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Flow")]
pub(crate) struct FlowArgs {
    /// Also compute the likelihood by the probability-flow ODE (Song et al. 2021), with no bound in the integral; about 100 evaluations with a gradient for
    /// each example
    #[arg(long, requires = "model")]
    pub(crate) flow: bool,
    /// How 8-bit images become continuous: uniform noise, as in the literature, or the chain's first step and its decoder [default: uniform]
    #[arg(long, value_enum, value_name = "NAME", requires = "flow")]
    pub(crate) dequantization: Option<DequantizationName>,
    /// How the divergence is found: exact asks the network once for each number of an example, the others by Hutchinson's estimator [default: exact up
    /// to 8 numbers, else rademacher]
    #[arg(long, value_enum, value_name = "NAME", requires = "flow")]
    pub(crate) trace: Option<TraceName>,
    /// Probes of Hutchinson's estimator for each example and draw; two or more tell its error [default: 1]
    #[arg(long, value_name = "K", value_parser = values::count::<u32>(), requires = "flow")]
    pub(crate) probes: Option<u32>,
    /// Relative and absolute tolerance of the solver's steps
    #[arg(long, default_value_t = 1e-5, value_name = "X", value_parser = values::above_zero(), requires = "flow")]
    pub(crate) tolerance: f64,
    /// Take so many steps of equal length in log SNR, whatever the error
    #[arg(long, value_name = "N", value_parser = values::count::<u32>(), requires = "flow", conflicts_with = "tolerance")]
    pub(crate) flow_steps: Option<u32>,
    /// Runge–Kutta method
    #[arg(long, value_enum, default_value_t = SolverName::DormandPrince, value_name = "NAME", requires = "flow")]
    pub(crate) flow_solver: SolverName,
}

/// What is laid on 8-bit images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DequantizationName {
    /// Uniform noise as wide as a level
    Uniform,
    /// The noise of step 1, and the decoder back from there
    FirstStep,
}

/// Ways to the divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceName {
    /// One product for each number of an example
    Exact,
    /// Random signs
    Rademacher,
    /// Standard normal directions
    Gaussian,
}

/// Runge–Kutta methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SolverName {
    /// Order 5, six evaluations a step: SciPy's RK45
    DormandPrince,
    /// Order 2, two evaluations a step
    Heun,
}

impl From<SolverName> for Method {
    fn from(name: SolverName) -> Self {
        match name {
            SolverName::DormandPrince => Self::DormandPrince,
            SolverName::Heun => Self::Heun,
        }
    }
}
