//! Ancestral sampling: Ho et al. (2020), arXiv:2006.11239, Algorithm 2.

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, State, observe};
use crate::{Chain, Denoiser, NoiseSource, reverse::Reverse};

/// Draws `x_0` by sampling each reverse step of `chain` in turn.
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
    denoiser: &impl Denoiser<B, D>,
    noise: &impl NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    let total = chain.steps();
    let mut x = noise.normal(0, shape, device)?;
    for i in (1..=total).rev() {
        let done = total - i + 1;
        let Reverse { x_0, gaussian } = chain.p_mean_variance(denoiser, x, i);
        x = gaussian.mean;
        if i > 1 {
            // One step for the whole batch, so one variance.
            let sigma = (0.5 * gaussian.log_variance[0]).exp();
            x = x + noise.normal(done, shape, device)? * sigma;
        }
        observe(observer, State { done, total, x: &x, x_0: &x_0 })?;
    }
    Ok(x)
}
