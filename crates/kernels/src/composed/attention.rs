//! Attention by Burn's matrix products.

use super::matmul::matmul;
use crate::Backend;
use crate::ops::{primitive, tensor};
use burn::tensor::{Tensor, TensorMetadata, activation::softmax, ops::FloatTensor};

/// `softmax(q kᵀ / sqrt(d))`, `[batch, heads, n, m]`.
fn probabilities<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, _, d] = q.dims();
    softmax(matmul(q, k.swap_dims(2, 3)) / (d as f64).sqrt(), 3)
}

pub(crate) fn attention<B: Backend>(q: FloatTensor<B>, k: FloatTensor<B>, v: FloatTensor<B>) -> FloatTensor<B> {
    primitive(matmul::<B, 4>(probabilities::<B>(tensor(q), tensor(k)), tensor(v)))
}

pub(crate) fn attention_backward<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let (q, k): (Tensor<B, 4>, Tensor<B, 4>) = (tensor(q), tensor(k));
    let (v, grad): (Tensor<B, 4>, Tensor<B, 4>) = (tensor(v), tensor(grad));
    let [_, _, _, d] = q.dims();
    let p = probabilities(q.clone(), k.clone());
    let dv = matmul(p.clone().swap_dims(2, 3), grad.clone());
    let dp = matmul(grad, v.swap_dims(2, 3));
    let mean = (p.clone() * dp.clone()).sum_dim(3);
    let ds = p * (dp - mean) / (d as f64).sqrt();
    let dq = matmul(ds.clone(), k);
    let dk = matmul(ds.swap_dims(2, 3), q);
    [primitive(dq), primitive(dk), primitive(dv)]
}

/// Images `[n, parts heads d, h, w]` to tokens `[n, heads, h w, d]` of each part.
fn tokens<B: Backend, const PARTS: usize>(x: FloatTensor<B>, heads: usize) -> [FloatTensor<B>; PARTS] {
    let x: Tensor<B, 4> = tensor(x);
    let [n, c, h, w] = x.dims();
    let part = c / PARTS;
    std::array::from_fn(|i| {
        let x = x.clone().narrow(1, i * part, part);
        primitive(x.reshape([n, heads, part / heads, h * w]).swap_dims(2, 3))
    })
}

/// The way back.
fn image<B: Backend>(x: FloatTensor<B>, [n, c, h, w]: [usize; 4]) -> Tensor<B, 4> {
    let x: Tensor<B, 4> = tensor(x);
    x.swap_dims(2, 3).reshape([n, c, h, w])
}

pub(crate) fn spatial_self_attention<B: Backend>(qkv: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [n, c, h, w] = qkv.shape().dims();
    let [q, k, v] = tokens::<B, 3>(qkv, heads);
    primitive(image::<B>(attention::<B>(q, k, v), [n, c / 3, h, w]))
}

pub(crate) fn spatial_self_attention_backward<B: Backend>(
    qkv: FloatTensor<B>,
    grad: FloatTensor<B>,
    heads: usize,
) -> FloatTensor<B> {
    let shape = grad.shape().dims();
    let [q, k, v] = tokens::<B, 3>(qkv, heads);
    let [grad] = tokens::<B, 1>(grad, heads);
    let parts = attention_backward::<B>(q, k, v, grad).map(|d| image::<B>(d, shape));
    primitive(Tensor::cat(parts.to_vec(), 1))
}
