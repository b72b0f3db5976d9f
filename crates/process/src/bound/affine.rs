//! The bound in closed form: Gaussian data, and a reverse chain whose means are affine in `x_t`.
//!
//! Everything here is one-dimensional. Noise is isotropic, so that Gaussian data with any covariance falls apart into independent
//! coordinates along its principal axes ([`GaussianData::spread`](crate::oracle::GaussianData::spread)), and the bound is the sum
//! of theirs.

use std::f64::consts::TAU;

use sfumato_schedule::{
    NoiseSchedule,
    probability::{Gaussian, ProbabilityError},
};

use crate::Chain;

/// One reverse step, `p(x_{t-1} | x_t) = N(gain x_t + offset, variance)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AffineStep {
    /// Factor of `x_t`.
    pub gain: f64,
    /// Constant, data units.
    pub offset: f64,
    /// Variance, positive.
    pub variance: f64,
}

/// A reverse chain of affine steps from `p(x_T) = N(0, 1)`; index `t - 1` holds step `t`.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineChain {
    steps: Vec<AffineStep>,
}

/// The terms of the bound, exactly; nats for one dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactBound {
    /// `L_T`.
    pub prior: f64,
    /// `L_{t-1}` for `t = 2, …, T`; index `t - 2`.
    pub steps: Vec<f64>,
    /// `L_0`, with the plain Gaussian density.
    pub decoder: f64,
}

impl ExactBound {
    /// The bound.
    pub fn total(&self) -> f64 {
        self.prior + self.steps.iter().sum::<f64>() + self.decoder
    }
}

impl AffineChain {
    /// The chain of the given steps, `t = 1` first.
    ///
    /// # Errors
    /// [`ProbabilityError`] if there is none, or a mean or variance is no valid one.
    pub fn new(steps: Vec<AffineStep>) -> Result<Self, ProbabilityError> {
        if steps.is_empty() {
            return Err(ProbabilityError::Empty { what: "steps of a chain" });
        }
        for step in &steps {
            Gaussian::new(step.gain + step.offset, step.variance)?;
        }
        Ok(Self { steps })
    }

    /// The chain of a denoiser that predicts `x̂_0 = gain x_t + offset`, with the variances of `chain`; `prediction(i)` is the pair
    /// for step `i` of `1..=S`.
    ///
    /// # Errors
    /// [`ProbabilityError`] if a prediction is not finite.
    ///
    /// # Panics
    /// If the chain's variance is learned: the network says it, not the chain.
    pub fn of_predictions(chain: &Chain, prediction: impl Fn(usize) -> (f64, f64)) -> Result<Self, ProbabilityError> {
        let step = |i| {
            let (gain, offset) = prediction(i);
            let weights = chain.schedule().posterior_mean_coefficients(i);
            AffineStep {
                gain: weights.x_t + weights.x_0 * gain,
                offset: weights.x_0 * offset,
                variance: chain.log_variance(i).expect("a variance that is not learned").exp(),
            }
        };
        Self::new((1..=chain.steps()).map(step).collect())
    }

    /// The exact reverse chain of `data`: `p(x_{t-1} | x_t) = q(x_{t-1} | x_t)` at every step.
    ///
    /// # Formula
    /// With `V_t = ᾱ_t v + 1 - ᾱ_t`: gain `√α_t V_{t-1}/V_t`, variance `β_t V_{t-1}/V_t`, and an offset by which the mean of `x_t` is
    /// sent to that of `x_{t-1}`.
    pub fn exact(schedule: &NoiseSchedule, data: &Gaussian) -> Self {
        let spread = |t| schedule.alpha_bar(t) * data.variance() + schedule.one_minus_alpha_bar(t);
        let step = |t: usize| {
            let share = spread(t - 1) / spread(t);
            let gain = schedule.alpha(t).sqrt() * share;
            let offset = data.mean() * (schedule.alpha_bar(t - 1).sqrt() - gain * schedule.alpha_bar(t).sqrt());
            AffineStep { gain, offset, variance: schedule.beta(t) * share }
        };
        Self { steps: (1..=schedule.steps()).map(step).collect() }
    }

    /// The steps, `t = 1` first.
    pub fn steps(&self) -> &[AffineStep] {
        &self.steps
    }

    /// `p(x_0)`: what the chain generates from `N(0, 1)`.
    ///
    /// # Errors
    /// [`ProbabilityError`] if it runs out of the range of `f64`.
    pub fn marginal(&self) -> Result<Gaussian, ProbabilityError> {
        let (mut mean, mut variance) = (0.0, 1.0);
        for step in self.steps.iter().rev() {
            mean = step.gain * mean + step.offset;
            variance = step.gain * step.gain * variance + step.variance;
        }
        Gaussian::new(mean, variance)
    }

    /// The bound, averaged over `data`.
    ///
    /// # Panics
    /// If the schedule has another number of steps.
    pub fn bound(&self, schedule: &NoiseSchedule, data: &Gaussian) -> ExactBound {
        self.expected(schedule, data.mean(), data.variance())
    }

    /// The bound for one example.
    ///
    /// # Panics
    /// If the schedule has another number of steps.
    pub fn bound_at(&self, schedule: &NoiseSchedule, x_0: f64) -> ExactBound {
        self.expected(schedule, x_0, 0.0)
    }

    fn expected(&self, schedule: &NoiseSchedule, mean: f64, variance: f64) -> ExactBound {
        assert_eq!(self.steps.len(), schedule.steps(), "the schedule is that of another chain");
        let kl = |t: usize| {
            let step = self.steps[t - 1];
            let ratio = schedule.posterior_variance(t) / step.variance;
            // E (difference of the means)², the difference being affine in x_0 and the noise.
            let distance = self.square_difference(schedule, t, mean, variance);
            0.5 * (ratio - 1.0 - ratio.ln() + distance / step.variance)
        };
        let decoder = self.square_difference(schedule, 1, mean, variance) / self.steps[0].variance;
        ExactBound {
            prior: schedule.prior_kl(mean * mean + variance),
            steps: (2..=schedule.steps()).map(kl).collect(),
            decoder: 0.5 * ((TAU * self.steps[0].variance).ln() + decoder),
        }
    }

    /// `E (w_0 x_0 + w_t x_t - gain x_t - offset)²` for `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε`.
    fn square_difference(&self, schedule: &NoiseSchedule, t: usize, mean: f64, variance: f64) -> f64 {
        let step = self.steps[t - 1];
        let weights = schedule.posterior_mean_coefficients(t);
        let x_t = weights.x_t - step.gain;
        let x_0 = weights.x_0 + x_t * schedule.alpha_bar(t).sqrt();
        let bias = x_0 * mean - step.offset;
        x_0 * x_0 * variance + x_t * x_t * schedule.one_minus_alpha_bar(t) + bias * bias
    }
}
