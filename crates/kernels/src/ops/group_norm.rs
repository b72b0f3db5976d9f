//! Group normalisation, Wu & He (2018), arXiv:1803.08494, with the activation that follows it in U-Nets.

use super::{primitive, tensor};
use crate::{Backend, GroupNormExtra, GroupNormOperands};
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
    let [_, c, _, _] = x.dims();
    check(c, &x, &gamma, &beta, groups);
    run(x, gamma, beta, GroupNormExtra::None, GroupNormSpec { groups, eps, activation })
}

/// [`group_norm`] of `x` plus one value for each image and channel ([`crate::add_channel_bias`]), without a pass over memory for the
/// sum: how a time embedding enters a residual block.
///
/// # Shapes
/// `x` and the result: `[n, c, h, w]`; `bias`: `[n, c]`; `gamma`, `beta`: `[c]`.
///
/// # Panics
/// If the shapes do not fit together or `groups` does not divide `c`.
pub fn group_norm_biased<B: Backend>(
    x: Tensor<B, 4>,
    bias: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    groups: usize,
    eps: f64,
    activation: NormActivation,
) -> Tensor<B, 4> {
    let [n, c, _, _] = x.dims();
    check(c, &x, &gamma, &beta, groups);
    assert!(
        bias.dims() == [n, c],
        "group_norm: bias is {:?}, expected [{n}, {c}] for an input of {:?}",
        bias.dims(),
        x.dims()
    );
    run(x, gamma, beta, GroupNormExtra::Bias(primitive(bias)), GroupNormSpec { groups, eps, activation })
}

/// [`group_norm`] of the channels of `x`, then those of `skip` ([`crate::concat_channels`]), without joining them in memory.
///
/// # Shapes
/// `x: [n, c1, h, w]`, `skip: [n, c2, h, w]`; `gamma`, `beta`: `[c1 + c2]`; the result is `[n, c1 + c2, h, w]`.
///
/// # Panics
/// If the shapes do not fit together or `groups` does not divide `c1 + c2`.
pub fn group_norm_joined<B: Backend>(
    [x, skip]: [Tensor<B, 4>; 2],
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    groups: usize,
    eps: f64,
    activation: NormActivation,
) -> Tensor<B, 4> {
    let c = super::concat::channels(&x, &skip);
    check(c, &x, &gamma, &beta, groups);
    run(x, gamma, beta, GroupNormExtra::Skip(primitive(skip)), GroupNormSpec { groups, eps, activation })
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
    let [n, c, _, _] = x.dims();
    check(c, &x, &gamma, &beta, groups);
    assert!(
        scale.dims() == [n, c] && shift.dims() == [n, c],
        "group_norm: scale is {:?} and shift {:?}, expected [{n}, {c}] for an input of {:?}",
        scale.dims(),
        shift.dims(),
        x.dims()
    );
    let extra = GroupNormExtra::ScaleShift(primitive(scale), primitive(shift));
    run(x, gamma, beta, extra, GroupNormSpec { groups, eps, activation })
}

fn run<B: Backend>(
    x: Tensor<B, 4>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    extra: GroupNormExtra<B>,
    spec: GroupNormSpec,
) -> Tensor<B, 4> {
    let operands = GroupNormOperands { gamma: primitive(gamma), beta: primitive(beta), extra };
    tensor(B::fused_group_norm(primitive(x), operands, spec))
}

pub(super) fn check<B: Backend>(c: usize, x: &Tensor<B, 4>, gamma: &Tensor<B, 1>, beta: &Tensor<B, 1>, groups: usize) {
    assert!(
        gamma.dims() == [c] && beta.dims() == [c],
        "group_norm: gamma is {:?} and beta {:?}, expected [{c}] for an input of {:?}",
        gamma.dims(),
        beta.dims(),
        x.dims()
    );
    assert!(groups > 0 && c.is_multiple_of(groups), "group_norm: {groups} groups do not divide {c} channels");
}
