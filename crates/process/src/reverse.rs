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
    variance: ReverseVariance,
    clip: bool,
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
            variance: ReverseVariance::default(),
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
        Self { variance, ..self }
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
        let log_variance = t.iter().map(|&t| self.variance.log_variance(&self.schedule, t)).collect();
        Reverse { x_0, gaussian: Gaussian { mean, log_variance } }
    }
}
