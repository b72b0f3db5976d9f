//! Euler's method on the probability-flow ODE: Karras et al. (2022), arXiv:2206.00364, Eq. 4 with `s(t) = 1`, `σ(t) = t`.

use burn::tensor::{Tensor, backend::Backend};

use super::{Step, Stepper};
use crate::{Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource};

/// Euler steps: `x' = x + (σ' - σ) d`, `d = (x - x̂_0) / σ`; computed as `x̂_0 + σ'/σ (x - x̂_0)`, which is the same, but for the digits
/// that a long step from a high level would cost.
///
/// The state is data plus noise of standard deviation `σ`, so it starts as large as the highest level; the network is shown
/// `x / √(1 + σ²)`. Deterministic: only `x_T` is drawn. Between the same levels and starting from the same state this is DDIM
/// with `η = 0`.
///
/// As diffusers' EulerDiscreteScheduler without churn; the crate `sfumato-model` has the levels that it visits. diffusers' class
/// cannot clip: here the chain's clipping holds with every sampler.
#[derive(Clone, Copy, Debug)]
pub struct Euler<'a> {
    chain: &'a Chain,
    levels: &'a NoiseLevels,
}

impl<'a> Euler<'a> {
    /// The solver over `levels`, for the model of `chain` (whose own steps do not matter).
    pub fn new(chain: &'a Chain, levels: &'a NoiseLevels) -> Self {
        Self { chain, levels }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for Euler<'_> {
    fn total(&self) -> usize {
        self.levels.steps()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        _: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        let from = self.levels.levels()[step - 1];
        let sigma_next = self.levels.after(step).map_or(0.0, |level| level.sigma);
        let x_0 = denoise(self.chain, denoiser, x.clone(), from);
        Ok(Step { x: x_0.clone() + (x - x_0.clone()) * (sigma_next / from.sigma), x_0 })
    }

    fn start_scale(&self) -> f64 {
        self.levels.start_scale()
    }

    fn view_scale(&self, done: usize) -> f64 {
        self.levels.after(done).map_or(1.0, NoiseLevel::signal)
    }
}

/// The prediction of clean data for a state whose signal is not scaled.
pub(super) fn denoise<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &dyn Denoiser<B, D>,
    x: Tensor<B, D>,
    level: NoiseLevel,
) -> Tensor<B, D> {
    chain.predict_at(denoiser, x * level.signal(), level)
}
