//! The forward chain `q`: a fixed Markov chain that turns data into noise, one Gaussian step at a time.
//!
//! Ho et al. (2020), arXiv:2006.11239, Eqs. 2, 4, 6 and 7.

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use crate::{
    broadcast::{check_shapes, check_steps, coefficients},
    gaussian::Gaussian,
    levels::NoiseLevel,
    noise::{NoiseError, NoiseSource, normal},
    parameterization::Scales,
};

/// One step of the chain: `x_t = √(1 - β_t) x_{t-1} + √β_t ε` (Eq. 2).
///
/// # Shapes
/// `x_prev` (`x_{t-1}`), `epsilon` and the result: `[batch, …]`; `t`: one step `1..=T` for each example.
///
/// # Panics
/// If the number of steps is not the batch size, a step is outside `1..=T`, or the two tensors differ in shape.
pub fn q_step<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    x_prev: Tensor<B, D>,
    t: &[usize],
    epsilon: Tensor<B, D>,
) -> Tensor<B, D> {
    check_steps(&x_prev, t);
    check_shapes(("x_prev", &x_prev), ("epsilon", &epsilon));
    let like = (&x_prev.device(), x_prev.dtype());
    let signal = coefficients(t.iter().map(|&t| schedule.alpha(t).sqrt()), like);
    let noise = coefficients(t.iter().map(|&t| schedule.beta(t).sqrt()), like);
    x_prev * signal + epsilon * noise
}

/// Straight to step `t`: `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` (Eq. 4).
///
/// # Shapes
/// `x_0`, `epsilon` and the result: `[batch, …]`; `t`: one step for each example, `0..=T` (0 leaves `x_0` as it is).
///
/// # Panics
/// If the number of steps is not the batch size, a step is above `T`, or the two tensors differ in shape.
pub fn q_sample<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    x_0: Tensor<B, D>,
    t: &[usize],
    epsilon: Tensor<B, D>,
) -> Tensor<B, D> {
    check_shapes(("x_0", &x_0), ("epsilon", &epsilon));
    let Scales { signal, noise } = Scales::at(schedule, t, &x_0);
    x_0 * signal + epsilon * noise
}

/// Straight to a noise level between the steps: `x_t = √ᾱ x_0 + √(1 - ᾱ) ε` with the level's own signal and noise.
///
/// # Shapes
/// `x_0`, `epsilon` and the result: `[batch, …]`; `levels`: one for each example.
///
/// # Panics
/// If the number of levels is not the batch size, or the two tensors differ in shape.
pub fn q_sample_between<B: Backend, const D: usize>(
    x_0: Tensor<B, D>,
    levels: &[NoiseLevel],
    epsilon: Tensor<B, D>,
) -> Tensor<B, D> {
    check_shapes(("x_0", &x_0), ("epsilon", &epsilon));
    let Scales { signal, noise } = Scales::between(levels, &x_0);
    x_0 * signal + epsilon * noise
}

/// The chain itself, `x_1, x_2, …, x_T`, each made from the one before: draw `t - 1` of `noise` is the noise of step `t`.
///
/// An iterator, so that a long trajectory of large images need not be held at once. It ends after the first error.
///
/// # Shapes
/// `x_0` and every item: `[batch, …]`.
pub fn q_trajectory<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    x_0: Tensor<B, D>,
    noise: &dyn NoiseSource,
) -> impl Iterator<Item = Result<Tensor<B, D>, NoiseError>> {
    let (shape, device, dtype) = (x_0.dims(), x_0.device(), x_0.dtype());
    (1..=schedule.steps()).scan(Some(x_0), move |state, t| {
        let x_prev = state.take()?;
        Some(normal(noise, t - 1, shape, &device).map(|epsilon| {
            let epsilon = epsilon.cast(dtype);
            let x_t = q_step(schedule, x_prev, &vec![t; shape[0]], epsilon);
            *state = Some(x_t.clone());
            x_t
        }))
    })
}

/// `q(x_{t-1} | x_t, x_0)`, the step back when the end is known (Eqs. 6 and 7).
///
/// At `t = 1` its variance is 0: `x_0` is known. [`Gaussian::log_variance`] then has `log β̃_2` in its place, the
/// convention of the variational bound (see [`NoiseSchedule::posterior_log_variance`]); the mean is exactly `x_0`.
///
/// # Shapes
/// `x_0`, `x_t` and the mean: `[batch, …]`; `t`: one step `1..=T` for each example.
///
/// # Panics
/// If the number of steps is not the batch size, a step is outside `1..=T`, or the two tensors differ in shape.
pub fn q_posterior<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    x_0: Tensor<B, D>,
    x_t: Tensor<B, D>,
    t: &[usize],
) -> Gaussian<B, D> {
    check_steps(&x_0, t);
    check_shapes(("x_0", &x_0), ("x_t", &x_t));
    let like = (&x_0.device(), x_0.dtype());
    let weights = || t.iter().map(|&t| schedule.posterior_mean_coefficients(t));
    let mean = x_0 * coefficients(weights().map(|w| w.x_0), like) + x_t * coefficients(weights().map(|w| w.x_t), like);
    Gaussian { mean, log_variance: t.iter().map(|&t| schedule.posterior_log_variance(t)).collect() }
}
