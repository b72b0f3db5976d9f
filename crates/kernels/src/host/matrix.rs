//! Affine maps and attention.

use super::bridge::{HostTensor, read_option};
use crate::cpu::{self, Attention, AttentionLayout, filled};
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};

/// Rows, inputs, outputs.
fn sizes<T: HostTensor>(x: &T, weight: &T) -> [usize; 3] {
    let (x, weight) = (x.shape(), weight.shape());
    [x[0], weight[1], weight[0]]
}

pub(super) fn linear<T: HostTensor>(x: &T, weight: &T, bias: Option<&T>) -> Option<T> {
    let s @ [rows, _, d_out] = sizes(x, weight);
    let (x, weight, bias) = (x.read()?, weight.read()?, read_option(bias)?);
    let y = filled(rows * d_out, |y| cpu::linear(s, &x, &weight, bias.as_deref(), y));
    Some(T::build(y, Shape::new([rows, d_out])))
}

pub(super) fn linear_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    wanted: WantedGradients,
) -> Option<AffineGradients<B>> {
    let s @ [_, _, d_out] = sizes(x, weight);
    let (values, w, dy) = (x.read()?, weight.read()?, grad.read()?);
    let dx = || T::build(filled(values.len(), |dx| cpu::linear_backward_input(s, &dy, &w, dx)), x.shape());
    let dw = || T::build(filled(w.len(), |dw| cpu::linear_backward_weight(s, &values, &dy, dw)), weight.shape());
    let db = || T::build(filled(d_out, |db| cpu::sum_rows(&dy, d_out, db)), Shape::new([d_out]));
    Some(AffineGradients { x: wanted.x.then(dx), weight: wanted.weight.then(dw), bias: wanted.bias.then(db) })
}

/// Sizes and the shape of the result.
fn attention_sizes<T: HostTensor>(q: &T, k: &T, v: &T) -> (Attention, Shape) {
    let (q, k, v) = (q.shape(), k.shape(), v.shape());
    let s =
        Attention { heads: q[0] * q[1], n: q[2], m: k[2], d: q[3], d_v: v[3], layout: AttentionLayout::TokensFirst };
    (s, Shape::new([q[0], q[1], q[2], v[3]]))
}

/// Attention over the pixels of images `[n, heads d, h, w]`.
fn spatial_sizes<T: HostTensor>(q: &T, heads: usize) -> Attention {
    let shape = q.shape();
    let (d, pixels) = (shape[1] / heads, shape[2] * shape[3]);
    Attention { heads: shape[0] * heads, n: pixels, m: pixels, d, d_v: d, layout: AttentionLayout::ChannelsFirst }
}

fn run<T: HostTensor>(s: &Attention, [q, k, v]: [&T; 3], shape: Shape) -> Option<T> {
    if s.m == 0 || s.d == 0 {
        return None;
    }
    let (q, k, v) = (q.read()?, k.read()?, v.read()?);
    let y = filled(s.heads * s.n * s.d_v, |y| cpu::attention(s, &q, &k, &v, y));
    Some(T::build(y, shape))
}

fn run_backward<T: HostTensor>(s: &Attention, qkv: [&T; 3], grad: &T) -> Option<[T; 3]> {
    if s.m == 0 || s.d == 0 {
        return None;
    }
    let [q, k, v] = qkv;
    let (q, k, v, dy) = (q.read()?, k.read()?, v.read()?, grad.read()?);
    let mut results = [Vec::new(), Vec::new(), Vec::new()];
    let [dq, dk, dv] = &mut results;
    *dq = filled(q.len(), |dq| {
        *dk = filled(k.len(), |dk| {
            *dv = filled(v.len(), |dv| cpu::attention_backward(s, [&q, &k, &v], &dy, [dq, dk, dv]));
        });
    });
    let [dq, dk, dv] = results;
    let shapes = qkv.map(|x| x.shape());
    let [a, b, c] = shapes;
    Some([T::build(dq, a), T::build(dk, b), T::build(dv, c)])
}

pub(super) fn attention<T: HostTensor>(q: &T, k: &T, v: &T) -> Option<T> {
    let (s, shape) = attention_sizes(q, k, v);
    run(&s, [q, k, v], shape)
}

pub(super) fn attention_backward<T: HostTensor>(q: &T, k: &T, v: &T, grad: &T) -> Option<[T; 3]> {
    let (s, _) = attention_sizes(q, k, v);
    run_backward(&s, [q, k, v], grad)
}

pub(super) fn spatial_attention<T: HostTensor>(q: &T, k: &T, v: &T, heads: usize) -> Option<T> {
    run(&spatial_sizes(q, heads), [q, k, v], q.shape())
}

pub(super) fn spatial_attention_backward<T: HostTensor>(qkv: [&T; 3], grad: &T, heads: usize) -> Option<[T; 3]> {
    run_backward(&spatial_sizes(qkv[0], heads), qkv, grad)
}
