//! Squared norm of a gradient.

use super::primitive;
use crate::Backend;
use burn::tensor::Tensor;

/// `Σ x²` over all values of all tensors, 0 for no values. On the CPU backends, if all tensors are f32, it is summed in f64, in one
/// parallel region and in an order that depends on the lengths alone: neither the number of threads nor the instruction set changes
/// a bit. Elsewhere each tensor is summed in its own dtype, and the sums in f64.
pub fn sum_of_squares<B: Backend>(tensors: Vec<Tensor<B, 1>>) -> f64 {
    B::fused_sum_of_squares(tensors.into_iter().map(primitive).collect())
}
