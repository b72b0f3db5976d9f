//! Group normalisation in Burn's operations.

use super::elementwise::sigmoid;
use crate::ops::{GroupNormSpec, NormActivation, primitive, tensor};
use crate::{Backend, GroupNormAffine, GroupNormGradients, GroupNormOutput};
use burn::tensor::{Tensor, ops::FloatTensor};

/// Scale and offset of every image and channel, `[n or 1, c, 1]`: `gamma (1 + scale)` and
/// `beta (1 + scale) + shift`.
fn modulation<B: Backend>(affine: &GroupNormAffine<B>) -> (Tensor<B, 3>, Tensor<B, 3>) {
    let gamma: Tensor<B, 1> = tensor(affine.gamma.clone());
    let beta: Tensor<B, 1> = tensor(affine.beta.clone());
    let [c] = gamma.dims();
    let (gamma, beta) = (gamma.reshape([1, c, 1]), beta.reshape([1, c, 1]));
    match &affine.scale_shift {
        None => (gamma, beta),
        Some((scale, shift)) => {
            let (scale, shift): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(scale.clone()), tensor(shift.clone()));
            let [n, _] = scale.dims();
            let scale = scale.reshape([n, c, 1]) + 1.0;
            (gamma * scale.clone(), beta * scale + shift.reshape([n, c, 1]))
        }
    }
}

pub(crate) fn group_norm<B: Backend>(
    x: FloatTensor<B>,
    affine: GroupNormAffine<B>,
    spec: GroupNormSpec,
) -> GroupNormOutput<B> {
    let x: Tensor<B, 4> = tensor(x);
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
    accumulate: Option<FloatTensor<B>>,
    x: FloatTensor<B>,
    mean: FloatTensor<B>,
    rstd: FloatTensor<B>,
    affine: GroupNormAffine<B>,
    spec: GroupNormSpec,
) -> GroupNormGradients<B> {
    let (x, grad): (Tensor<B, 4>, Tensor<B, 4>) = (tensor(x), tensor(grad));
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
    let mut dx: Tensor<B, 4> = dx.reshape([n, c, h, w]);
    if let Some(other) = accumulate {
        dx = dx + tensor(other);
    }
    let (gamma, beta, scale_shift) = affine_gradients(&affine, d_scale, d_offset);
    GroupNormGradients { x: primitive(dx), gamma, beta, scale_shift }
}

type Pair<B> = Option<(FloatTensor<B>, FloatTensor<B>)>;

/// Gradients of `gamma`, `beta` and `(scale, shift)` from those of the effective scale and offset, `[n, c]`.
fn affine_gradients<B: Backend>(
    affine: &GroupNormAffine<B>,
    d_scale: Tensor<B, 2>,
    d_offset: Tensor<B, 2>,
) -> (FloatTensor<B>, FloatTensor<B>, Pair<B>) {
    let [_, c] = d_scale.dims();
    let sum = |x: Tensor<B, 2>| primitive(x.sum_dim(0).reshape([c]));
    let Some((scale, _)) = &affine.scale_shift else {
        return (sum(d_scale), sum(d_offset), None);
    };
    let one_plus = tensor::<B, 2>(scale.clone()) + 1.0;
    let gamma = tensor::<B, 1>(affine.gamma.clone()).reshape([1, c]);
    let beta = tensor::<B, 1>(affine.beta.clone()).reshape([1, c]);
    let d_of_scale = d_scale.clone() * gamma + d_offset.clone() * beta;
    (
        sum(d_scale * one_plus.clone()),
        sum(d_offset.clone() * one_plus),
        Some((primitive(d_of_scale), primitive(d_offset))),
    )
}
