//! Time features and their embedding.

use std::f64::consts::TAU;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::Backend;

use super::{TimeEmbeddingType, UNet2DConfig};
use crate::{
    layers::{Activation, Linear, in_type_of},
    params::{Builder, Init},
};

/// Longest period of the sinusoidal features, in units of 2π timesteps: Vaswani et al. (2017), arXiv:1706.03762, section 3.5.
const MAX_PERIOD: f64 = 10_000.0;
/// Standard deviation of the Fourier frequencies in `UNet2DModel`.
const FOURIER_SCALE: f64 = 16.0;

/// Sinusoidal features of `timesteps`, `[timesteps, dim]` in row-major order.
///
/// # Formula
/// `[sin(t ω_i) | cos(t ω_i)]` with `ω_i = 10000^(-i / (h - freq_shift))`, `i = 0..h`, `h = ⌊dim / 2⌋`; `flip` puts cosines
/// first; an odd `dim` ends in 0.
///
/// Frequencies and angles are rounded to `f32` as diffusers does (at `t = 1000` an angle's rounding is worth 3e-5), sines
/// and cosines are exact.
///
/// ```
/// let features = sfumato_nets::unet::sinusoidal(&[0.0], 4, false, 0);
/// assert_eq!(features, [0.0, 0.0, 1.0, 1.0]);
/// ```
pub fn sinusoidal(timesteps: &[f32], dim: usize, flip: bool, freq_shift: i64) -> Vec<f32> {
    let half = dim / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|i| {
            let exponent = -(MAX_PERIOD.ln() as f32) * i as f32 / (half as i64 - freq_shift) as f32;
            f64::from(exponent).exp() as f32
        })
        .collect();
    let mut features = Vec::with_capacity(timesteps.len() * dim);
    for &t in timesteps {
        let angles = || frequencies.iter().map(|&frequency| f64::from(t * frequency));
        let sines = angles().map(|angle| angle.sin() as f32);
        let cosines = angles().map(|angle| angle.cos() as f32);
        if flip {
            features.extend(cosines.chain(sines));
        } else {
            features.extend(sines.chain(cosines));
        }
        features.extend(std::iter::repeat_n(0.0, dim - 2 * half));
    }
    features
}

/// The first stage: from timesteps to features.
#[derive(Module, Debug)]
pub struct TimeProjection<B: Backend> {
    /// Fourier frequencies, `[dim / 2]`; they are stored with the weights but never trained. None for positional features.
    pub weight: Option<Param<Tensor<B, 1>>>,
    dim: usize,
    flip: bool,
    freq_shift: i64,
}

impl<B: Backend> TimeProjection<B> {
    /// The features that `config` asks for.
    pub fn new(b: &mut Builder<B>, config: &UNet2DConfig) -> Self {
        let fourier = config.time_embedding_type == TimeEmbeddingType::Fourier;
        let weight = fourier.then(|| {
            let weight = b.param("weight", [config.block_out_channels[0]], Init::Normal(FOURIER_SCALE));
            weight.set_require_grad(false)
        });
        let (flip, freq_shift) = (config.flip_sin_to_cos, config.freq_shift);
        Self { weight, dim: config.time_feature_dim(), flip, freq_shift }
    }

    /// Features of 0-based `timesteps`.
    ///
    /// # Formula
    /// Positional: [`sinusoidal`]. Fourier: `[sin(2π w ln t) | cos(2π w ln t)]`, Song et al. (2021), arXiv:2011.13456.
    ///
    /// # Shapes
    /// - output: `[timesteps, dim]`
    pub fn forward(&self, timesteps: &[f32], device: &B::Device) -> Tensor<B, 2> {
        match &self.weight {
            None => {
                let features = sinusoidal(timesteps, self.dim, self.flip, self.freq_shift);
                Tensor::from_data(TensorData::new(features, [timesteps.len(), self.dim]), device)
            }
            Some(weight) => {
                let logs: Vec<f32> = timesteps.iter().map(|&t| f64::from(t).ln() as f32).collect();
                let logs = Tensor::<B, 2>::from_data(TensorData::new(logs, [timesteps.len(), 1]), device);
                let weight = weight.val();
                let angles = in_type_of(logs, &weight) * weight.unsqueeze::<2>() * TAU;
                Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
            }
        }
    }
}

/// The second stage: Linear, SiLU, Linear.
#[derive(Module, Debug)]
pub struct TimeEmbedding<B: Backend> {
    /// From features to the embedding's length.
    pub linear_1: Linear<B>,
    /// Of the embedding's length.
    pub linear_2: Linear<B>,
}

impl<B: Backend> TimeEmbedding<B> {
    /// An embedding of length `dim` from `features` numbers.
    pub fn new(b: &mut Builder<B>, features: usize, dim: usize) -> Self {
        let linear_1 = b.within("linear_1", |b| Linear::new(b, features, dim));
        Self { linear_1, linear_2: b.within("linear_2", |b| Linear::new(b, dim, dim)) }
    }

    /// Embeds.
    ///
    /// # Shapes
    /// - `features`: `[batch, features]`
    /// - output: `[batch, dim]`
    pub fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let features = in_type_of(features, &self.linear_1.weight.val());
        self.linear_2.forward(Activation::Silu.forward(self.linear_1.forward(features)))
    }
}
