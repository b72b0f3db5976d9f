//! Group normalisation and the convolution behind it.

use super::bridge::{HostTensor, read_option};
use super::filters;
use super::group_norm::{Operands, gradients, sizes};
use crate::ops::{Conv2dGeometry, GroupNormSpec};
use crate::precision::in_bf16;
use crate::{GroupNormOutput, NormConvGradients, NormConvOperands};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{self as cpu, Conv2d, NormConv, Statistics, fresh, winograd::Filters};
use std::borrow::Cow;

/// Sizes, where both are to be computed together: where Winograd's algorithm pays, and the images have more values than the weights, as
/// the caches are full of weights otherwise (measured: 256 channels of 8×8 pixels, 16 images). Follows from the sizes alone, as the bits
/// of the gradient depend on it. In bf16 always.
fn together<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &T,
    with: &NormConvOperands<B>,
    spec: GroupNormSpec,
) -> Option<NormConv> {
    let (shape, norm) = (x.shape(), sizes(x, &with.norm.extra, spec));
    let k = with.weight.shape()[0];
    let pays = in_bf16(norm.c, k) || norm.n * norm.hw > 9 * k && cpu::is_winograd(norm.c, k);
    pays.then_some(NormConv { norm, k, h: shape[2], w: shape[3] })
}

/// The convolution by itself.
fn convolution(s: &NormConv) -> Conv2d {
    let Conv2dGeometry { stride, padding } = Conv2dGeometry::SAME_3X3;
    Conv2d { n: s.norm.n, c: s.norm.c, k: s.k, h: s.h, w: s.w, side: 3, stride, padding }
}

/// `None` also where the two are to be computed one after the other.
pub(super) fn norm_conv2d<T: HostTensor + Clone + Send + 'static, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    with: &NormConvOperands<B>,
    spec: GroupNormSpec,
) -> Option<GroupNormOutput<B>> {
    let s = together(x, with, spec)?;
    let operands = Operands::read(x, &with.norm)?;
    let (weight, bias, residual) = (with.weight.read()?, with.bias.read()?, read_option(with.residual.as_ref())?);
    // A copy of the values has no address to know the weight by.
    let in_bf16 = in_bf16(s.norm.c, s.k);
    let kept = match &weight {
        Cow::Borrowed(values) if !in_bf16 => {
            filters::kept(&convolution(&s), &with.weight, values).map(|(_, filters)| filters)
        }
        _ => None,
    };
    let compute = |filters: &Filters| {
        fresh::norm_conv(&s, operands.input(), operands.affine(), filters, Some(&bias), residual.as_deref())
    };
    let [y, mean, rstd] = match &kept {
        _ if in_bf16 => {
            let (input, affine) = (operands.input(), operands.affine());
            fresh::norm_conv_bf16(&s, input, affine, &weight, Some(&bias), residual.as_deref())
        }
        Some(filters) => compute(filters),
        None => Filters::with(s.tile(), s.k, s.norm.c, &weight, compute),
    };
    let statistics = Shape::new([s.norm.n, s.norm.groups]);
    Some(GroupNormOutput {
        y: T::build(y, Shape::new([s.norm.n, s.k, s.h, s.w])),
        mean: T::build(mean, statistics.clone()),
        rstd: T::build(rstd, statistics),
    })
}

pub(super) fn norm_conv2d_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    grad: &FloatTensor<B>,
    accumulate: &[Option<FloatTensor<B>>; 2],
    x: &FloatTensor<B>,
    [mean, rstd]: &[FloatTensor<B>; 2],
    with: &NormConvOperands<B>,
    spec: GroupNormSpec,
) -> Option<NormConvGradients<B>> {
    let s = together(x, with, spec)?;
    let (operands, weight, dy) = (Operands::read(x, &with.norm)?, with.weight.read()?, grad.read()?);
    let (mean, rstd) = (mean.read()?, rstd.read()?);
    let add = [read_option(accumulate[0].as_ref())?, read_option(accumulate[1].as_ref())?];
    let add = [add[0].as_deref(), add[1].as_deref()];
    let statistics = Statistics { mean: &mean, rstd: &rstd };
    let (input, affine) = (operands.input(), operands.affine());
    let backward = if in_bf16(s.norm.c, s.k) { fresh::norm_conv_bf16_backward } else { fresh::norm_conv_backward };
    let (norm, dw, db) = backward(&s, input, statistics, affine, &weight, &dy, add);
    Some(NormConvGradients {
        norm: gradients(&s.norm, x, &with.norm, &operands, norm),
        weight: T::build(dw, with.weight.shape()),
        bias: T::build(db, Shape::new([s.k])),
    })
}
