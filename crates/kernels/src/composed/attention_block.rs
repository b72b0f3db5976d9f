//! The attention block of the operations that it consists of.

use crate::ops::{AttentionBlockSpec, Conv2dGeometry, GroupNormSpec, NormActivation, primitive, tensor};
use crate::{
    AttentionBlockGradients, AttentionBlockOperands, Backend, GroupNormExtra, GroupNormOperands, WantedGradients,
};
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

/// Computes everything between input and output again.
pub(crate) fn attention_block_backward<B: Backend>(
    x: FloatTensor<B>,
    operands: AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
    grad: FloatTensor<B>,
) -> AttentionBlockGradients<B> {
    const ALL: WantedGradients = WantedGradients { x: true, weight: true, bias: true };
    const WANTED: &str = "all gradients are wanted";
    let point = Conv2dGeometry::POINTWISE;
    let norm = operands.norm().map(|norm| (norm.clone(), B::fused_group_norm_with_stats(x.clone(), norm, spec.norm())));
    let normed = norm.as_ref().map_or_else(|| x.clone(), |(_, norm)| norm.y.clone());
    let [weight, bias] = operands.joined();
    let qkv = B::fused_conv2d(normed.clone(), weight.clone(), Some(bias), None, point);
    let attended = B::fused_spatial_self_attention(qkv.clone(), spec.heads);
    let out = B::fused_conv2d_backward(attended, operands.out(), grad.clone(), None, point, ALL);
    let d_qkv = B::fused_spatial_self_attention_backward(qkv, out.x.expect(WANTED), spec.heads);
    let add = norm.is_none().then(|| grad.clone());
    let maps = B::fused_conv2d_backward(normed, weight, d_qkv, add, point, ALL);
    let d_normed = maps.x.expect(WANTED);
    let (dx, norm) = match norm {
        Some((norm, forward)) => {
            let statistics = [forward.mean, forward.rstd];
            let d = B::fused_group_norm_backward(d_normed, [Some(grad), None], x, statistics, norm, spec.norm());
            (d.x, Some([d.gamma, d.beta]))
        }
        None => (d_normed, None),
    };
    let (d_weight, d_out): (Tensor<B, 4>, Tensor<B, 4>) =
        (tensor(maps.weight.expect(WANTED)), tensor(out.weight.expect(WANTED)));
    let d_bias: Tensor<B, 1> = tensor(maps.bias.expect(WANTED));
    let [c, inner, _, _] = d_out.dims();
    let weight = |i: usize| primitive(d_weight.clone().narrow(0, i * inner, inner).reshape([inner, c]));
    let bias = |i: usize| primitive(d_bias.clone().narrow(0, i * inner, inner));
    AttentionBlockGradients {
        x: dx,
        norm,
        weight: [weight(0), weight(1), weight(2), primitive(d_out.reshape([c, inner]))],
        bias: [bias(0), bias(1), bias(2), out.bias.expect(WANTED)],
    }
}
