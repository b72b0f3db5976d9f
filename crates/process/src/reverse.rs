//! The reverse chain `p`: Gaussian steps from noise to data, their means from a network.
//!
//! Ho et al. (2020), arXiv:2006.11239, §3.2.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use sfumato_schedule::{NoiseSchedule, ScheduleError};

use crate::{Denoiser, Parameterization, forward::q_posterior};

/// The fixed variance of `p(x_{t-1} | x_t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseVariance {
    /// `β̃_t`, exact when all data is one point (the lower bound on the true reverse entropy).
    #[default]
    FixedSmall,
    /// `β_t`, exact when data is standard normal (the upper bound).
    FixedLarge,
}

impl ReverseVariance {
    /// `log σ_t²` in nats, for `t` in `1..=T`; at `t = 1` both kinds use `log β̃_2`, as DDPM does.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn log_variance(self, schedule: &NoiseSchedule, t: usize) -> f64 {
        match self {
            Self::FixedLarge if t > 1 => schedule.beta(t).ln(),
            _ => schedule.posterior_log_variance(t),
        }
    }
}

/// A batch of isotropic Gaussians.
#[derive(Clone, Debug)]
pub struct Gaussian<B: Backend, const D: usize> {
    /// `[batch, …]`
    pub mean: Tensor<B, D>,
    /// Natural logarithm of the variance, one for each example.
    pub log_variance: Vec<f64>,
}

/// The reverse chain of a trained model: which steps it takes and how a prediction becomes a Gaussian.
///
/// Its steps are counted `1..=S`. `S` is `T` for the chain that the model was trained on and less for a
/// [respaced](Self::respaced) one, whose coefficients are those of the shorter chain with the same `ᾱ` at the steps it
/// keeps (Nichol & Dhariwal 2021, §4).
#[derive(Clone, Debug)]
pub struct Chain {
    schedule: NoiseSchedule,
    /// The trained chain's step for each of ours: `original[i - 1]`.
    original: Vec<usize>,
    parameterization: Parameterization,
    variance: Variance,
    clip: bool,
}

/// Where the variances of a chain come from.
#[derive(Clone, Debug)]
enum Variance {
    Fixed(ReverseVariance),
    /// `log σ_i²` of step `i` at `i - 1`.
    Table(Vec<f64>),
}

/// Why a table of variances does not fit a chain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VarianceError {
    /// One value for each step is needed.
    #[error("a chain of {steps} steps needs as many log-variances, {found} were given")]
    Length {
        /// Steps of the chain.
        steps: usize,
        /// Values given.
        found: usize,
    },
    /// NaN or infinite.
    #[error("log-variances must be finite, but that of step {step} is {log_variance}")]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The value given for it.
        log_variance: f64,
    },
}

/// One reverse step's answer.
#[derive(Clone, Debug)]
pub struct Reverse<B: Backend, const D: usize> {
    /// The network's idea of the clean data, clipped if the chain clips: `[batch, …]`.
    pub x_0: Tensor<B, D>,
    /// `p(x_{i-1} | x_i)`.
    pub gaussian: Gaussian<B, D>,
}

impl Chain {
    /// The full chain of `schedule`, with the small variance and without clipping.
    pub fn new(schedule: &NoiseSchedule, parameterization: Parameterization) -> Self {
        Self {
            schedule: schedule.clone(),
            original: (1..=schedule.steps()).collect(),
            parameterization,
            variance: Variance::Fixed(ReverseVariance::default()),
            clip: false,
        }
    }

    /// The chain that visits only the given `steps` of `schedule`, strictly increasing in `1..=T`.
    ///
    /// # Errors
    /// [`ScheduleError`] if the steps are none, out of range or out of order.
    pub fn respaced(
        schedule: &NoiseSchedule,
        steps: &[usize],
        parameterization: Parameterization,
    ) -> Result<Self, ScheduleError> {
        let respaced = schedule.respace(steps)?;
        Ok(Self { original: steps.to_vec(), ..Self::new(respaced.schedule(), parameterization) })
    }

    /// The same chain with another variance.
    pub fn with_variance(self, variance: ReverseVariance) -> Self {
        Self { variance: Variance::Fixed(variance), ..self }
    }

    /// The same chain with a variance for each step: `log_variances[i - 1]` is `log σ_i²` in nats.
    ///
    /// For variances that are computed, not chosen by a rule: the exact reverse variance of known data, or the optimal one of
    /// Bao et al. (2022), arXiv:2201.06503, `σ_t² = β̃_t + (√ᾱ_{t-1} β_t / (1 - ᾱ_t))² E[tr Cov(x_0 | x_t)] / d`
    /// ([`NoisedMixture::optimal_reverse_variance`](crate::oracle::NoisedMixture::optimal_reverse_variance)).
    ///
    /// # Errors
    /// [`VarianceError`] if there is not one finite value for each step.
    pub fn with_log_variances(self, log_variances: Vec<f64>) -> Result<Self, VarianceError> {
        let steps = self.steps();
        if log_variances.len() != steps {
            return Err(VarianceError::Length { steps, found: log_variances.len() });
        }
        if let Some(index) = log_variances.iter().position(|value| !value.is_finite()) {
            return Err(VarianceError::NotFinite { step: index + 1, log_variance: log_variances[index] });
        }
        Ok(Self { variance: Variance::Table(log_variances), ..self })
    }

    /// The same chain, clipping predictions of `x_0` to [-1, 1] or not. For images it should: the data is there, and
    /// an `x_0` outside pulls the chain away.
    pub fn with_clip(self, clip: bool) -> Self {
        Self { clip, ..self }
    }

    /// Number of steps, `S`.
    pub fn steps(&self) -> usize {
        self.original.len()
    }

    /// The (respaced) schedule that is walked; its steps are `1..=S`.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// The trained chain's step `t` for step `i` of this chain.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn original_step(&self, i: usize) -> usize {
        self.original[i - 1]
    }

    /// `log σ_i²` of `p(x_{i-1} | x_i)`, in nats.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn log_variance(&self, i: usize) -> f64 {
        match &self.variance {
            Variance::Fixed(variance) => variance.log_variance(&self.schedule, i),
            Variance::Table(table) => table[i - 1],
        }
    }

    /// Whether predictions of `x_0` are clipped to [-1, 1].
    pub fn clips(&self) -> bool {
        self.clip
    }

    /// How the network's output is read.
    pub fn parameterization(&self) -> Parameterization {
        self.parameterization
    }

    /// The network's idea of `x_0` at step `i`, clipped if the chain clips, with its raw output.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn predict<B: Backend, const D: usize>(
        &self,
        denoiser: &impl Denoiser<B, D>,
        x: Tensor<B, D>,
        i: usize,
    ) -> (Tensor<B, D>, Tensor<B, D>) {
        let batch = x.dims()[0];
        let output = denoiser.predict(x.clone(), &vec![self.original_step(i); batch]);
        let x_0 = self.parameterization.to_x_0(&self.schedule, output.clone(), x, &vec![i; batch]);
        (if self.clip { x_0.clamp(-1.0, 1.0) } else { x_0 }, output)
    }

    /// `p(x_{i-1} | x_i)` for a batch at step `i`: the posterior's mean with the predicted `x_0` in its place.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn p_mean_variance<B: Backend, const D: usize>(
        &self,
        denoiser: &impl Denoiser<B, D>,
        x: Tensor<B, D>,
        i: usize,
    ) -> Reverse<B, D> {
        let t = vec![i; x.dims()[0]];
        let (x_0, _) = self.predict(denoiser, x.clone(), i);
        let Gaussian { mean, .. } = q_posterior(&self.schedule, x_0.clone(), x, &t);
        let log_variance = vec![self.log_variance(i); t.len()];
        Reverse { x_0, gaussian: Gaussian { mean, log_variance } }
    }
}
