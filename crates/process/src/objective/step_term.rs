//! `L_{t-1}` as a loss: the divergence of two Gaussians with the same weights of `x_t`, and at `t = 1` the decoder.

use std::f64::consts::{LN_2, TAU};

use burn::tensor::{Tensor, backend::Backend};

use super::{ObjectiveError, decoder, mean_each, terms::StepTerms};
use crate::{Parameterization, bound::Decoder, broadcast::coefficients, variance::Affine};

/// `½ (constant + δ + posterior e^{-δ} + error² e^{log_weight - δ})` of each value, with `δ = log σ² - log β̃_t`.
///
/// All of it is f64 and of moderate size: `δ` is small where variances lie near `β̃`, so that a network's f32 keeps its digits.
struct Constants {
    constant: f64,
    posterior: f64,
    /// What turns the square of the network's error into that of the mean, relative to `β̃_t`.
    log_weight: f64,
    /// `δ` of what the network says, or of the fixed variance.
    delta: Affine,
}

impl StepTerms<'_> {
    /// `L_{t-1}` (or `L_0`) of each example, `[batch]`, in bits/dim, from the squared error of the prediction and the network's word
    /// on the variance.
    pub(super) fn bits_per_dim<B: Backend, const D: usize>(
        &self,
        square: Tensor<B, D>,
        word: Option<Tensor<B, D>>,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        x_0: Tensor<B, D>,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let constants: Vec<Constants> = self.t.iter().map(|&t| self.constants(t)).collect();
        let like = (&square.device(), square.dtype());
        let each = |value: fn(&Constants) -> f64| coefficients::<B, D>(constants.iter().map(value), like);
        let delta = word.map(|word| {
            let word = self.objective.variance.learned().map_or(word.clone(), |kind| kind.in_range(word));
            word * each(|c| c.delta.slope) + each(|c| c.delta.offset)
        });
        let nats = match &delta {
            Some(delta) => {
                let weighted = square * (each(|c| c.log_weight) - delta.clone()).exp();
                let shape = delta.clone().neg().exp() * each(|c| c.posterior);
                (weighted + shape + delta.clone() + each(|c| c.constant)) * 0.5
            }
            None => {
                let rest = |c: &Constants| c.constant + c.delta.offset + c.posterior * (-c.delta.offset).exp();
                (square * each(|c| (c.log_weight - c.delta.offset).exp()) + each(rest)) * 0.5
            }
        };
        let nats = mean_each(nats);
        let discrete = matches!(self.objective.decoder, Decoder::Discretized(_));
        let nats = if discrete && self.t.contains(&1) {
            decoder::replace_first_steps(self, nats, delta, output, x_t, x_0)?
        } else {
            nats
        };
        Ok(nats / LN_2)
    }

    fn constants(&self, t: usize) -> Constants {
        let (schedule, variance) = (self.schedule, self.objective.variance);
        let posterior = schedule.posterior_log_variance(t);
        let Affine { slope, offset } = variance.log_variance(schedule, t);
        let delta = Affine { slope, offset: offset - posterior };
        let (noise, signal) = (schedule.one_minus_alpha_bar(t), schedule.alpha_bar(t));
        // The square of x_0's error over that of the output.
        let log_scale = match self.objective.parameterization {
            Parameterization::Epsilon => noise.ln() - signal.ln(),
            Parameterization::X0 => 0.0,
            Parameterization::V => noise.ln(),
        };
        let mean = schedule.posterior_mean_coefficients(t).x_0;
        let log_weight = 2.0 * mean.ln() + log_scale - posterior;
        match t {
            // -log N(x_0; x̂_0, σ²): a density in place of a divergence.
            1 => Constants { constant: TAU.ln() + posterior, posterior: 0.0, log_weight, delta },
            _ => Constants { constant: -1.0, posterior: 1.0, log_weight, delta },
        }
    }
}
