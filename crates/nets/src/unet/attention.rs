//! Self-attention over pixels.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::{self as kernels, Backend, Conv2dGeometry};

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
        let normed = match &self.group_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let attended = kernels::spatial_self_attention(self.queries_keys_values(normed), self.heads);
        let sum = self.to_out[0].forward_pixels_add(attended, x);
        if self.output_scale == 1.0 { sum } else { sum / self.output_scale }
    }

    /// The three maps as one: their input is read once, and its gradient is one sum.
    fn queries_keys_values(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let maps = [&self.to_q, &self.to_k, &self.to_v];
        let weight = Tensor::cat(maps.map(|map| map.weight.val()).to_vec(), 0);
        let bias = Tensor::cat(maps.map(|map| map.bias.val()).to_vec(), 0);
        let [d_out, d_in] = weight.dims();
        kernels::conv2d(x, weight.reshape([d_out, d_in, 1, 1]), Some(bias), Conv2dGeometry::POINTWISE)
    }
}
