//! Upsampling and the convolution behind it.

use super::bridge::{HostTensor, read_option};
use crate::precision::in_bf16;
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{self as cpu, fresh, winograd::UpsampleConv3x3};

/// Sizes, where both are to be computed together: where Winograd's algorithm pays for the convolution (then it takes 53 to 69 % of
/// the time of the two one after the other, measured with 64 and 256 channels of 4×4 to 16×16 pixels). Not in bf16.
fn together<T: HostTensor>(x: &T, weight: &T) -> Option<UpsampleConv3x3> {
    let (x, k) = (x.shape(), weight.shape()[0]);
    (!in_bf16(x[1], k) && cpu::is_winograd(x[1], k)).then_some(UpsampleConv3x3 {
        n: x[0],
        c: x[1],
        k,
        h: x[2],
        w: x[3],
    })
}

/// `None` also where the two are to be computed one after the other.
pub(super) fn upsample_conv2d<T: HostTensor>(x: &T, weight: &T, bias: Option<&T>) -> Option<T> {
    let s = together(x, weight)?;
    let (x, weight, bias) = (x.read()?, weight.read()?, read_option(bias)?);
    let y = fresh::upsample_conv3x3(&s, &x, &weight, bias.as_deref());
    Some(T::build(y, Shape::new([s.n, s.k, 2 * s.h, 2 * s.w])))
}

/// As above; also `None` where only the bias' gradient is wanted. Those of input and weight are computed together.
pub(super) fn upsample_conv2d_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    accumulate: Option<&FloatTensor<B>>,
    wanted: WantedGradients,
) -> Option<AffineGradients<B>> {
    let s = together(x, weight).filter(|_| wanted.x || wanted.weight)?;
    let (values, w, dy, add) = (x.read()?, weight.read()?, grad.read()?, read_option(accumulate)?);
    let [dx, dw, db] = fresh::upsample_conv3x3_backward(&s, &values, &dy, &w, add.as_deref());
    Some(AffineGradients {
        x: wanted.x.then(|| T::build(dx, x.shape())),
        weight: wanted.weight.then(|| T::build(dw, weight.shape())),
        bias: wanted.bias.then(|| T::build(db, Shape::new([s.k]))),
    })
}
