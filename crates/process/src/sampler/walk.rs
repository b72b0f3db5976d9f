//! From noise to data, step by step.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, backend::Backend};

use crate::{Denoiser, NoiseError, NoiseLevel, NoiseSource, forward::q_sample_between, noise};

/// A sampler: how one state becomes the next.
///
/// Steps are counted in the order of use, `1..=total`. A sampler that remembers (multistep solvers) forgets when it takes
/// step 1, so that one value can draw many batches.
pub trait Stepper<B: Backend, const D: usize> {
    /// Number of steps.
    fn total(&self) -> usize;

    /// Takes a step from the state `x` that `step - 1` steps have led to.
    ///
    /// # Errors
    /// [`NoiseError`] from the noise source, of which a stochastic step takes draw `step`.
    ///
    /// # Panics
    /// If `step` is outside `1..=total`.
    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError>;

    /// Draws of noise that the walk takes: `x_T`, and one for each step up to the last that adds noise.
    fn draws(&self) -> usize {
        1
    }

    /// Standard deviation of the state that the walk starts from.
    fn start_scale(&self) -> f64 {
        1.0
    }

    /// What turns the state after `done` steps into an `x_t` of unit variance, for solvers that do not scale the signal.
    fn view_scale(&self, _done: usize) -> f64 {
        1.0
    }
}

impl<B: Backend, const D: usize, S: Stepper<B, D> + ?Sized> Stepper<B, D> for Box<S> {
    fn total(&self) -> usize {
        (**self).total()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        (**self).step(step, x, denoiser, noise)
    }

    fn draws(&self) -> usize {
        (**self).draws()
    }

    fn start_scale(&self) -> f64 {
        (**self).start_scale()
    }

    fn view_scale(&self, done: usize) -> f64 {
        (**self).view_scale(done)
    }
}

/// What a step leads to.
#[derive(Clone, Debug)]
pub struct Step<B: Backend, const D: usize> {
    /// The next state: `[batch, …]`.
    pub x: Tensor<B, D>,
    /// The prediction of the clean data that the step was made with: `[batch, …]`.
    pub x_0: Tensor<B, D>,
}

/// Draws `x_0`: all steps of `sampler`, from noise.
///
/// # Shapes
/// `shape` and the result: `[batch, …]`.
///
/// # Errors
/// [`SampleError::Noise`] from the noise source, [`SampleError::Stopped`] by the observer.
pub fn walk<B: Backend, const D: usize>(
    sampler: &mut dyn Stepper<B, D>,
    denoiser: &dyn Denoiser<B, D>,
    noise: &dyn NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    let x = scaled(noise::normal(noise, 0, shape, device)?, sampler.start_scale());
    walk_from(sampler, denoiser, noise, (0, x), observer)
}

/// Draws `x_0` from a state in the middle: the steps of `sampler` that come after the first `done`.
///
/// The state is one of the sampler's own, which [`in_the_middle`] makes of data and noise. Noise: draw `k` is for the `k`-th step that is
/// walked. A sampler that remembers has to be a new one. The observer counts the steps that are walked.
///
/// # Shapes
/// `state` and the result: `[batch, …]`.
///
/// # Errors
/// [`SampleError::Noise`] from the noise source, [`SampleError::Stopped`] by the observer.
///
/// # Panics
/// If `done` is above the number of steps.
pub fn walk_from<B: Backend, const D: usize>(
    sampler: &mut dyn Stepper<B, D>,
    denoiser: &dyn Denoiser<B, D>,
    noise: &dyn NoiseSource,
    (done, mut x): (usize, Tensor<B, D>),
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    assert!(done <= sampler.total(), "{done} steps are more than {}", sampler.total());
    let noise = Later { noise, skipped: done };
    let total = sampler.total() - done;
    for step in 1..=total {
        let Step { x: next, x_0 } = sampler.step(done + step, x, denoiser, &noise)?;
        let view = scaled(next.clone(), sampler.view_scale(done + step));
        match observer(State { done: step, total, x: &view, x_0: &x_0 }) {
            ControlFlow::Continue(()) => x = next,
            ControlFlow::Break(()) => return Err(SampleError::Stopped { done: step, total }),
        }
    }
    Ok(x)
}

/// The state of `sampler` after `done` steps, at `level`, for clean data and noise: `√ᾱ x_0 + √(1 - ᾱ) ε`, in the sampler's own scale.
///
/// # Shapes
/// `x_0`, `epsilon` and the result: `[batch, …]`.
///
/// # Panics
/// If the two tensors differ in shape.
pub fn in_the_middle<B: Backend, const D: usize>(
    sampler: &dyn Stepper<B, D>,
    done: usize,
    level: NoiseLevel,
    x_0: Tensor<B, D>,
    epsilon: Tensor<B, D>,
) -> Tensor<B, D> {
    let levels = vec![level; x_0.dims()[0]];
    scaled(q_sample_between(x_0, &levels, epsilon), sampler.view_scale(done).recip())
}

/// The noise of a walk that leaves out its first steps.
struct Later<'a> {
    noise: &'a dyn NoiseSource,
    skipped: usize,
}

impl NoiseSource for Later<'_> {
    fn fill(&self, draw: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        self.noise.fill(draw - self.skipped, sample, shape, out)
    }
}

pub(super) fn scaled<B: Backend, const D: usize>(x: Tensor<B, D>, scale: f64) -> Tensor<B, D> {
    if scale == 1.0 { x } else { x * scale }
}

/// A state of the chain, as an observer sees it.
#[derive(Debug)]
pub struct State<'a, B: Backend, const D: usize> {
    /// Steps done, `1..=total`.
    pub done: usize,
    /// Steps of the whole chain.
    pub total: usize,
    /// The state after this step, scaled to preserve variance, `[batch, …]`.
    pub x: &'a Tensor<B, D>,
    /// The prediction of the clean data that this step was made with, `[batch, …]`.
    pub x_0: &'a Tensor<B, D>,
}

/// What looks on: called after each step; [`ControlFlow::Break`] stops the chain with [`SampleError::Stopped`].
pub type Observer<'a, B, const D: usize> = dyn FnMut(State<'_, B, D>) -> ControlFlow<()> + 'a;

/// The observer that only looks away.
pub fn ignore<B: Backend, const D: usize>(_: State<'_, B, D>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Why a chain did not reach its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// Noise could not be had.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The observer stopped the chain.
    #[error("sampling was stopped after {done} of {total} steps")]
    Stopped {
        /// Steps that were done.
        done: usize,
        /// Steps of the whole chain.
        total: usize,
    },
}
