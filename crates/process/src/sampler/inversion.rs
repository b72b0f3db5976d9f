//! Inversion: from data to the noise that a deterministic sampler makes it from. Song, Meng & Ermon (2021), arXiv:2010.02502, §4.3.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, State};
use crate::{Chain, Denoiser, NoiseLevel};

/// How a step from less noise to more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The inverse of DDIM with `η = 0`, which is Euler's.
    Euler,
    /// The mean of the slopes at both ends, as Heun's.
    Trapezoid,
}

/// Goes up the probability-flow ODE from clean data, through the levels that a sampler visits on its way down.
///
/// # Formula
/// With the state `x̄ = x_t / √ᾱ_t` and `σ = √((1 - ᾱ) / ᾱ)`, a step of the sampler from `σ'` down to `σ` is
/// `x̄ = x̄' + (σ - σ') ε̂(x̄', σ')`. Its inverse has `x̄'` on both sides: `x̄' = x̄ + (σ' - σ) ε̂(x̄', σ')`. The usual inversion puts
/// `ε̂(x̄, σ)` in its place, which is wrong by the square of the step. Each refinement evaluates `ε̂` at the state that the one before found.
///
/// `x_0` itself has no noise, so that the first step takes its slope at the first level.
///
/// The chain's clipping is left out: where it cuts, many states lead to the same picture.
#[derive(Clone, Copy, Debug)]
pub struct Inversion<'a> {
    chain: &'a Chain,
    levels: &'a [NoiseLevel],
    rule: Rule,
    refinements: usize,
}

/// Why levels cannot be climbed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InversionError {
    /// No levels.
    #[error("no noise levels were given, expected at least one")]
    None,
    /// A level that is not below the one before.
    #[error(
        "noise level {index} (from 0) is not below the one before: a sampler that visits a level twice cannot be inverted"
    )]
    Falls {
        /// Position in the list.
        index: usize,
    },
}

impl<'a> Inversion<'a> {
    /// The inversion of a sampler that visits `levels`, from noise to data, for the model of `chain`.
    ///
    /// # Errors
    /// [`InversionError`] if there are no levels, or they do not fall.
    pub fn new(
        chain: &'a Chain,
        levels: &'a [NoiseLevel],
        rule: Rule,
        refinements: usize,
    ) -> Result<Self, InversionError> {
        if levels.is_empty() {
            return Err(InversionError::None);
        }
        match levels.windows(2).position(|pair| pair[1].sigma >= pair[0].sigma) {
            Some(place) => Err(InversionError::Falls { index: place + 1 }),
            None => Ok(Self { chain, levels, rule, refinements }),
        }
    }

    /// Evaluations of the network for one example.
    pub fn evaluations(&self) -> usize {
        let steps = self.levels.len();
        match self.rule {
            // The slope that the last refinement found is the next step's first guess.
            Rule::Euler => steps * self.refinements.max(1) + usize::from(self.refinements > 0),
            Rule::Trapezoid => steps * (2 + self.refinements),
        }
    }

    /// The state at the highest level, with its variance preserved: `x_T`.
    ///
    /// # Shapes
    /// `x_0` and the result: `[batch, …]`.
    ///
    /// # Errors
    /// [`SampleError::Stopped`] by the observer, which counts steps.
    pub fn encode<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x_0: Tensor<B, D>,
        observer: &mut Observer<'_, B, D>,
    ) -> Result<Tensor<B, D>, SampleError> {
        let chain = self.chain.clone().with_clip(false);
        // Noise and prediction of the data for a state in its own scale.
        let look = |x: Tensor<B, D>, level: NoiseLevel| {
            let x_0 = chain.predict_at(denoiser, x.clone() * level.signal(), level);
            ((x - x_0.clone()) / level.sigma, x_0)
        };
        let total = self.levels.len();
        let (mut x, mut below, mut known) = (x_0, None::<NoiseLevel>, None);
        for (i, &level) in self.levels.iter().rev().enumerate() {
            let from = below.unwrap_or(level);
            let length = level.sigma - below.map_or(0.0, |below| below.sigma);
            let (more, guess) = match self.rule {
                Rule::Euler => (self.refinements, known.take().filter(|_| self.refinements > 0)),
                Rule::Trapezoid => (1 + self.refinements, None),
            };
            let (start, mut predicted) = guess.unwrap_or_else(|| look(x.clone(), from));
            let mut end = x.clone() + start.clone() * length;
            for _ in 0..more {
                let (slope, x_0) = look(end, level);
                known = Some((slope.clone(), x_0.clone()));
                let slope = match (self.rule, below) {
                    // The sampler's last step to clean data is Euler's alone.
                    (Rule::Trapezoid, Some(_)) => (start.clone() + slope) * 0.5,
                    _ => slope,
                };
                (end, predicted) = (x.clone() + slope * length, x_0);
            }
            x = end;
            below = Some(level);
            let (done, view) = (i + 1, x.clone() * level.signal());
            if let ControlFlow::Break(()) = observer(State { done, total, x: &view, x_0: &predicted }) {
                return Err(SampleError::Stopped { done, total });
            }
        }
        Ok(x * self.levels[0].signal())
    }
}
