//! The attention block of a U-Net: norm, multi-head self-attention over pixels, residual sum.

use super::{primitive, tensor};
use crate::{AttentionBlockOperands, Backend};
use burn::tensor::Tensor;

/// Parameters of an [`attention_block`]; its result has the channels of its input, `c`, and all heads together have `inner`.
#[derive(Clone, Debug)]
pub struct AttentionBlockParams<B: Backend> {
    /// Scale and offset of the norm, `[c]` both; none where there is no norm.
    pub norm: Option<[Tensor<B, 1>; 2]>,
    /// Weights of the maps to queries, keys and values, `[inner, c]`, and of the output, `[c, inner]`.
    pub weight: [Tensor<B, 2>; 4],
    /// Their biases, `[inner]` three times and `[c]`.
    pub bias: [Tensor<B, 1>; 4],
}

/// The constants of an [`attention_block`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionBlockSpec {
    /// Heads; divides the channels of all heads together.
    pub heads: usize,
    /// Groups of the norm; divides the number of channels. Without meaning where there is no norm.
    pub groups: usize,
    /// Added to the variance, positive. Without meaning where there is no norm.
    pub eps: f64,
}

/// Norm, self-attention of all pixels with one or several heads, output map, and the sum with the input.
///
/// The CPU backends compute it image by image where that is faster, so that what lies between input and output stays in the
/// caches. Of a single head at least as wide as the input they merge the maps of queries and keys, and those of values and output,
/// which leaves two of four maps of all pixels and is the same but for rounding; the gradient of the keys' bias is then exactly zero.
///
/// # Shapes
/// `x` and the result: `[n, c, h, w]`; parameters as [`AttentionBlockParams`] says.
///
/// # Formula
/// `x + W_o a + b_o`, where `a` is [`crate::spatial_self_attention`] of `W_q z + b_q`, `W_k z + b_k` and `W_v z + b_v` of every
/// pixel, and `z` is [`crate::group_norm`] of `x` without activation, or `x` itself where there is no norm.
///
/// # Panics
/// If the shapes do not fit together, `heads` does not divide the channels of all heads, or `groups` those of `x`.
pub fn attention_block<B: Backend>(
    x: Tensor<B, 4>,
    params: AttentionBlockParams<B>,
    spec: AttentionBlockSpec,
) -> Tensor<B, 4> {
    let [_, c, _, _] = x.dims();
    let [inner, _] = params.weight[0].dims();
    let weights = params.weight.each_ref().map(Tensor::dims);
    let biases = params.bias.each_ref().map(Tensor::dims);
    assert!(
        weights == [[inner, c], [inner, c], [inner, c], [c, inner]] && biases == [[inner], [inner], [inner], [c]],
        "attention_block: weights are {weights:?} and biases {biases:?}, expected [inner, {c}] three times and [{c}, inner], \
         [inner] three times and [{c}], for an input of {:?}",
        x.dims()
    );
    let AttentionBlockSpec { heads, groups, .. } = spec;
    assert!(
        heads > 0 && inner.is_multiple_of(heads),
        "attention_block: {heads} heads do not divide {inner} channels of queries"
    );
    if let Some([gamma, beta]) = &params.norm {
        assert!(
            gamma.dims() == [c] && beta.dims() == [c],
            "attention_block: gamma is {:?} and beta {:?}, expected [{c}] for an input of {:?}",
            gamma.dims(),
            beta.dims(),
            x.dims()
        );
        assert!(groups > 0 && c.is_multiple_of(groups), "attention_block: {groups} groups do not divide {c} channels");
    }
    let operands = AttentionBlockOperands {
        norm: params.norm.map(|norm| norm.map(primitive)),
        weight: params.weight.map(primitive),
        bias: params.bias.map(primitive),
    };
    tensor(B::fused_attention_block(primitive(x), operands, spec))
}
