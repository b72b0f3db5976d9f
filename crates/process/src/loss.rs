//! `L_simple`, the training objective: Ho et al. (2020), arXiv:2006.11239, Eq. 14.

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use crate::{Denoiser, Parameterization, forward::q_sample};

/// `‖target - network(x_t, t)‖²`, averaged over the dimensions of each example.
///
/// The target is what `parameterization` says: for epsilon this is Eq. 14. It is a training loss, not a bound on
/// the likelihood and not in bits.
///
/// # Shapes
/// - `x_0`, `epsilon`: `[batch, …]`
/// - `t`: one step `1..=T` for each example
/// - result: `[batch]`
///
/// # Panics
/// If the number of steps is not the batch size, or a step is outside `1..=T`.
pub fn simple<B: Backend, const D: usize>(
    schedule: &NoiseSchedule,
    parameterization: Parameterization,
    denoiser: &impl Denoiser<B, D>,
    x_0: Tensor<B, D>,
    t: &[usize],
    epsilon: Tensor<B, D>,
) -> Tensor<B, 1> {
    let batch = x_0.dims()[0];
    let x_t = q_sample(schedule, x_0.clone(), t, epsilon.clone());
    let target = parameterization.target(schedule, x_0, epsilon, t);
    let error = target - denoiser.predict(x_t, t);
    error.square().reshape([batch as i32, -1]).mean_dim(1).reshape([batch])
}
