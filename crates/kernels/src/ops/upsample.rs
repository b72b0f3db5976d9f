//! Doubling an image's size, alone or before a convolution.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// Every pixel becomes a 2×2 block of itself.
///
/// # Shapes
/// `x: [n, c, h, w]`, result `[n, c, 2h, 2w]`.
pub fn upsample_nearest_2x<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    tensor(B::fused_upsample_nearest_2x(primitive(x)))
}

/// 3×3 convolution with stride 1 and padding 1 of the upsampled `x`, plus `bias`: the end of a level of a decoder.
///
/// The CPU backends neither make nor keep the upsampled values: an output pixel has at most four different neighbours in `x`, and
/// Winograd's algorithm for these takes 30 % fewer multiplications.
///
/// # Shapes
/// `x: [n, c, h, w]`, `weight: [k, c, 3, 3]`, `bias: [k]`; the result is `[n, k, 2h, 2w]`.
///
/// # Formula
/// [`crate::conv2d`] of [`upsample_nearest_2x`].
///
/// # Panics
/// If the shapes do not fit together.
pub fn upsample_conv2d<B: Backend>(x: Tensor<B, 4>, weight: Tensor<B, 4>, bias: Option<Tensor<B, 1>>) -> Tensor<B, 4> {
    let ([_, c, _, _], [k, ..]) = (x.dims(), weight.dims());
    assert!(
        weight.dims() == [k, c, 3, 3] && bias.as_ref().is_none_or(|bias| bias.dims() == [k]),
        "upsample_conv2d: weight is {:?}, expected [out, {c}, 3, 3], and bias {:?}, expected [{k}]",
        weight.dims(),
        bias.map(|bias| bias.dims())
    );
    tensor(B::fused_upsample_conv2d(primitive(x), primitive(weight), bias.map(primitive)))
}
