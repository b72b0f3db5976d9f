//! A weighted sum of Gaussians.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use sfumato_schedule::NoiseSchedule;

use super::{DataError, GaussianData, NoisedMixture};
use crate::NoiseLevel;

/// Data from a mixture of Gaussians; a single Gaussian is a mixture of one.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureData {
    /// Weights that sum to 1, with the components. A weight may underflow to 0 in a transition.
    components: Vec<(f64, GaussianData)>,
}

impl From<GaussianData> for MixtureData {
    fn from(data: GaussianData) -> Self {
        Self { components: vec![(1.0, data)] }
    }
}

impl MixtureData {
    /// The mixture of `(weight, Gaussian)`; the weights are divided by their sum.
    ///
    /// # Errors
    /// [`DataError`] if there are none, a weight is not positive and finite, or the dimensions differ.
    pub fn new(components: Vec<(f64, GaussianData)>) -> Result<Self, DataError> {
        let expected = components.first().ok_or(DataError::NoComponents)?.1.dimensions();
        for (component, (weight, data)) in components.iter().enumerate() {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(DataError::WeightOutOfRange { component, weight: *weight });
            }
            if data.dimensions() != expected {
                return Err(DataError::Dimensions { component, expected, found: data.dimensions() });
            }
        }
        let total: f64 = components.iter().map(|(weight, _)| weight).sum();
        Ok(Self { components: components.into_iter().map(|(weight, data)| (weight / total, data)).collect() })
    }

    /// From weights that already sum to 1.
    pub(super) fn from_normalized(components: Vec<(f64, GaussianData)>) -> Self {
        Self { components }
    }

    /// `d`.
    pub fn dimensions(&self) -> usize {
        self.components[0].1.dimensions()
    }

    /// The weights, which sum to 1, and the Gaussians.
    pub fn components(&self) -> &[(f64, GaussianData)] {
        &self.components
    }

    /// The distribution of `x_t`; at `t = 0` that of the data itself.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    pub fn noised(&self, schedule: &NoiseSchedule, t: usize) -> NoisedMixture {
        NoisedMixture::new(self, schedule, t)
    }

    /// The distribution of `x_t` at a noise level between the steps. It has no step before it: [`reverse`](NoisedMixture::reverse) is not for it.
    pub fn noised_between(&self, level: NoiseLevel) -> NoisedMixture {
        NoisedMixture::between(self, level)
    }

    /// `ln q(x_0)` in nats.
    ///
    /// # Panics
    /// If `x` has another dimension.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        NoisedMixture::of_data(self).log_density(x)
    }

    /// The mean `E x`.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimensions()];
        for (weight, data) in &self.components {
            mean.iter_mut().zip(data.mean()).for_each(|(sum, x)| *sum += weight * x);
        }
        mean
    }

    /// One example.
    pub fn sample(&self, rng: &mut impl Rng) -> Vec<f64> {
        let mut rest: f64 = rng.random();
        let chosen = self.components.iter().find(|(weight, _)| {
            rest -= weight;
            rest < 0.0
        });
        // Rounding may leave a rest after the last.
        let (_, data) = chosen.unwrap_or(&self.components[self.components.len() - 1]);
        let mut x = data.mean().to_vec();
        for (j, variance) in data.spread().iter().enumerate() {
            let z: f64 = StandardNormal.sample(rng);
            data.add_along(j, variance.sqrt() * z, &mut x);
        }
        x
    }
}
