//! Group normalisation, Wu & He (2018), arXiv:1803.08494, with the activation that follows it in U-Nets.

use super::{primitive, tensor};
use crate::{Backend, GroupNormAffine};
use burn::tensor::Tensor;

/// What is applied after the normalisation, in the same pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormActivation {
    /// Nothing.
    None,
    /// SiLU, `z · sigmoid(z)`.
    Silu,
}

/// The constants of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormSpec {
    /// Number of groups; divides the number of channels.
    pub groups: usize,
    /// Added to the variance, positive.
    pub eps: f64,
    /// What follows.
    pub activation: NormActivation,
}

/// Group normalisation with a learned scale and offset a channel, then `activation`.
///
/// # Shapes
/// `x` and the result: `[n, c, h, w]`; `gamma`, `beta`: `[c]`.
///
/// # Formula
/// `activation((x - mean) / sqrt(variance + eps) · gamma + beta)`; mean and (biased) variance are those of the
/// `c / groups` consecutive channels of one image that form a group.
///
/// # Panics
/// If the shapes do not fit together or `groups` does not divide `c`.
pub fn group_norm<B: Backend>(
    x: Tensor<B, 4>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    groups: usize,
    eps: f64,
    activation: NormActivation,
) -> Tensor<B, 4> {
    check(&x, &gamma, &beta, groups);
    let affine = GroupNormAffine { gamma: primitive(gamma), beta: primitive(beta), scale_shift: None };
    let spec = GroupNormSpec { groups, eps, activation };
    tensor(B::fused_group_norm(primitive(x), affine, spec))
}

/// Group normalisation modulated by an embedding (`resnet_time_scale_shift = "scale_shift"`; the AdaGN of
/// Dhariwal & Nichol (2021), arXiv:2105.05233, §3).
///
/// # Shapes
/// `x` and the result: `[n, c, h, w]`; `gamma`, `beta`: `[c]`; `scale`, `shift`: `[n, c]`.
///
/// # Formula
/// `activation(norm(x) · (1 + scale) + shift)` with `norm` as in [`group_norm`], `gamma` and `beta` included.
///
/// # Panics
/// If the shapes do not fit together or `groups` does not divide `c`.
#[allow(clippy::too_many_arguments, reason = "four tensors and three constants define the operation")]
pub fn group_norm_scale_shift<B: Backend>(
    x: Tensor<B, 4>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    scale: Tensor<B, 2>,
    shift: Tensor<B, 2>,
    groups: usize,
    eps: f64,
    activation: NormActivation,
) -> Tensor<B, 4> {
    check(&x, &gamma, &beta, groups);
    let [n, c, _, _] = x.dims();
    assert!(
        scale.dims() == [n, c] && shift.dims() == [n, c],
        "group_norm: scale is {:?} and shift {:?}, expected [{n}, {c}] for an input of {:?}",
        scale.dims(),
        shift.dims(),
        x.dims()
    );
    let affine = GroupNormAffine {
        gamma: primitive(gamma),
        beta: primitive(beta),
        scale_shift: Some((primitive(scale), primitive(shift))),
    };
    let spec = GroupNormSpec { groups, eps, activation };
    tensor(B::fused_group_norm(primitive(x), affine, spec))
}

fn check<B: Backend>(x: &Tensor<B, 4>, gamma: &Tensor<B, 1>, beta: &Tensor<B, 1>, groups: usize) {
    let [_, c, _, _] = x.dims();
    assert!(
        gamma.dims() == [c] && beta.dims() == [c],
        "group_norm: gamma is {:?} and beta {:?}, expected [{c}] for an input of {:?}",
        gamma.dims(),
        beta.dims(),
        x.dims()
    );
    assert!(groups > 0 && c.is_multiple_of(groups), "group_norm: {groups} groups do not divide {c} channels");
}
