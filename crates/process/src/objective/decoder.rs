//! `L_0` of 8-bit data as a loss: value and slopes in f64 on the host, where logarithms of tails are exact.
//!
//! In f32 the difference of two distribution functions vanishes a few standard deviations from the mean, and its logarithm has no
//! gradient there; other systems floor it at 1e-12. One example in `T` is at `t = 1`, so that reading it back costs little.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sfumato_schedule::probability::{discretized_slopes, level_from_value};

use super::{ObjectiveError, terms::StepTerms};

/// `nats`, `[batch]`, with `L_0` (a mean over the dimensions) in place of the examples at `t = 1`.
pub(super) fn replace_first_steps<B: Backend, const D: usize>(
    terms: &StepTerms<'_>,
    nats: Tensor<B, 1>,
    delta: Option<Tensor<B, D>>,
    output: Tensor<B, D>,
    x_t: Tensor<B, D>,
    x_0: Tensor<B, D>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let each = terms.t.iter().enumerate().map(|(i, &t)| {
        let row = |x: &Tensor<B, D>| x.clone().narrow(0, i, 1);
        if t > 1 {
            return Ok(nats.clone().narrow(0, i, 1));
        }
        let mean = terms.objective.parameterization.to_x_0(terms.schedule, row(&output), row(&x_t), &[1]);
        first_step(terms, i, mean, delta.as_ref().map(row), row(&x_0))
    });
    Ok(Tensor::cat(each.collect::<Result<_, _>>()?, 0))
}

/// `L_0` of example `i`, `[1]`. Its value is the exact one, and its gradient is that of a linear function with the exact slopes.
fn first_step<B: Backend, const D: usize>(
    terms: &StepTerms<'_>,
    i: usize,
    mean: Tensor<B, D>,
    delta: Option<Tensor<B, D>>,
    x_0: Tensor<B, D>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let posterior = terms.schedule.posterior_log_variance(1);
    let means = read(mean.clone())?;
    let deltas = match &delta {
        Some(delta) => read(delta.clone())?,
        None => vec![terms.objective.variance.log_variance(terms.schedule, 1).offset - posterior; means.len()],
    };
    let size = means.len();
    let (mut total, mut by_mean, mut by_variance) = (0.0, Vec::with_capacity(size), Vec::with_capacity(size));
    for ((x, mean), delta) in read(x_0)?.into_iter().zip(means).zip(deltas) {
        let level = level_from_value(x).map_err(|_| ObjectiveError::NotALevel { example: i, value: x })?;
        let slopes = discretized_slopes(level, mean, posterior + delta);
        total -= slopes.log_likelihood;
        by_mean.push(-slopes.mean / size as f64);
        by_variance.push(-slopes.log_variance / size as f64);
    }
    let linear = |x: Tensor<B, D>, slopes: Vec<f64>| {
        let slopes = Tensor::from_data(TensorData::new(slopes, x.dims()), (&x.device(), x.dtype()));
        ((x.clone() - x.detach()) * slopes).sum()
    };
    let value = total / size as f64;
    let by_mean = linear(mean, by_mean) + value;
    Ok(match delta {
        Some(delta) => by_mean + linear(delta, by_variance),
        None => by_mean,
    })
}

fn read<B: Backend, const D: usize>(x: Tensor<B, D>) -> Result<Vec<f64>, ObjectiveError> {
    let data = x.try_into_data().map_err(|error| ObjectiveError::Device { reason: error.to_string() })?;
    Ok(data.iter::<f64>().collect())
}
