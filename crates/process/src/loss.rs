//! `L_simple`, the training objective: Ho et al. (2020), arXiv:2006.11239, Eq. 14.

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use crate::{Denoiser, Parameterization, forward::q_sample, output::halves};

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
