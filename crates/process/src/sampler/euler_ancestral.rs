//! Euler's method with fresh noise in every step: ancestral sampling where the signal is not scaled.
//!
//! Song et al. (2021), arXiv:2011.13456, Appendix F, Eq. 47; k-diffusion's `sample_euler_ancestral`.

use burn::tensor::{Tensor, backend::Backend};

use super::{Step, Stepper, euler::denoise};
use crate::{Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource, noise};

/// Euler steps to less noise than the next level has, and the rest of that noise anew.
///
/// # Formula
/// `x' = x̂_0 + σ_down/σ (x - x̂_0) + σ_up z`, with `σ_up² = σ'² (σ² - σ'²) / σ²` and `σ_down² = σ'² - σ_up²`, so that `σ_down = σ'² / σ`.
///
/// The variance is that of the posterior, so that this is the chain of DDPM with `β̃`, measured as Karras et al. measure noise: the state
/// is data plus noise of standard deviation `σ`, it starts as large as the highest level, and the network is shown `x / √(1 + σ²)`.
///
/// Noise: draw `k` is for step `k`; a step to clean data adds none, and a step to the same level leaves the state.
///
/// As diffusers' EulerAncestralDiscreteScheduler; the crate `sfumato-model` has the levels that it visits. diffusers' class
/// cannot clip: here the chain's clipping holds with every sampler.
#[derive(Clone, Copy, Debug)]
pub struct EulerAncestral<'a> {
    chain: &'a Chain,
    levels: &'a NoiseLevels,
}

impl<'a> EulerAncestral<'a> {
    /// The sampler over `levels`, for the model of `chain` (whose own steps do not matter).
    pub fn new(chain: &'a Chain, levels: &'a NoiseLevels) -> Self {
        Self { chain, levels }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for EulerAncestral<'_> {
    fn total(&self) -> usize {
        self.levels.steps()
    }

    fn draws(&self) -> usize {
        self.levels.noisy_draws()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        let from = self.levels.levels()[step - 1];
        let x_0 = denoise(self.chain, denoiser, x.clone(), from);
        let Some(to) = self.levels.after(step) else { return Ok(Step { x: x_0.clone(), x_0 }) };
        if to.is_same(from) {
            return Ok(Step { x, x_0 });
        }
        let ratio = to.sigma / from.sigma;
        let (sigma_down, sigma_up) = (to.sigma * ratio, to.sigma * (1.0 - ratio * ratio).sqrt());
        let z = noise::normal(noise, step, x.dims(), &x.device())?;
        let x = x_0.clone() + (x - x_0.clone()) * (sigma_down / from.sigma) + z * sigma_up;
        Ok(Step { x, x_0 })
    }

    fn start_scale(&self) -> f64 {
        self.levels.start_scale()
    }

    fn view_scale(&self, done: usize) -> f64 {
        self.levels.after(done).map_or(1.0, NoiseLevel::signal)
    }
}
