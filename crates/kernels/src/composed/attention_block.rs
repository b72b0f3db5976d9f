//! The attention block of the operations that it consists of.

use crate::ops::{AttentionBlockSpec, Conv2dGeometry, GroupNormSpec, NormActivation, primitive, tensor};
use crate::{AttentionBlockOperands, Backend, GroupNormExtra, GroupNormOperands};
use burn::tensor::{Tensor, ops::FloatTensor};

impl AttentionBlockSpec {
    fn norm(&self) -> GroupNormSpec {
        GroupNormSpec { groups: self.groups, eps: self.eps, activation: NormActivation::None }
    }
}

impl<B: Backend> AttentionBlockOperands<B> {
    fn norm(&self) -> Option<GroupNormOperands<B>> {
        let [gamma, beta] = self.norm.clone()?;
        Some(GroupNormOperands { gamma, beta, extra: GroupNormExtra::None })
    }

    /// The maps to queries, keys and values as one kernel and bias: their input is read once, and its gradient is one sum.
    fn joined(&self) -> [FloatTensor<B>; 2] {
        let [q, k, v, _] = self.weight.clone().map(tensor::<B, 2>);
        let weight = Tensor::cat(vec![q, k, v], 0);
        let [q, k, v, _] = self.bias.clone().map(tensor::<B, 1>);
        [primitive(kernel::<B>(weight)), primitive(Tensor::cat(vec![q, k, v], 0))]
    }

    fn out(&self) -> FloatTensor<B> {
        primitive(kernel::<B>(tensor(self.weight[3].clone())))
    }
}

/// A weight as a 1×1 kernel.
fn kernel<B: Backend>(weight: Tensor<B, 2>) -> Tensor<B, 4> {
    let [d_out, d_in] = weight.dims();
    weight.reshape([d_out, d_in, 1, 1])
}

pub(crate) fn attention_block<B: Backend>(
    x: FloatTensor<B>,
    operands: AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
) -> FloatTensor<B> {
    let normed = match operands.norm() {
        Some(norm) => B::fused_group_norm(x.clone(), norm, spec.norm()),
        None => x.clone(),
    };
    let [weight, bias] = operands.joined();
    let qkv = B::fused_conv2d(normed, weight, Some(bias), None, Conv2dGeometry::POINTWISE);
    let attended = B::fused_spatial_self_attention(qkv, spec.heads);
    let [_, _, _, bias] = operands.bias.clone();
    B::fused_conv2d(attended, operands.out(), Some(bias), Some(x), Conv2dGeometry::POINTWISE)
}
