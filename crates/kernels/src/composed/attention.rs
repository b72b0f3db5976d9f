//! Attention by Burn's matrix products.

use crate::ops::{primitive, tensor};
use burn::tensor::{Tensor, TensorMetadata, activation::softmax, backend::Backend, ops::FloatTensor};

/// `softmax(q kᵀ / sqrt(d))`, `[batch, heads, n, m]`.
fn probabilities<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, _, d] = q.dims();
    softmax(q.matmul(k.swap_dims(2, 3)) / (d as f64).sqrt(), 3)
}

pub(crate) fn attention<B: Backend>(q: FloatTensor<B>, k: FloatTensor<B>, v: FloatTensor<B>) -> FloatTensor<B> {
    primitive(probabilities::<B>(tensor(q), tensor(k)).matmul(tensor(v)))
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
    let dv = p.clone().swap_dims(2, 3).matmul(grad.clone());
    let dp = grad.matmul(v.swap_dims(2, 3));
    let mean = (p.clone() * dp.clone()).sum_dim(3);
    let ds = p * (dp - mean) / (d as f64).sqrt();
    let dq = ds.clone().matmul(k);
    let dk = ds.swap_dims(2, 3).matmul(q);
    [primitive(dq), primitive(dk), primitive(dv)]
}

/// Images `[n, heads d, h, w]` to tokens `[n, heads, h w, d]`.
fn tokens<B: Backend>(x: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let x: Tensor<B, 4> = tensor(x);
    let [n, c, h, w] = x.dims();
    primitive(x.reshape([n, heads, c / heads, h * w]).swap_dims(2, 3))
}

/// The way back.
fn image<B: Backend>(x: FloatTensor<B>, shape: [usize; 4]) -> FloatTensor<B> {
    let x: Tensor<B, 4> = tensor(x);
    primitive(x.swap_dims(2, 3).reshape(shape))
}

pub(crate) fn spatial_attention<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    heads: usize,
) -> FloatTensor<B> {
    let shape = q.shape().dims();
    let [q, k, v] = [q, k, v].map(|x| tokens::<B>(x, heads));
    image::<B>(attention::<B>(q, k, v), shape)
}

pub(crate) fn spatial_attention_backward<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    grad: FloatTensor<B>,
    heads: usize,
) -> [FloatTensor<B>; 3] {
    let shape = q.shape().dims();
    let [q, k, v, grad] = [q, k, v, grad].map(|x| tokens::<B>(x, heads));
    attention_backward::<B>(q, k, v, grad).map(|d| image::<B>(d, shape))
}
