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

/// Self-attention over the pixels of images, with the heads' channels one after the other: [`attention`] without the
/// transpositions, `softmax(qᵀ k / sqrt(d)) vᵀ` for every image and head. With `q`, `k`, `v` from 1×1 convolutions the
/// whole attention block stays in the layout of its input.
///
/// # Shapes
/// `q`, `k`, `v` and the result: `[n, heads · d, h, w]`.
///
/// # Panics
/// If the shapes differ or `heads` does not divide the channels.
pub fn spatial_attention<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>, heads: usize) -> Tensor<B, 4> {
    let shape @ [_, c, _, _] = q.dims();
    assert!(
        k.dims() == shape && v.dims() == shape,
        "spatial_attention: q is {shape:?}, k {:?}, v {:?}; expected one shape",
        k.dims(),
        v.dims()
    );
    assert!(heads > 0 && c.is_multiple_of(heads), "spatial_attention: {heads} heads do not divide {c} channels");
    tensor(B::fused_spatial_attention(primitive(q), primitive(k), primitive(v), heads))
}
