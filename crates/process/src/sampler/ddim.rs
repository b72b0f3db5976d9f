//! DDIM: Song, Meng & Ermon (2021), arXiv:2010.02502, Eq. 12.

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, Step, Stepper, walk};
use crate::{Chain, Denoiser, NoiseError, NoiseSource, Parameterization, noise};

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

/// Where each step of DDIM leads: pairs `(t, s)` of steps of the trained chain, `s` the one after `t` on the way down; `s = 0` is
/// clean data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaps(Vec<(usize, usize)>);

impl Leaps {
    /// Each step leads to the next one that `chain` visits, the last one to clean data.
    pub fn visited(chain: &Chain) -> Self {
        let steps = chain.original_steps();
        Self((0..steps.len()).rev().map(|i| (steps[i], if i == 0 { 0 } else { steps[i - 1] })).collect())
    }

    /// Leaps of the caller's own: where the steps lead need not be where the next ones start, but then the network is shown states with
    /// a little more noise, or less, than it is told.
    pub fn new(pairs: Vec<(usize, usize)>) -> Self {
        Self(pairs)
    }

    /// Draws of noise with `η` = `eta`: `x_T`, and one for each step up to the last that adds noise.
    pub fn draws(&self, eta: f64) -> usize {
        let noisy = self.0.iter().rposition(|&(t, s)| 0 < s && s < t);
        1 + noisy.filter(|_| eta > 0.0).map_or(0, |last| last + 1)
    }

    /// The pairs, in the order of use.
    pub fn pairs(&self) -> &[(usize, usize)] {
        &self.0
    }
}

/// DDIM: `x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s - σ²) ε̂ + σ z`, `σ² = η² (1 - ᾱ_s) / (1 - ᾱ_t) · (1 - ᾱ_t / ᾱ_s)`.
///
/// Noise: with `η > 0` draw `k` is for the `k`-th step; where `s` is clean data none is added.
///
/// With [`Ddim::keep_epsilon`], and leaps that are all equally long, this is diffusers' DDIMScheduler.
#[derive(Clone, Debug)]
pub struct DdimSteps<'a> {
    chain: &'a Chain,
    options: Ddim,
    leaps: Leaps,
}

impl<'a> DdimSteps<'a> {
    /// The sampler along the steps that `chain` visits.
    pub fn new(chain: &'a Chain, options: Ddim) -> Self {
        Self { chain, options, leaps: Leaps::visited(chain) }
    }

    /// The same sampler with other leaps, which must be as many as the chain's steps and start at them.
    ///
    /// # Panics
    /// If the leaps are those of another chain.
    pub fn with_leaps(self, leaps: Leaps) -> Self {
        let starts = leaps.0.iter().map(|leap| &leap.0);
        assert!(starts.eq(self.chain.original_steps().iter().rev()), "the leaps belong to another chain");
        Self { leaps, ..self }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for DdimSteps<'_> {
    fn total(&self) -> usize {
        self.chain.steps()
    }

    fn draws(&self) -> usize {
        self.leaps.draws(self.options.eta)
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        let schedule = self.chain.trained_schedule();
        let (t, s) = self.leaps.0[step - 1];
        let (shape, device) = (x.dims(), x.device());
        let steps = vec![t; shape[0]];
        let (x_0, output) = self.chain.predict(denoiser, x.clone(), self.chain.steps() + 1 - step);
        let epsilon = if self.options.keep_epsilon {
            self.chain.parameterization().to_epsilon(schedule, output, x, &steps)
        } else {
            Parameterization::X0.to_epsilon(schedule, x_0.clone(), x, &steps)
        };
        let (noise_t, noise_s) = (schedule.one_minus_alpha_bar(t), schedule.one_minus_alpha_bar(s));
        let variance = self.options.eta.powi(2) * (noise_s / noise_t) * schedule.transition(s, t).variance;
        // σ² ≤ 1 - ᾱ_s for η ≤ 1; rounding may still leave a tiny negative number where the two are equal.
        let direction = (noise_s - variance).max(0.0).sqrt();
        let mut x = x_0.clone() * schedule.alpha_bar(s).sqrt() + epsilon * direction;
        if variance > 0.0 {
            x = x + noise::normal(noise, step, shape, &device)? * variance.sqrt();
        }
        Ok(Step { x, x_0 })
    }
}

/// Draws `x_0` along `chain`'s steps by [DDIM](DdimSteps).
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
    denoiser: &dyn Denoiser<B, D>,
    noise: &dyn NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    walk(&mut DdimSteps::new(chain, options), denoiser, noise, shape, device, observer)
}
