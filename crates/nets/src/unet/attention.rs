//! Self-attention over pixels.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::{self as kernels, AttentionBlockParams, AttentionBlockSpec, Backend};

use crate::{
    layers::{GroupNorm, Linear},
    params::Builder,
};

/// Norm, multi-head self-attention of all pixels, residual sum.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Norm of the input, if there is one.
    pub group_norm: Option<GroupNorm<B>>,
    /// Queries.
    pub to_q: Linear<B>,
    /// Keys.
    pub to_k: Linear<B>,
    /// Values.
    pub to_v: Linear<B>,
    /// Output projection; a list of one because diffusers keeps a dropout beside it.
    pub to_out: Vec<Linear<B>>,
    heads: usize,
    output_scale: f64,
}

/// Shape of an [`Attention`].
#[derive(Clone, Copy, Debug)]
pub(super) struct AttentionSpec {
    pub(super) channels: usize,
    /// Heads, channels of a head; their product may be less than `channels` where it does not divide.
    pub(super) heads: (usize, usize),
    pub(super) groups: Option<usize>,
    pub(super) epsilon: f64,
    pub(super) output_scale: f64,
}

impl<B: Backend> Attention<B> {
    pub(super) fn new(b: &mut Builder<B>, spec: AttentionSpec) -> Self {
        let AttentionSpec { channels, heads: (heads, dim), groups, epsilon, output_scale } = spec;
        let inner = heads * dim;
        let group_norm = groups.map(|groups| b.within("group_norm", |b| GroupNorm::new(b, groups, channels, epsilon)));
        Self {
            group_norm,
            to_q: b.within("to_q", |b| Linear::new(b, channels, inner)),
            to_k: b.within("to_k", |b| Linear::new(b, channels, inner)),
            to_v: b.within("to_v", |b| Linear::new(b, channels, inner)),
            to_out: b.list("to_out", [()], |b, ()| Linear::last(b, inner, channels)),
            heads,
            output_scale,
        }
    }

    /// Attends.
    ///
    /// # Formula
    /// `x + W_o softmax(q kᵀ / √d) v` for each head with `q, k, v` linear in `norm(x)`; divided by the output scale.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let maps = [&self.to_q, &self.to_k, &self.to_v, &self.to_out[0]];
        let params = AttentionBlockParams {
            norm: self.group_norm.as_ref().map(|norm| [norm.weight.val(), norm.bias.val()]),
            weight: maps.map(|map| map.weight.val()),
            bias: maps.map(|map| map.bias.val()),
        };
        let (groups, eps) = self.group_norm.as_ref().map_or((1, 0.0), GroupNorm::constants);
        let sum = kernels::attention_block(x, params, AttentionBlockSpec { heads: self.heads, groups, eps });
        if self.output_scale == 1.0 { sum } else { sum / self.output_scale }
    }
}
