//! SiLU (swish), Elfwing et al. (2017), arXiv:1702.03118.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// SiLU, `x · sigmoid(x)`, elementwise, of a tensor of any shape.
pub fn silu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    tensor(B::fused_silu(primitive(x)))
}
