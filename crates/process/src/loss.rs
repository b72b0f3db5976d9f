//! `L_simple`, the training objective: Ho et al. (2020), arXiv:2006.11239, Eq. 14; and the same measured in the noise for every network.

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use crate::{
    Denoiser, Parameterization,
    forward::q_sample,
    output::{OutputShapeError, halves, try_halves},
};

/// `‖target - network(x_t, t)‖²`, averaged over the dimensions of each example.
///
/// The target is what `parameterization` says: for epsilon this is Eq. 14. It is a training loss, not a bound on
/// the likelihood and not in bits. Of a network that has learned its variance, with twice the channels, it looks at the prediction
/// alone, as the `L_simple` of Nichol & Dhariwal (2021), Eq. 16, does: the other half needs a loss of its own.
///
/// # Shapes
/// - `x_0`, `epsilon`: `[batch, …]`
/// - `t`: one step `1..=T` for each example
/// - result: `[batch]`
///
/// # Panics
/// If the number of steps is not the batch size, a step is outside `1..=T`, `epsilon` is not of the shape of `x_0`, or the output
/// has neither that shape nor twice its channels.
pub fn simple<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    parameterization: Parameterization,
    denoiser: &dyn Denoiser<B, D>,
    x_0: Tensor<B, D>,
    t: &[usize],
    epsilon: Tensor<B, D>,
) -> Tensor<B, 1> {
    let shape = x_0.dims();
    let batch = shape[0];
    let x_t = q_sample(schedule, x_0.clone(), t, epsilon.clone());
    let target = parameterization.target(schedule, x_0, epsilon, t);
    let (prediction, _) = halves(denoiser.predict(x_t, t), shape);
    let error = target - prediction;
    error.square().reshape([batch as i32, -1]).mean_dim(1).reshape([batch])
}

/// `‖ε - ε̂‖²`, averaged over the dimensions of each example, whatever the network predicts: its answer at `x_t` is turned into the noise
/// that it implies, without clipping.
///
/// For epsilon this is [`simple`]. It makes networks that predict different things comparable at each step; 1 is what a network has that
/// answers 0, and knows nothing. The half of an output that is about the variance is passed over.
///
/// # Shapes
/// As [`simple`].
///
/// # Errors
/// [`OutputShapeError`] if the output has neither the shape of `x_0` nor twice its channels.
///
/// # Panics
/// If the number of steps is not the batch size, a step is outside `1..=T`, or `epsilon` is not of the shape of `x_0`.
pub fn noise<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    parameterization: Parameterization,
    denoiser: &dyn Denoiser<B, D>,
    x_0: Tensor<B, D>,
    t: &[usize],
    epsilon: Tensor<B, D>,
) -> Result<Tensor<B, 1>, OutputShapeError> {
    let shape = x_0.dims();
    let batch = shape[0];
    let x_t = q_sample(schedule, x_0, t, epsilon.clone());
    let (prediction, _) = try_halves(denoiser.predict(x_t.clone(), t), shape)?;
    let error = epsilon - parameterization.to_epsilon(schedule, prediction, x_t, t);
    Ok(error.square().reshape([batch as i32, -1]).mean_dim(1).reshape([batch]))
}
