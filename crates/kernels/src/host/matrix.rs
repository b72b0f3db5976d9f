//! Affine maps and attention.

use super::bridge::{HostTensor, read_option};
use crate::precision::on_host;
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{Attention, SelfAttention, fresh};

/// Rows, inputs, outputs.
fn sizes<T: HostTensor>(x: &T, weight: &T) -> [usize; 3] {
    let (x, weight) = (x.shape(), weight.shape());
    [x[0], weight[1], weight[0]]
}

pub(super) fn linear<T: HostTensor>(x: &T, weight: &T, bias: Option<&T>) -> Option<T> {
    let s @ [rows, _, d_out] = sizes(x, weight);
    let (x, weight, bias) = (x.read()?, weight.read()?, read_option(bias)?);
    Some(T::build(fresh::linear(s, &x, &weight, bias.as_deref()), Shape::new([rows, d_out])))
}

pub(super) fn linear_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    wanted: WantedGradients,
) -> Option<AffineGradients<B>> {
    let s @ [_, _, d_out] = sizes(x, weight);
    let (values, w, dy) = (x.read()?, weight.read()?, grad.read()?);
    let dx = || T::build(fresh::linear_backward_input(s, &dy, &w), x.shape());
    let dw = || T::build(fresh::linear_backward_weight(s, &values, &dy), weight.shape());
    let db = || T::build(fresh::sum_rows(&dy, d_out), Shape::new([d_out]));
    Some(AffineGradients { x: wanted.x.then(dx), weight: wanted.weight.then(dw), bias: wanted.bias.then(db) })
}

/// Sizes, where there is something to attend to.
fn attention_sizes<T: HostTensor>(q: &T, k: &T, v: &T) -> Option<Attention> {
    let (q, k, v) = (q.shape(), k.shape(), v.shape());
    (k[2] > 0 && q[3] > 0).then_some(Attention { heads: q[0] * q[1], n: q[2], m: k[2], d: q[3], d_v: v[3] })
}

pub(super) fn attention<T: HostTensor>(q: &T, k: &T, v: &T) -> Option<T> {
    let s = attention_sizes(q, k, v)?;
    let (qs, ks, vs) = (q.read()?, k.read()?, v.read()?);
    let y = fresh::attention(&s, [&qs, &ks, &vs]);
    let shape = q.shape();
    Some(T::build(y, Shape::new([shape[0], shape[1], s.n, s.d_v])))
}

pub(super) fn attention_backward<T: HostTensor>(q: &T, k: &T, v: &T, grad: &T) -> Option<[T; 3]> {
    let s = attention_sizes(q, k, v)?;
    let (qs, ks, vs, dy) = (q.read()?, k.read()?, v.read()?, grad.read()?);
    let [dq, dk, dv] = fresh::attention_backward(&s, [&qs, &ks, &vs], &dy);
    Some([T::build(dq, q.shape()), T::build(dk, k.shape()), T::build(dv, v.shape())])
}

fn self_attention_sizes<T: HostTensor>(qkv: &T, heads: usize) -> Option<SelfAttention> {
    let shape = qkv.shape();
    let (d, tokens) = (shape[1] / heads / 3, shape[2] * shape[3]);
    (tokens > 0 && d > 0).then_some(SelfAttention { images: shape[0], heads, tokens, d })
}

pub(super) fn self_attention<T: HostTensor>(qkv: &T, heads: usize) -> Option<T> {
    let s = self_attention_sizes(qkv, heads)?;
    let (values, shape) = (qkv.read()?, qkv.shape());
    let y = on_host(|| fresh::self_attention(&s, &values));
    Some(T::build(y, Shape::new([shape[0], shape[1] / 3, shape[2], shape[3]])))
}

pub(super) fn self_attention_backward<T: HostTensor>(qkv: &T, grad: &T, heads: usize) -> Option<T> {
    let s = self_attention_sizes(qkv, heads)?;
    let (values, dy) = (qkv.read()?, grad.read()?);
    let dqkv = on_host(|| fresh::self_attention_backward(&s, &values, &dy));
    Some(T::build(dqkv, qkv.shape()))
}
