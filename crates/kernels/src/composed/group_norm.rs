//! Group normalisation in Burn's operations.

use super::elementwise::sigmoid;
use super::elementwise::{add_channel_bias, concat_channels, split_channels, sum_pixels};
use crate::ops::{GroupNormSpec, NormActivation, primitive, tensor};
use crate::{Backend, GroupNormExtra, GroupNormGradients, GroupNormOperands, GroupNormOutput};
use burn::tensor::{Tensor, TensorMetadata, ops::FloatTensor};

/// Scale and offset of every image and channel, `[n or 1, c, 1]`: `gamma (1 + scale)` and
/// `beta (1 + scale) + shift`.
fn modulation<B: Backend>(affine: &GroupNormOperands<B>) -> (Tensor<B, 3>, Tensor<B, 3>) {
    let gamma: Tensor<B, 1> = tensor(affine.gamma.clone());
    let beta: Tensor<B, 1> = tensor(affine.beta.clone());
    let [c] = gamma.dims();
    let (gamma, beta) = (gamma.reshape([1, c, 1]), beta.reshape([1, c, 1]));
    match &affine.extra {
        GroupNormExtra::ScaleShift(scale, shift) => {
            let (scale, shift): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(scale.clone()), tensor(shift.clone()));
            let [n, _] = scale.dims();
            let scale = scale.reshape([n, c, 1]) + 1.0;
            (gamma * scale.clone(), beta * scale + shift.reshape([n, c, 1]))
        }
        _ => (gamma, beta),
    }
}

/// What is normalised: `x` with bias or skip.
fn whole<B: Backend>(x: FloatTensor<B>, extra: &GroupNormExtra<B>) -> Tensor<B, 4> {
    tensor(match extra {
        GroupNormExtra::Bias(bias) => add_channel_bias::<B>(x, bias.clone()),
        GroupNormExtra::Skip(skip) => concat_channels::<B>(x, skip.clone()),
        GroupNormExtra::None | GroupNormExtra::ScaleShift(..) => x,
    })
}

pub(crate) fn group_norm<B: Backend>(
    x: FloatTensor<B>,
    affine: GroupNormOperands<B>,
    spec: GroupNormSpec,
) -> GroupNormOutput<B> {
    let x = whole::<B>(x, &affine.extra);
    let [n, c, h, w] = x.dims();
    let groups: Tensor<B, 3> = x.reshape([n, spec.groups, c / spec.groups * h * w]);
    let mean = groups.clone().mean_dim(2);
    let centred = groups - mean.clone();
    let rstd = (centred.clone().square().mean_dim(2) + spec.eps).sqrt().recip();
    let (scale, offset) = modulation(&affine);
    let z = (centred * rstd.clone()).reshape([n, c, h * w]) * scale + offset;
    let y = match spec.activation {
        NormActivation::None => z,
        NormActivation::Silu => z.clone() * sigmoid(z),
    };
    GroupNormOutput {
        y: primitive(y.reshape([n, c, h, w])),
        mean: primitive(mean.reshape([n, spec.groups])),
        rstd: primitive(rstd.reshape([n, spec.groups])),
    }
}

pub(crate) fn group_norm_backward<B: Backend>(
    grad: FloatTensor<B>,
    accumulate: [Option<FloatTensor<B>>; 2],
    x: FloatTensor<B>,
    [mean, rstd]: [FloatTensor<B>; 2],
    affine: GroupNormOperands<B>,
    spec: GroupNormSpec,
) -> GroupNormGradients<B> {
    let first = x.shape()[1];
    let (x, grad): (Tensor<B, 4>, Tensor<B, 4>) = (whole::<B>(x, &affine.extra), tensor(grad));
    let (mean, rstd): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(mean), tensor(rstd));
    let [n, c, h, w] = x.dims();
    let grouped = [n, spec.groups, c / spec.groups * h * w];
    let pixels = [n, c, h * w];
    let rstd = rstd.reshape([n, spec.groups, 1]);
    let normed: Tensor<B, 3> = (x.reshape(grouped) - mean.reshape([n, spec.groups, 1])) * rstd.clone();
    let normed = normed.reshape(pixels);
    let (scale, offset) = modulation(&affine);
    let mut dz: Tensor<B, 3> = grad.reshape(pixels);
    if spec.activation == NormActivation::Silu {
        let z = normed.clone() * scale.clone() + offset;
        let s = sigmoid(z.clone());
        dz = dz * s.clone() * (z * (s.neg() + 1.0) + 1.0);
    }
    // Sums over the pixels, [n, c]: the gradients of the effective scale and offset.
    let d_offset: Tensor<B, 2> = dz.clone().sum_dim(2).reshape([n, c]);
    let d_scale: Tensor<B, 2> = (dz.clone() * normed.clone()).sum_dim(2).reshape([n, c]);
    let d_normed = (dz * scale).reshape(grouped);
    let normed = normed.reshape(grouped);
    let mut dx = d_normed.clone() - d_normed.clone().mean_dim(2) - normed.clone() * (d_normed * normed).mean_dim(2);
    dx = dx * rstd;
    let dx = primitive::<B, 4>(dx.reshape([n, c, h, w]));
    let (gamma, beta, scale_shift) = affine_gradients(&affine, d_scale, d_offset);
    let plus = |d: FloatTensor<B>, other: Option<FloatTensor<B>>| match other {
        Some(other) => B::float_add(d, other),
        None => d,
    };
    let [for_x, for_skip] = accumulate;
    let (x, extra) = match affine.extra {
        GroupNormExtra::Bias(_) => (dx.clone(), GroupNormExtra::Bias(sum_pixels::<B>(dx))),
        GroupNormExtra::Skip(_) => {
            let [x, skip] = split_channels::<B>(dx, first);
            (x, GroupNormExtra::Skip(plus(skip, for_skip)))
        }
        GroupNormExtra::None | GroupNormExtra::ScaleShift(..) => (dx, scale_shift),
    };
    GroupNormGradients { x: plus(x, for_x), gamma, beta, extra }
}

/// Gradients of `gamma`, `beta` and scale and shift, if any, from those of the effective scale and offset, `[n, c]`.
fn affine_gradients<B: Backend>(
    affine: &GroupNormOperands<B>,
    d_scale: Tensor<B, 2>,
    d_offset: Tensor<B, 2>,
) -> (FloatTensor<B>, FloatTensor<B>, GroupNormExtra<B>) {
    let [_, c] = d_scale.dims();
    let sum = |x: Tensor<B, 2>| primitive(x.sum_dim(0).reshape([c]));
    let GroupNormExtra::ScaleShift(scale, _) = &affine.extra else {
        return (sum(d_scale), sum(d_offset), GroupNormExtra::None);
    };
    let one_plus = tensor::<B, 2>(scale.clone()) + 1.0;
    let gamma = tensor::<B, 1>(affine.gamma.clone()).reshape([1, c]);
    let beta = tensor::<B, 1>(affine.beta.clone()).reshape([1, c]);
    let d_of_scale = d_scale.clone() * gamma + d_offset.clone() * beta;
    (
        sum(d_scale * one_plus.clone()),
        sum(d_offset.clone() * one_plus),
        GroupNormExtra::ScaleShift(primitive(d_of_scale), primitive(d_offset)),
    )
}
