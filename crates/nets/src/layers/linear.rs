//! Affine map of the last axis.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use sfumato_kernels::{self as kernels, Backend, Conv2dGeometry};

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

    /// Applies the map to the channels of every pixel: a 1×1 convolution, which leaves the pixels where they are.
    ///
    /// # Shapes
    /// - `x`: `[batch, in, height, width]`
    /// - output: `[batch, out, height, width]`
    pub fn forward_pixels(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::conv2d(x, self.kernel(), Some(self.bias.val()), Conv2dGeometry::POINTWISE)
    }

    /// [`Linear::forward_pixels`] plus `residual`, in the shape of the output.
    pub fn forward_pixels_add(&self, x: Tensor<B, 4>, residual: Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::conv2d_add(x, self.kernel(), Some(self.bias.val()), residual)
    }

    /// The weight as a 1×1 kernel, `[out, in, 1, 1]`.
    fn kernel(&self) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [d_out, d_in] = weight.dims();
        weight.reshape([d_out, d_in, 1, 1])
    }
}
