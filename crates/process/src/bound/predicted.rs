//! What the model says about a batch, read back as `f64`.

use burn::tensor::{Tensor, backend::Backend};

use super::{BoundError, Decoder, host};
use crate::{Chain, Clipping, Denoiser, LearnedVariance, NoiseLevel, variance::Affine};

/// The predicted `x_0` and variances of a batch.
pub(super) struct Predicted {
    /// Clipped if the chain clips; NaN where the prediction was not finite, which clipping would hide.
    x_0: Vec<f64>,
    /// What the network says about its variance, where it is learned.
    words: Option<Vec<f64>>,
    /// Values in an example.
    size: usize,
}

/// One example's reverse step.
pub(super) struct Row<'a> {
    /// The predicted `x_0`.
    pub(super) x_0: &'a [f64],
    variance: LogVariance<'a>,
}

/// `log σ²` of each value, in nats.
#[derive(Clone, Copy)]
enum LogVariance<'a> {
    Fixed(f64),
    Learned { kind: LearnedVariance, by: Affine, words: &'a [f64] },
}

impl Predicted {
    /// The predictions for `x_t` at steps `t` of `chain`.
    pub(super) fn at<B: Backend, const D: usize>(
        chain: &Chain,
        denoiser: &dyn Denoiser<B, D>,
        x_t: Tensor<B, D>,
        t: &[usize],
    ) -> Result<Self, BoundError> {
        let size = x_t.dims()[1..].iter().product();
        let (raw, _, words) = chain.predict_each(denoiser, x_t, t)?;
        Self::read(chain, raw, words, size)
    }

    /// The predictions for `x_t` at noise levels between the trained chain's steps.
    pub(super) fn between<B: Backend, const D: usize>(
        chain: &Chain,
        denoiser: &dyn Denoiser<B, D>,
        x_t: Tensor<B, D>,
        levels: &[NoiseLevel],
    ) -> Result<Self, BoundError> {
        let size = x_t.dims()[1..].iter().product();
        let (raw, _, words) = chain.predict_each_between(denoiser, x_t, levels)?;
        Self::read(chain, raw, words, size)
    }

    /// Reads the predicted `x_0` and the network's words about variances.
    fn read<B: Backend, const D: usize>(
        chain: &Chain,
        raw: Tensor<B, D>,
        words: Option<Tensor<B, D>>,
        size: usize,
    ) -> Result<Self, BoundError> {
        let clipping = chain.clipping();
        let mut x_0 = host::read(raw.clone())?;
        if clipping != Clipping::Off {
            let clipped = host::read(clipping.apply(raw))?;
            x_0.iter_mut().zip(clipped).for_each(|(x, clipped)| *x = if x.is_finite() { clipped } else { f64::NAN });
        }
        let words = match (chain.has_learned_range(), words) {
            (false, _) => None,
            (true, Some(words)) => Some(host::read(words)?),
            (true, None) => return Err(BoundError::NoVariance),
        };
        Ok(Self { x_0, words, size })
    }

    /// The predicted `x_0` of one example of the batch.
    pub(super) fn x_0(&self, example: usize) -> &[f64] {
        &self.x_0[example * self.size..(example + 1) * self.size]
    }

    /// The step of one example of the batch.
    pub(super) fn row(&self, chain: &Chain, example: usize, t: usize) -> Row<'_> {
        let values = example * self.size..(example + 1) * self.size;
        let variance = match (&self.words, chain.learned()) {
            (Some(words), Some(kind)) => {
                let by = kind.log_variance(chain.schedule(), t);
                LogVariance::Learned { kind, by, words: &words[values.clone()] }
            }
            _ => LogVariance::Fixed(chain.log_variance(t).expect("words were read for a learned variance")),
        };
        Row { x_0: self.x_0(example), variance }
    }
}

impl LogVariance<'_> {
    fn at(self, j: usize) -> f64 {
        match self {
            Self::Fixed(log_variance) => log_variance,
            Self::Learned { kind, by, words } => by.slope * kind.value_in_range(words[j]) + by.offset,
        }
    }
}

impl Row<'_> {
    /// `log σ²` of value `j`, in nats.
    pub(super) fn log_variance(&self, j: usize) -> f64 {
        self.variance.at(j)
    }

    /// `KL(q(x_{t-1} | x_t, x_0) ‖ p_θ(x_{t-1} | x_t))` for `t ≥ 2`.
    pub(super) fn kl(&self, chain: &Chain, x_0: &[f64], t: usize) -> f64 {
        let schedule = chain.schedule();
        let posterior = schedule.posterior_log_variance(t);
        let weight = schedule.posterior_mean_coefficients(t).x_0.powi(2);
        let term = |(j, (x, predicted)): (usize, (&f64, &f64))| {
            let log_variance = self.log_variance(j);
            let log_ratio = posterior - log_variance;
            0.5 * (log_ratio.exp_m1() - log_ratio + weight * (x - predicted).powi(2) * (-log_variance).exp())
        };
        x_0.iter().zip(self.x_0).enumerate().map(term).sum()
    }

    /// `L_0`, or the value that is no level. At `t = 1` the mean of the reverse step is the predicted `x_0` itself.
    pub(super) fn decoder(&self, decoder: Decoder, x_0: &[f64]) -> Result<f64, f64> {
        let term = |(j, (&x, &mean)): (usize, (&f64, &f64))| decoder.nll(x, mean, self.log_variance(j)).map_err(|_| x);
        x_0.iter().zip(self.x_0).enumerate().map(term).sum()
    }
}
