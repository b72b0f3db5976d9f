//! Heun's method on the probability-flow ODE: Karras et al. (2022), arXiv:2206.00364, Algorithm 1.

use burn::tensor::{Tensor, backend::Backend};

use super::{Step, Stepper, euler::denoise};
use crate::{Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource};

/// Heun steps: an [Euler](super::Euler) step, then the same step again with the mean of the slopes at its two ends.
///
/// A step to clean data is Euler's alone, where the slope is not defined. So `S` steps ask the network `2S - 1` times.
/// Deterministic: only `x_T` is drawn.
///
/// As diffusers' HeunDiscreteScheduler, which counts each correction as a step of its own; the crate `sfumato-model`
/// has the levels that it visits.
#[derive(Clone, Copy, Debug)]
pub struct Heun<'a> {
    chain: &'a Chain,
    levels: &'a NoiseLevels,
}

impl<'a> Heun<'a> {
    /// The solver over `levels`, for the model of `chain` (whose own steps do not matter).
    pub fn new(chain: &'a Chain, levels: &'a NoiseLevels) -> Self {
        Self { chain, levels }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for Heun<'_> {
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
        let (from, to) = (self.levels.levels()[step - 1], self.levels.after(step));
        let x_0 = denoise(self.chain, denoiser, x.clone(), from);
        let d = (x.clone() - x_0.clone()) / from.sigma;
        // Euler step.
        let Some(to) = to else { return Ok(Step { x: x_0.clone(), x_0 }) };
        let x_next = x_0.clone() + d.clone() * to.sigma;
        // 2nd order correction: x + (σ' - σ) (d + d') / 2, from where the Euler step led.
        let x_0_next = denoise(self.chain, denoiser, x_next.clone(), to);
        let d_next = (x_next.clone() - x_0_next) / to.sigma;
        Ok(Step { x: x_next + (d_next - d) * (0.5 * (to.sigma - from.sigma)), x_0 })
    }

    fn start_scale(&self) -> f64 {
        self.levels.start_scale()
    }

    fn view_scale(&self, done: usize) -> f64 {
        self.levels.after(done).map_or(1.0, NoiseLevel::signal)
    }
}
