//! Upsampling, then convolution.

use crate::ops::Conv2dGeometry;
use crate::{AffineGradients, Backend, WantedGradients};
use burn::tensor::ops::FloatTensor;

pub(crate) fn upsample_conv2d<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    B::fused_conv2d(B::fused_upsample_nearest_2x(x), weight, bias, None, Conv2dGeometry::SAME_3X3)
}

pub(crate) fn upsample_conv2d_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    accumulate: Option<FloatTensor<B>>,
    wanted: WantedGradients,
) -> AffineGradients<B> {
    let upsampled = B::fused_upsample_nearest_2x(x);
    let d = B::fused_conv2d_backward(upsampled, weight, grad, None, Conv2dGeometry::SAME_3X3, wanted);
    let x = d.x.map(B::fused_upsample_nearest_2x_backward).map(|dx| match accumulate {
        Some(other) => B::fused_add(other, dx),
        None => dx,
    });
    AffineGradients { x, ..d }
}
