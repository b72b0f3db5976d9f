//! The marginal `q(x_t)` of known data, and what it says about `x_0` and `x_{t-1}`.
//!
//! For one Gaussian with variance `λ` along an axis, `x_t = √ᾱ x_0 + √(1-ᾱ) ε` has variance `V_t = ᾱ λ + 1 - ᾱ` there, and with
//! `m` the mean and `x_t` measured along the axis
//! - `E[x_0 | x_t] = m + √ᾱ λ/V_t (x_t - √ᾱ m)`, `Var[x_0 | x_t] = λ (1 - ᾱ)/V_t`,
//! - `q(x_{t-1} | x_t) = N(√ᾱ_{t-1} m + √α_t V_{t-1}/V_t (x_t - √ᾱ_t m), β_t V_{t-1}/V_t)`.
//!
//! For a mixture each holds for every component, weighted by the probability that `x_t` came from it.

use std::f64::consts::TAU;

use sfumato_schedule::NoiseSchedule;

use super::{GaussianData, MixtureData};
use crate::NoiseLevel;

/// `q(x_t)` for data that is a mixture of Gaussians: the mixture, seen through `√ᾱ_t` and noise of variance `1 - ᾱ_t`.
#[derive(Clone, Debug)]
pub struct NoisedMixture {
    components: Vec<Component>,
    /// `√ᾱ_t`.
    signal: f64,
    /// `1 - ᾱ_t`.
    noise: f64,
    step: Step,
}

/// What the last step did: everything that the reverse transition needs.
#[derive(Clone, Copy, Debug)]
struct Step {
    beta: f64,
    /// `√ᾱ_{t-1}`.
    previous_signal: f64,
    /// `ᾱ_{t-1}`, `1 - ᾱ_{t-1}`.
    previous: (f64, f64),
    /// Weights of `x_0` in the mean of `q(x_{t-1} | x_t, x_0)`, and that distribution's variance.
    posterior: (f64, f64),
}

#[derive(Clone, Debug)]
struct Component {
    log_weight: f64,
    data: GaussianData,
    /// Variance of `x_t` along each axis.
    variances: Vec<f64>,
    /// `-½ Σ ln(2π V)`.
    log_norm: f64,
}

impl NoisedMixture {
    pub(super) fn new(data: &MixtureData, schedule: &NoiseSchedule, t: usize) -> Self {
        let (alpha_bar, noise) = (schedule.alpha_bar(t), schedule.one_minus_alpha_bar(t));
        let step = if t == 0 {
            Step::NONE
        } else {
            let previous = (schedule.alpha_bar(t - 1), schedule.one_minus_alpha_bar(t - 1));
            Step {
                beta: schedule.beta(t),
                previous_signal: previous.0.sqrt(),
                previous,
                posterior: (schedule.posterior_mean_coefficients(t).x_0, schedule.posterior_variance(t)),
            }
        };
        Self::with(data, alpha_bar, noise, step)
    }

    /// The data at a noise level that no step leads to.
    pub(super) fn between(data: &MixtureData, level: NoiseLevel) -> Self {
        Self::with(data, level.signal().powi(2), level.noise().powi(2), Step::NONE)
    }

    /// The data without noise.
    pub(super) fn of_data(data: &MixtureData) -> Self {
        Self::with(data, 1.0, 0.0, Step::NONE)
    }

    fn with(data: &MixtureData, alpha_bar: f64, noise: f64, step: Step) -> Self {
        let component = |(weight, data): &(f64, GaussianData)| {
            let variances: Vec<f64> = data.spread().iter().map(|spread| alpha_bar * spread + noise).collect();
            let log_norm = -0.5 * variances.iter().map(|v| (TAU * v).ln()).sum::<f64>();
            Component { log_weight: weight.ln(), data: data.clone(), variances, log_norm }
        };
        let components = data.components().iter().map(component).collect();
        Self { components, signal: alpha_bar.sqrt(), noise, step }
    }

    /// `d`.
    pub fn dimensions(&self) -> usize {
        self.components[0].data.dimensions()
    }

    /// `ln q(x_t)` in nats.
    ///
    /// # Panics
    /// If `x_t` has another dimension.
    pub fn log_density(&self, x_t: &[f64]) -> f64 {
        log_sum_exp(self.log_joint(x_t))
    }

    /// The probability of each component, given `x_t`.
    ///
    /// # Panics
    /// If `x_t` has another dimension.
    pub fn responsibilities(&self, x_t: &[f64]) -> Vec<f64> {
        let mut weights: Vec<f64> = self.log_joint(x_t).collect();
        let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - largest).exp());
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        weights
    }

    /// `E[x_0 | x_t]`.
    ///
    /// # Panics
    /// If `x_t` has another dimension.
    pub fn mean_x_0(&self, x_t: &[f64]) -> Vec<f64> {
        let mut mean = vec![0.0; x_t.len()];
        for (weight, component) in self.responsibilities(x_t).into_iter().zip(&self.components) {
            component.add_mean_x_0(weight, self.signal, x_t, &mut mean);
        }
        mean
    }

    /// `tr Cov[x_0 | x_t]`, the mean squared error of the best guess, summed over the dimensions.
    ///
    /// # Panics
    /// If `x_t` has another dimension.
    pub fn variance_x_0(&self, x_t: &[f64]) -> f64 {
        let mean = self.mean_x_0(x_t);
        let mut total = 0.0;
        for (weight, component) in self.responsibilities(x_t).into_iter().zip(&self.components) {
            let mut own = vec![0.0; x_t.len()];
            component.add_mean_x_0(1.0, self.signal, x_t, &mut own);
            let between: f64 = own.iter().zip(&mean).map(|(a, b)| (a - b).powi(2)).sum();
            let within: f64 =
                component.data.spread().iter().zip(&component.variances).map(|(s, v)| s * self.noise / v).sum();
            total += weight * (within + between);
        }
        total
    }

    /// The exact `q(x_{t-1} | x_t)`: again a mixture of Gaussians.
    ///
    /// # Panics
    /// If `x_t` has another dimension, or at `t = 0`.
    pub fn reverse(&self, x_t: &[f64]) -> MixtureData {
        assert!(self.step.beta > 0.0, "there is no step before clean data");
        let Step { beta, previous_signal, previous, .. } = self.step;
        let retained = (1.0 - beta).sqrt();
        let reverse = |(weight, component): (f64, &Component)| {
            let data = &component.data;
            let mut mean: Vec<f64> = data.mean().iter().map(|m| previous_signal * m).collect();
            let mut spread = Vec::with_capacity(mean.len());
            for (j, variance) in component.variances.iter().enumerate() {
                let before = previous.0 * data.spread()[j] + previous.1;
                data.add_along(j, retained * before / variance * component.offset(j, self.signal, x_t), &mut mean);
                spread.push(beta * before / variance);
            }
            (weight, data.with(mean, spread))
        };
        MixtureData::from_normalized(
            self.responsibilities(x_t).into_iter().zip(&self.components).map(reverse).collect(),
        )
    }

    /// The best isotropic variance of `p(x_{t-1} | x_t)` around the posterior's mean at the best `x̂_0`, when the mean of
    /// [`variance_x_0`](Self::variance_x_0) over `x_t` is `mean_variance_x_0`: Bao et al. (2022), arXiv:2201.06503, Theorem 1.
    ///
    /// # Formula
    /// `σ_t² = β̃_t + (√ᾱ_{t-1} β_t/(1 - ᾱ_t))² E[tr Cov(x_0 | x_t)]/d`; at `t = 1` simply `E[tr Cov(x_0 | x_1)]/d`. For one
    /// isotropic Gaussian this is the variance of the exact reverse transition.
    ///
    /// # Panics
    /// At `t = 0`.
    pub fn optimal_reverse_variance(&self, mean_variance_x_0: f64) -> f64 {
        assert!(self.step.beta > 0.0, "there is no step before clean data");
        let (x_0, variance) = self.step.posterior;
        variance + x_0 * x_0 * mean_variance_x_0 / self.dimensions() as f64
    }

    fn log_joint<'a>(&'a self, x_t: &'a [f64]) -> impl Iterator<Item = f64> + Clone + 'a {
        assert_eq!(x_t.len(), self.dimensions(), "the data has {} dimensions", self.dimensions());
        self.components.iter().map(move |component| component.log_joint(self.signal, x_t))
    }
}

impl Step {
    /// No step: clean data.
    const NONE: Self = Self { beta: 0.0, previous_signal: 1.0, previous: (1.0, 0.0), posterior: (0.0, 0.0) };
}

impl Component {
    /// `x_t` along axis `j`, measured from the component's own mean.
    fn offset(&self, j: usize, signal: f64, x_t: &[f64]) -> f64 {
        self.data.project(j, x_t.iter().zip(self.data.mean()).map(|(x, mean)| x - signal * mean))
    }

    fn log_joint(&self, signal: f64, x_t: &[f64]) -> f64 {
        let square = |(j, variance): (usize, &f64)| self.offset(j, signal, x_t).powi(2) / variance;
        self.log_weight + self.log_norm - 0.5 * self.variances.iter().enumerate().map(square).sum::<f64>()
    }

    /// Adds `weight E[x_0 | x_t, this component]` to `out`.
    fn add_mean_x_0(&self, weight: f64, signal: f64, x_t: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(self.data.mean()).for_each(|(sum, mean)| *sum += weight * mean);
        for (j, variance) in self.variances.iter().enumerate() {
            let gain = signal * self.data.spread()[j] / variance;
            self.data.add_along(j, weight * gain * self.offset(j, signal, x_t), out);
        }
    }
}

/// `ln Σ e^x` without overflow; the terms of unlikely components may be minus infinity.
fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}
