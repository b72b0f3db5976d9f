//! Ancestral sampling: Ho et al. (2020), arXiv:2006.11239, Algorithm 2.

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, Step, Stepper, walk};
use crate::{Chain, Denoiser, NoiseError, NoiseSource, noise, reverse::ReverseStep};

/// Each reverse step of a chain in turn: `x_{t-1} = μ(x_t, t) + σ_t z`.
///
/// Noise: draw `k` is for the `k`-th step; the last step adds none.
///
/// diffusers' DDPMScheduler does the same, but adds noise at the last step as well wherever that does not start at `t = 1`
/// (spacing `trailing`, or an offset): of variance `β_t` with `fixed_large`, which leaves grain in the result, and 1e-20 with `fixed_small`.
#[derive(Clone, Copy, Debug)]
pub struct Ancestral<'a> {
    chain: &'a Chain,
}

impl<'a> Ancestral<'a> {
    /// The sampler for `chain`.
    pub fn new(chain: &'a Chain) -> Self {
        Self { chain }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for Ancestral<'_> {
    fn total(&self) -> usize {
        self.chain.steps()
    }

    fn draws(&self) -> usize {
        // The last step adds none.
        self.chain.steps()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        let i = self.chain.steps() + 1 - step;
        let (shape, device) = (x.dims(), x.device());
        let ReverseStep { x_0, mean, variance } = self.chain.p_step(denoiser, x, i);
        let x = if i > 1 { mean + variance.scale(noise::normal(noise, step, shape, &device)?) } else { mean };
        Ok(Step { x, x_0 })
    }
}

/// Draws `x_0` by [`Ancestral`] sampling.
///
/// Noise: draw 0 is `x_T`, draw `k` is for the `k`-th step; the last step adds none.
///
/// # Shapes
/// `shape` and the result: `[batch, …]`.
///
/// # Errors
/// [`SampleError::Noise`] from the noise source, [`SampleError::Stopped`] by the observer.
pub fn ancestral<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &dyn Denoiser<B, D>,
    noise: &dyn NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    walk(&mut Ancestral::new(chain), denoiser, noise, shape, device, observer)
}
