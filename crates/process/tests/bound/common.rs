//! Tensors of `f64`, and numbers known exactly.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use rand::Rng;
use sfumato_process::{
    Chain, Denoiser,
    bound::AffineChain,
    noise::{Purpose, stream},
    oracle::MixtureData,
};
use sfumato_schedule::{NoiseSchedule, probability::Gaussian};

pub(crate) const DEVICE: FlexDevice = FlexDevice;

pub(crate) fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::from_data(TensorData::new(values, shape), (&DEVICE, DType::F64))
}

pub(crate) fn rng(seed: u64) -> impl Rng {
    stream(seed, Purpose::Training, 0, 0)
}

pub(crate) fn examples(data: &MixtureData, n: usize, seed: u64) -> Tensor<Flex, 2> {
    let mut rng = rng(seed);
    let values = (0..n).flat_map(|_| data.sample(&mut rng)).collect();
    tensor(values, [n, data.dimensions()])
}

/// Mean and standard error.
pub(crate) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

pub(crate) fn betas(longest: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(1e-4..0.6f64, 1..longest)
}

/// Predicts `x̂_0 = gain_t x_t + offset_t`.
pub(crate) struct Affine {
    pub(crate) predictions: Vec<(f64, f64)>,
}

impl Affine {
    /// The best prediction for `data`, its gain multiplied by `slope` and `shift` added.
    pub(crate) fn near_best(schedule: &NoiseSchedule, data: &Gaussian, slope: f64, shift: f64) -> Self {
        let prediction = |t: usize| {
            let (alpha_bar, noise) = (schedule.alpha_bar(t), schedule.one_minus_alpha_bar(t));
            let gain = alpha_bar.sqrt() * data.variance() / (alpha_bar * data.variance() + noise);
            (slope * gain, data.mean() * (1.0 - gain * alpha_bar.sqrt()) + shift)
        };
        Self { predictions: (1..=schedule.steps()).map(prediction).collect() }
    }

    pub(crate) fn chain(&self, chain: &Chain) -> AffineChain {
        AffineChain::of_predictions(chain, |i| self.predictions[i - 1]).unwrap()
    }
}

impl<B: Backend, const D: usize> Denoiser<B, D> for Affine {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        let (gain, offset) = self.predictions[t[0] - 1];
        assert!(t.iter().all(|step| *step == t[0]));
        x_t * gain + offset
    }
}
