//! A parameter's place in the autodiff graph.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// `value`, of any shape, in the place of `leaf`, a parameter before an update: for autodiff it is the same leaf, with a gradient if that had
/// one. It saves the time of bringing new leaves into a graph; without autodiff it is `value`.
///
/// As with every leaf that several gradients are taken of, two losses that share operations need one gradient of their sum:
/// Burn frees what they share with the first of two.
///
/// # Panics
/// Under autodiff if `leaf` was computed from tensors that have a gradient.
pub fn with_node_of<B: Backend, const D: usize>(value: Tensor<B, D>, leaf: Tensor<B, D>) -> Tensor<B, D> {
    tensor(B::with_node_of(primitive(value), primitive(leaf)))
}
