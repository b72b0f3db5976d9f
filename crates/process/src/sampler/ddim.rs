//! DDIM: Song, Meng & Ermon (2021), arXiv:2010.02502, Eq. 12.

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, State, observe};
use crate::{Chain, Denoiser, NoiseSource, Parameterization};

/// Options of [`ddim`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ddim {
    /// `η` of Eq. 16: 0 is deterministic given `x_T`, 1 has the variance `β̃` of ancestral sampling.
    pub eta: f64,
    /// Whether the noise direction stays the network's own where `x_0` was clipped, as diffusers does, or is derived
    /// again from the clipped `x_0`, as improved-diffusion does. The second (`false`) keeps `x_0` and `ε` consistent
    /// with `x_t`. Without clipping there is no difference.
    pub keep_epsilon: bool,
}

/// Draws `x_0` along `chain`'s steps:
/// `x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s - σ²) ε̂ + σ z`, `σ² = η² β̃`, where `s` is the step before `t`.
///
/// Noise: draw 0 is `x_T`; with `η > 0` draw `k` is for the `k`-th step, and the last step adds none.
///
/// # Shapes
/// `shape` and the result: `[batch, …]`.
///
/// # Errors
/// [`SampleError::Noise`] from the noise source, [`SampleError::Stopped`] by the observer.
pub fn ddim<B: Backend, const D: usize>(
    chain: &Chain,
    options: Ddim,
    denoiser: &impl Denoiser<B, D>,
    noise: &impl NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    let (schedule, total) = (chain.schedule(), chain.steps());
    let mut x = noise.normal(0, shape, device)?;
    for i in (1..=total).rev() {
        let (done, t) = (total - i + 1, vec![i; shape[0]]);
        let (x_0, output) = chain.predict(denoiser, x.clone(), i);
        let epsilon = if options.keep_epsilon {
            chain.parameterization().to_epsilon(schedule, output, x, &t)
        } else {
            Parameterization::X0.to_epsilon(schedule, x_0.clone(), x, &t)
        };
        let variance = options.eta * options.eta * schedule.posterior_variance(i);
        // σ² ≤ 1 - ᾱ_s for η ≤ 1; rounding may still leave a tiny negative number where the two are equal.
        let direction = (schedule.one_minus_alpha_bar(i - 1) - variance).max(0.0).sqrt();
        x = x_0.clone() * schedule.alpha_bar(i - 1).sqrt() + epsilon * direction;
        if variance > 0.0 {
            x = x + noise.normal(done, shape, device)? * variance.sqrt();
        }
        observe(observer, State { done, total, x: &x, x_0: &x_0 })?;
    }
    Ok(x)
}
