//! The 1×1 convolution of channels in two tensors, after joining them.

use super::elementwise::{concat_channels, split_channels};
use super::{conv2d, conv2d_backward};
use crate::{Backend, Conv2dGeometry, JoinedGradients, WantedGradients};
use burn::tensor::{TensorMetadata, ops::FloatTensor};

pub(crate) fn conv1x1_joined<B: Backend>(
    [x, skip]: [FloatTensor<B>; 2],
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    conv2d::<B>(concat_channels::<B>(x, skip), weight, bias, None, Conv2dGeometry::POINTWISE)
}

pub(crate) fn conv1x1_joined_backward<B: Backend>(
    [x, skip]: [FloatTensor<B>; 2],
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    accumulate: [Option<FloatTensor<B>>; 2],
    wanted: WantedGradients,
) -> JoinedGradients<B> {
    let channels = x.shape()[1];
    let joined = concat_channels::<B>(x, skip);
    let d = conv2d_backward::<B>(joined, weight, grad, None, Conv2dGeometry::POINTWISE, wanted);
    let x = d.x.map(|dx| {
        let [a, b] = split_channels::<B>(dx, channels);
        let [for_a, for_b] = accumulate;
        let plus = |d: FloatTensor<B>, other: Option<FloatTensor<B>>| match other {
            Some(other) => B::float_add(d, other),
            None => d,
        };
        [plus(a, for_a), plus(b, for_b)]
    });
    JoinedGradients { x, weight: d.weight, bias: d.bias }
}
