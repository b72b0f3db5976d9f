//! Squared norm of a gradient.

use super::primitive;
use crate::Backend;
use burn::tensor::Tensor;

/// `Σ x²`. On the CPU backends it is summed in f64 in an order that depends on the length alone, so that the
/// result does not depend on the number of threads.
pub fn sum_of_squares<B: Backend>(x: Tensor<B, 1>) -> f64 {
    B::fused_sum_of_squares(primitive(x))
}
