//! Affine map of the last axis.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use sfumato_kernels::{self as kernels, Backend};

use crate::params::{Builder, Init};

/// `x Wᵀ + b`, with torch's layout of the weight.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// Weight, `[out, in]`.
    pub weight: Param<Tensor<B, 2>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Linear<B> {
    /// A map from `dim_in` to `dim_out` numbers, in torch's default initialisation.
    pub fn new(b: &mut Builder<B>, dim_in: usize, dim_out: usize) -> Self {
        Self::with_init(b, dim_in, dim_out, Init::FanIn(dim_in))
    }

    /// As [`Linear::new`], as the last layer of a residual branch or network ([`Init::Last`]).
    pub fn last(b: &mut Builder<B>, dim_in: usize, dim_out: usize) -> Self {
        Self::with_init(b, dim_in, dim_out, Init::Last(dim_in))
    }

    fn with_init(b: &mut Builder<B>, dim_in: usize, dim_out: usize, init: Init) -> Self {
        Self { weight: b.param("weight", [dim_out, dim_in], init), bias: b.param("bias", [dim_out], init) }
    }

    /// Applies the map.
    ///
    /// # Shapes
    /// - `x`: `[…, in]`
    /// - output: `[…, out]`
    pub fn forward<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        kernels::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}
