//! Gaussians over a batch.

use burn::tensor::{Tensor, backend::Backend};

/// A batch of isotropic Gaussians.
#[derive(Clone, Debug)]
pub struct Gaussian<B: Backend, const D: usize> {
    /// `[batch, …]`
    pub mean: Tensor<B, D>,
    /// Natural logarithm of the variance, one for each example.
    pub log_variance: Vec<f64>,
}
