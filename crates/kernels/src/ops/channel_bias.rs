//! Adding an embedding to every pixel.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// `x` plus one value for each image and channel: how a time embedding enters a residual block.
///
/// # Shapes
/// `x` and the result: `[n, c, h, w]`; `bias`: `[n, c]`.
///
/// # Panics
/// If `bias` is not `[n, c]`.
pub fn add_channel_bias<B: Backend>(x: Tensor<B, 4>, bias: Tensor<B, 2>) -> Tensor<B, 4> {
    let [n, c, _, _] = x.dims();
    assert!(
        bias.dims() == [n, c],
        "add_channel_bias: bias is {:?}, expected [{n}, {c}] for an input of {:?}",
        bias.dims(),
        x.dims()
    );
    tensor(B::fused_add_channel_bias(primitive(x), primitive(bias)))
}
