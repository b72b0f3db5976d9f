//! The operations in Burn's autodiff graph: a forward pass of the inner backend, and a step that calls the inner
//! backend's gradient.
//!
//! Two things are done with care for memory traffic. The tensors that a gradient needs are kept as handles, never
//! copied. And where a gradient of the same input is there already (a residual connection), it is handed to the
//! kernel, which adds it while writing its own result.

mod attention;
mod attention_block;
mod conv2d;
mod elementwise;
mod group_norm;
mod joined;
mod leaf;
mod linear;
mod norm_conv;
mod upsample_conv;

use crate::backend::Backend;
use crate::operands::{AdamPrimitives, AttentionBlockOperands, GroupNormOperands, NormConvOperands};
use crate::ops::{AdamStep, AttentionBlockSpec, Conv2dGeometry, GroupNormSpec};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::Ops;
use burn::tensor::backend::AutodiffBackend as _;
use burn::tensor::ops::FloatTensor;

impl<B: Backend, C: CheckpointStrategy> Backend for Autodiff<B, C> {
    fn is_on_host() -> bool {
        B::is_on_host()
    }

    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::silu::<B, C>(x)
    }

    fn fused_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        residual: Option<FloatTensor<Self>>,
        geometry: Conv2dGeometry,
    ) -> FloatTensor<Self> {
        conv2d::conv2d::<B, C>(x, weight, bias, residual, geometry)
    }

    fn fused_conv1x1_joined(
        x: [FloatTensor<Self>; 2],
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        joined::conv1x1::<B, C>(x, weight, bias)
    }

    fn fused_group_norm(x: FloatTensor<Self>, with: GroupNormOperands<Self>, spec: GroupNormSpec) -> FloatTensor<Self> {
        group_norm::group_norm::<B, C>(x, with, spec)
    }

    fn fused_norm_conv2d(x: FloatTensor<Self>, with: NormConvOperands<Self>, spec: GroupNormSpec) -> FloatTensor<Self> {
        norm_conv::norm_conv2d::<B, C>(x, with, spec)
    }

    fn fused_add_channel_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::add_channel_bias::<B, C>(x, bias)
    }

    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        linear::linear::<B, C>(x, weight, bias)
    }

    fn fused_attention(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        attention::attention::<B, C>(q, k, v)
    }

    fn fused_spatial_self_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        attention::spatial_self_attention::<B, C>(qkv, heads)
    }

    fn fused_attention_block(
        x: FloatTensor<Self>,
        with: AttentionBlockOperands<Self>,
        spec: AttentionBlockSpec,
    ) -> FloatTensor<Self> {
        attention_block::attention_block::<B, C>(x, with, spec)
    }

    fn fused_upsample_nearest_2x(x: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::upsample_nearest_2x::<B, C>(x)
    }

    fn fused_upsample_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        upsample_conv::upsample_conv2d::<B, C>(x, weight, bias)
    }

    fn fused_concat_channels(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::concat_channels::<B, C>(a, b)
    }

    fn fused_adam_steps(
        all: Vec<(FloatTensor<Self>, AdamPrimitives<Self>)>,
        by: &AdamStep,
    ) -> Vec<AdamPrimitives<Self>> {
        let all = all.into_iter().map(|(grad, old)| (grad.primitive, old.map(|x| x.primitive)));
        let new: Vec<AdamPrimitives<B>> = B::fused_adam_steps(all.collect(), by);
        new.into_iter().map(|new| new.map(Self::from_inner)).collect()
    }

    fn fused_sum_of_squares(tensors: Vec<FloatTensor<Self>>) -> f64 {
        B::fused_sum_of_squares(tensors.into_iter().map(|x| x.primitive).collect())
    }

    fn with_node_of(value: FloatTensor<Self>, leaf: FloatTensor<Self>) -> FloatTensor<Self> {
        leaf::with_node_of::<B, C>(value, leaf)
    }
}

/// Takes the gradient that parent `index` of a step has been given so far, if any, out of `grads`; the step then
/// registers the sum. `any` is some tensor of the backend: Burn looks gradients up by a tensor, of which only the
/// node counts.
fn take_registered<B: Backend, S, const N: usize>(
    grads: &mut Gradients,
    ops: &Ops<S, N>,
    index: usize,
    any: &FloatTensor<B>,
) -> Option<FloatTensor<B>> {
    let mut key = Autodiff::<B>::from_inner(any.clone());
    key.node = ops.parents[index].clone()?;
    grads.remove::<B>(&key)
}

/// Registers `grad` for parent `index`, if it is tracked: a sum with what is there already is the backend's, which may share it out to
/// threads and needs no memory for it, where Burn's own would be neither.
fn register<B: Backend, S, const N: usize>(grads: &mut Gradients, ops: &Ops<S, N>, index: usize, grad: FloatTensor<B>) {
    if let Some(parent) = &ops.parents[index] {
        let sum = match take_registered::<B, S, N>(grads, ops, index, &grad) {
            Some(other) => B::fused_add(other, grad),
            None => grad,
        };
        grads.register::<B>(parent.id, sum);
    }
}
