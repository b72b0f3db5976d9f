//! The bound along single trajectories: the form in which it is derived.

use burn::tensor::{Tensor, backend::Backend};

use super::{
    BoundError, Decoder, host,
    path::{log_p_step, log_prior, log_q_step},
    predicted::Predicted,
};
use crate::{Chain, Denoiser, NoiseSource, forward::q_trajectory};

/// `-ln p(x_T) - Σ ln p_θ(x_{t-1} | x_t)/q(x_t | x_{t-1})` along one draw of `q(x_{1:T} | x_0)` for each example; nats.
///
/// Its mean over draws is the bound (Ho et al. 2020, Eq. 3). It varies far more than the KL form, whose divergences have part of
/// the randomness integrated out, and needs a trajectory made step by step: an independent check, not a way to score models.
///
/// # Shapes
/// `x_0`: `[batch, …]`; result: `batch` numbers. Draw `t - 1` of `noise` is the noise of step `t`.
///
/// # Errors
/// [`BoundError`] from the noise, from data that does not suit `decoder`, from predictions that are not finite.
pub fn pathwise<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &dyn Denoiser<B, D>,
    decoder: Decoder,
    x_0: Tensor<B, D>,
    noise: &dyn NoiseSource,
) -> Result<Vec<f64>, BoundError> {
    let schedule = chain.schedule();
    let (batch, size) = (x_0.dims()[0], x_0.dims()[1..].iter().product());
    let mut previous = host::read(x_0.clone())?;
    let mut sums = vec![0.0; batch];
    for (t, x_t) in (1..).zip(q_trajectory(schedule, x_0, noise)) {
        let x_t = x_t?;
        let predicted = Predicted::at(chain, denoiser, x_t.clone(), &vec![t; batch])?;
        let x_t = host::read(x_t)?;
        let log_p = log_p_step(chain, decoder, &previous, &x_t, &predicted, t, size)?;
        let log_q = log_q_step(schedule, &previous, &x_t, t, size);
        sums.iter_mut().zip(log_p.iter().zip(log_q)).for_each(|(sum, (log_p, log_q))| *sum -= log_p - log_q);
        previous = x_t;
    }
    sums.iter_mut().zip(previous.chunks_exact(size)).for_each(|(sum, x_t)| *sum -= log_prior(x_t));
    Ok(sums)
}
