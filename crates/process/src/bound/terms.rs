//! The terms of the KL form, for a batch: Ho et al. (2020), arXiv:2006.11239, Eq. 5.

use burn::tensor::{Tensor, backend::Backend};

use super::{BoundError, Decoder, host};
use crate::{Chain, Denoiser, broadcast::check_steps};

/// `L_T = KL(q(x_T | x_0) ‖ N(0, I))` for one example `x_0`; nats.
///
/// # Formula
/// `Σ ½ (ᾱ_T (x_0² - 1) - ln(1 - ᾱ_T))`: [`NoiseSchedule::prior_kl`](sfumato_schedule::NoiseSchedule::prior_kl), which does not
/// cancel.
///
/// # Examples
/// ```
/// use sfumato_process::{Chain, Parameterization, bound::prior_term};
/// use sfumato_schedule::{NoiseSchedule, probability::Gaussian};
///
/// let schedule = NoiseSchedule::from_betas(vec![0.5, 0.5])?;
/// let chain = Chain::new(&schedule, Parameterization::Epsilon);
/// let expected = Gaussian::new(0.5 * 0.8, 0.75)?.kl(&Gaussian::new(0.0, 1.0)?);
/// assert!((prior_term(&chain, &[0.8]) - expected).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prior_term(chain: &Chain, x_0: &[f64]) -> f64 {
    let dimensions = x_0.len() as f64;
    let mean_square = x_0.iter().map(|x| x * x).sum::<f64>() / dimensions;
    dimensions * chain.schedule().prior_kl(mean_square)
}

/// `L_{t-1}` for `t ≥ 2` and `L_0` for `t = 1`, at given `x_t`; nats for each example.
///
/// Averaged over `x_t ~ q(x_t | x_0)` these are the terms of the bound; see [`q_sample`](crate::forward::q_sample).
///
/// # Shapes
/// - `x_0`, `x_t`: `[batch, …]`, of one element type
/// - `t`: a step `1..=S` of `chain` for each example
/// - result: `batch` numbers
///
/// # Formula
/// `½ Σ (log σ_t² - log β̃_t - 1 + β̃_t/σ_t² + (√ᾱ_{t-1} β_t/(1 - ᾱ_t))² (x_0 - x̂_0)²/σ_t²)`: both means weigh `x_t` alike, so that
/// only the difference of the `x_0` remains.
///
/// # Errors
/// [`BoundError::NotALevel`], [`BoundError::NotFinite`] (with the place in the batch as the example), [`BoundError::Device`].
///
/// # Panics
/// If the number of steps is not the batch size, or a step is outside `1..=S`.
pub fn step_terms<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &impl Denoiser<B, D>,
    decoder: Decoder,
    x_0: Tensor<B, D>,
    x_t: Tensor<B, D>,
    t: &[usize],
) -> Result<Vec<f64>, BoundError> {
    check_steps(&x_0, t);
    let size: usize = x_0.dims()[1..].iter().product();
    let predicted = predict_x_0(chain, denoiser, x_t, t)?;
    let x_0 = host::read(x_0)?;
    let rows = x_0.chunks_exact(size).zip(predicted.chunks_exact(size)).zip(t).enumerate();
    rows.map(|(example, ((x_0, predicted), &step))| {
        let nats = match step {
            1 => decoder_term(chain, decoder, x_0, predicted)
                .map_err(|value| BoundError::NotALevel { example, value })?,
            _ => kl_term(chain, x_0, predicted, step),
        };
        if nats.is_finite() { Ok(nats) } else { Err(BoundError::NotFinite { example, step, nats }) }
    })
    .collect()
}

/// The model's idea of `x_0` at steps `t` of `chain`, clipped if the chain clips.
pub(super) fn predict_x_0<B: Backend, const D: usize>(
    chain: &Chain,
    denoiser: &impl Denoiser<B, D>,
    x_t: Tensor<B, D>,
    t: &[usize],
) -> Result<Vec<f64>, BoundError> {
    let original: Vec<usize> = t.iter().map(|&i| chain.original_step(i)).collect();
    let output = denoiser.predict(x_t.clone(), &original);
    let mut x_0 = host::read(chain.parameterization().to_x_0(chain.schedule(), output, x_t, t))?;
    if chain.clips() {
        // `clamp` keeps NaN, which is reported where the term is made.
        x_0.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
    }
    Ok(x_0)
}

fn kl_term(chain: &Chain, x_0: &[f64], predicted: &[f64], t: usize) -> f64 {
    let schedule = chain.schedule();
    let log_variance = chain.log_variance(t);
    let log_ratio = schedule.posterior_log_variance(t) - log_variance;
    let weight = schedule.posterior_mean_coefficients(t).x_0.powi(2) * (-log_variance).exp();
    let variances = x_0.len() as f64 * (log_ratio.exp_m1() - log_ratio);
    0.5 * (variances + weight * host::squared_distance(x_0, predicted.iter().copied()))
}

/// `L_0`, or the value that is no level. At `t = 1` the mean of the reverse step is `x̂_0` itself.
pub(super) fn decoder_term(chain: &Chain, decoder: Decoder, x_0: &[f64], predicted: &[f64]) -> Result<f64, f64> {
    let log_variance = chain.log_variance(1);
    let terms = x_0.iter().zip(predicted).map(|(&x, &mean)| decoder.nll(x, mean, log_variance).map_err(|_| x));
    terms.sum()
}
