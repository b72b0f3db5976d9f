//! Normalisation, then convolution.

use crate::ops::{Conv2dGeometry, GroupNormSpec};
use crate::{Backend, NormConvOperands};
use burn::tensor::ops::FloatTensor;

pub(crate) fn norm_conv2d<B: Backend>(
    x: FloatTensor<B>,
    with: NormConvOperands<B>,
    spec: GroupNormSpec,
) -> FloatTensor<B> {
    let NormConvOperands { norm, weight, bias, residual } = with;
    let normed = B::fused_group_norm(x, norm, spec);
    B::fused_conv2d(normed, weight, Some(bias), residual, Conv2dGeometry::SAME_3X3)
}
