//! Averages of the weights whose width grows with the run: Karras et al. (2024), arXiv:2312.02696, Section 3.1.

use burn::{module::Module, tensor::Tensor};

use crate::{Backend, adam::weights};

/// Several power-function averages of a module's parameters.
///
/// # Formula
/// After step `t` (from 1), `average += (1 - β_t) (weight - average)` with `β_t = (1 - 1/t)^(γ + 1)`. A weight of step `s` then has the
/// share `(s^(γ+1) - (s-1)^(γ+1)) / t^(γ+1)`: the average is as wide, in proportion to the steps done, at any time of a run, and it
/// has forgotten the initial weights after its first step.
///
/// # Examples
/// ```
/// use burn::{backend::Flex, nn::LinearConfig};
/// use sfumato_kernels::PowerAverages;
///
/// let layer = LinearConfig::new(2, 1).init::<Flex>(&Default::default());
/// let mut averages = PowerAverages::new(&[16.97, 6.94], &layer);
/// averages.step(&layer, 1);
/// assert_eq!(averages.values()[1][0].to_data(), layer.weight.val().reshape([2]).to_data());
/// ```
#[derive(Clone, Debug)]
pub struct PowerAverages<B: Backend> {
    exponents: Vec<f64>,
    values: Vec<Vec<Tensor<B, 1>>>,
}

impl<B: Backend> PowerAverages<B> {
    /// Averages with these exponents γ, each above -1, before the first step.
    pub fn new<M: Module<B>>(exponents: &[f64], model: &M) -> Self {
        Self { exponents: exponents.to_vec(), values: vec![weights(model); exponents.len()] }
    }

    /// The averages with which a stopped run goes on: for each exponent the parameters, flat, in visiting order.
    ///
    /// # Panics
    /// If there are not as many averages as exponents.
    pub fn resumed(exponents: &[f64], values: Vec<Vec<Tensor<B, 1>>>) -> Self {
        assert_eq!(exponents.len(), values.len(), "one average for each exponent");
        Self { exponents: exponents.to_vec(), values }
    }

    /// For each exponent the average of each parameter, flat, in visiting order.
    pub fn values(&self) -> &[Vec<Tensor<B, 1>>] {
        &self.values
    }

    /// Takes in the weights after step `step`, from 1.
    ///
    /// # Panics
    /// If the model has other parameters than the one that the averages began with.
    pub fn step<M: Module<B>>(&mut self, model: &M, step: u64) {
        let weights = weights(model);
        for (averages, &exponent) in self.values.iter_mut().zip(&self.exponents) {
            let follow = 1.0 - power_decay(exponent, step);
            assert_eq!(averages.len(), weights.len(), "one average for each parameter");
            let old = std::mem::take(averages).into_iter();
            // In this form the shares of both add up to exactly 1, whatever `follow` is rounded to.
            let new = old.zip(&weights).map(|(average, weight)| {
                if follow == 1.0 {
                    return weight.clone();
                }
                let way = weight.clone() - average.clone();
                average + way.mul_scalar(follow)
            });
            *averages = new.collect();
        }
    }
}

/// `(1 - 1/t)^(γ + 1)` for step `t`, from 1.
///
/// # Examples
/// With the exponent 0 the average is the mean of all weights so far.
/// ```
/// assert_eq!(sfumato_kernels::power_decay(0.0, 4), 0.75);
/// ```
pub fn power_decay(exponent: f64, step: u64) -> f64 {
    (1.0 - 1.0 / step.max(1) as f64).powf(exponent + 1.0)
}
