//! Affine maps with weights as PyTorch stores them.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// `x · weightᵀ + bias` over the last axis.
///
/// # Shapes
/// `x: [..., d_in]`, `weight: [d_out, d_in]` (as in PyTorch), `bias: [d_out]`; result `[..., d_out]`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn linear<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, D> {
    let mut dims = x.dims();
    let [d_out, d_in] = weight.dims();
    assert!(
        D >= 1 && dims[D - 1] == d_in,
        "linear: input is {dims:?}, expected [..., {d_in}] for a weight of {:?}",
        weight.dims()
    );
    if let Some(bias) = &bias {
        assert!(
            bias.dims() == [d_out],
            "linear: bias is {:?}, expected [{d_out}] for a weight of {:?}",
            bias.dims(),
            weight.dims()
        );
    }
    let rows = dims[..D - 1].iter().product();
    dims[D - 1] = d_out;
    let apply = |x| B::fused_linear(x, primitive(weight), bias.map(primitive));
    if D == 2 {
        // Reshaping to the same shape would be two operations more in a graph.
        return tensor(apply(primitive(x)));
    }
    tensor::<B, 2>(apply(primitive(x.reshape([rows, d_in])))).reshape(dims)
}
