//! Scaled dot-product attention, Vaswani et al. (2017), arXiv:1706.03762, Eq. 1.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// `softmax(q · kᵀ / sqrt(d)) · v` for every image and head.
///
/// # Shapes
/// `q: [batch, heads, n, d]`, `k: [batch, heads, m, d]`, `v: [batch, heads, m, d_v]`;
/// result `[batch, heads, n, d_v]`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn attention<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>) -> Tensor<B, 4> {
    let [batch, heads, _, d] = q.dims();
    let [_, _, m, _] = k.dims();
    assert!(
        k.dims() == [batch, heads, m, d] && v.dims()[..3] == [batch, heads, m],
        "attention: q is {:?}, k {:?}, v {:?}; expected [batch, heads, n, d], [batch, heads, m, d], \
         [batch, heads, m, d_v]",
        q.dims(),
        k.dims(),
        v.dims()
    );
    tensor(B::fused_attention(primitive(q), primitive(k), primitive(v)))
}

/// Self-attention over the pixels of images: [`attention`] without the transpositions, `softmax(qᵀ k / sqrt(d)) vᵀ` for
/// every image and head. With queries, keys and values from one 1×1 convolution the whole attention block stays in the
/// layout of its input.
///
/// # Shapes
/// `qkv: [n, 3 · heads · d, h, w]`: the channels of all heads' queries, then keys, then values; the result is
/// `[n, heads · d, h, w]`.
///
/// # Panics
/// If the channels are not three times a multiple of `heads`.
pub fn spatial_self_attention<B: Backend>(qkv: Tensor<B, 4>, heads: usize) -> Tensor<B, 4> {
    let [_, c, _, _] = qkv.dims();
    assert!(
        heads > 0 && c.is_multiple_of(3 * heads),
        "spatial_self_attention: {c} channels are not queries, keys and values of {heads} heads"
    );
    tensor(B::fused_spatial_self_attention(primitive(qkv), heads))
}
