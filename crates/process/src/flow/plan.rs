//! What is computed, and with which random numbers.

use super::{FlowError, Solver, Steps, Trace};
use crate::bound::Decoder;

/// How the log-likelihood is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowPlan {
    /// How an example becomes the state at which the flow begins.
    pub start: Start,
    /// How the divergence is found.
    pub trace: Trace,
    /// How the ODE is solved.
    pub solver: Solver,
    /// Paths for each example, at least 1, each with noise and probes of its own.
    pub draws: usize,
    /// Seed of noise and probes.
    pub seed: u64,
}

/// From an example `x_0` to the state at step 1 of the trained chain, `x_1`, where the flow begins. In nats for the whole example, `d` numbers:
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// `x_1 = √ᾱ_1 x_0`: the density of continuous data, `-ln p(x_0) = -ln p_1(x_1) - ½ d ln ᾱ_1`.
    Density,
    /// 8-bit data with uniform noise as wide as a level, `x_1 = √ᾱ_1 (x_0 + u/127.5)`, `u ~ U(-½, ½)`: by Jensen's inequality
    /// `-ln P(x_0) ≤ E[-ln p_1(x_1)] - ½ d ln ᾱ_1 + d ln 127.5` (Theis et al. 2016, arXiv:1511.01844, §3.1).
    Uniform,
    /// `x_1 = √ᾱ_1 x_0 + √(1 - ᾱ_1) ε`, the chain's own first step, with the chain's decoder `L_0` to come back from it:
    /// `-ln p(x_0) ≤ E[L_0 + ln q(x_1 given x_0) - ln p_1(x_1)]`. The variational bound is this with a bound in place of `-ln p_1`.
    FirstStep(Decoder),
}

impl Start {
    /// Whether noise is laid on the data.
    pub fn is_random(self) -> bool {
        self != Self::Density
    }

    /// Whether the result is about probabilities of 256 levels, and not a density.
    pub fn is_discrete(self) -> bool {
        match self {
            Self::Density => false,
            Self::Uniform => true,
            Self::FirstStep(decoder) => decoder.is_discrete(),
        }
    }
}

impl FlowPlan {
    /// Refuses a plan of nothing.
    pub(super) fn check(&self, examples: usize) -> Result<(), FlowError> {
        let probes = match self.trace {
            Trace::Exact => 1,
            Trace::Probes { count, .. } => count,
        };
        let steps = match self.solver.steps {
            Steps::Fixed(steps) => steps,
            Steps::Adaptive { .. } => 1,
        };
        let counts = [
            ("the number of examples", examples),
            ("the number of draws", self.draws),
            ("the number of probes", probes),
            ("the number of steps", steps),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(FlowError::Nothing { what });
        }
        match self.solver.steps {
            Steps::Adaptive { tolerance } if !(tolerance > 0.0 && tolerance.is_finite()) => {
                Err(FlowError::Tolerance { tolerance })
            }
            _ => Ok(()),
        }
    }
}
