//! The 1×1 convolution of channels in two tensors: the sum of two convolutions, each with its columns of the weight.

use super::bridge::{HostTensor, read_option};
use crate::cpu::{self, Conv2d, filled};
use crate::{JoinedGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};

/// Sizes of both convolutions.
fn sizes<T: HostTensor>(x: [&T; 2], weight: &T) -> [Conv2d; 2] {
    let k = weight.shape()[0];
    x.map(|x| {
        let shape = x.shape();
        let (n, c, h, w) = (shape[0], shape[1], shape[2], shape[3]);
        Conv2d { n, c, k, h, w, side: 1, stride: 1, padding: [0; 4] }
    })
}

/// The columns of `weight: [k, c1 + c2]` that belong to either input.
fn columns(weight: &[f32], [a, b]: &[Conv2d; 2]) -> [Vec<f32>; 2] {
    let mut parts = [a, b].map(|s| Vec::with_capacity(s.weight_len()));
    if a.c + b.c > 0 {
        for row in weight.chunks_exact(a.c + b.c) {
            let (first, second) = row.split_at(a.c);
            parts[0].extend_from_slice(first);
            parts[1].extend_from_slice(second);
        }
    }
    parts
}

pub(super) fn conv1x1<T: HostTensor>([a, b]: [&T; 2], weight: &T, bias: Option<&T>) -> Option<T> {
    let s = sizes([a, b], weight);
    let (x, y, weight, bias) = (a.read()?, b.read()?, weight.read()?, read_option(bias)?);
    let [first, second] = columns(&weight, &s);
    let half = filled(s[0].output_len(), |half| cpu::conv2d(&s[0], &x, &first, bias.as_deref(), None, half));
    let sum = filled(half.len(), |sum| cpu::conv2d(&s[1], &y, &second, None, Some(&half), sum));
    Some(T::build(sum, Shape::new([s[0].n, s[0].k, s[0].h, s[0].w])))
}

pub(super) fn conv1x1_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &[FloatTensor<B>; 2],
    weight: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    accumulate: &[Option<FloatTensor<B>>; 2],
    wanted: WantedGradients,
) -> Option<JoinedGradients<B>> {
    let s = sizes([&x[0], &x[1]], weight);
    let (values, w, dy) = ([x[0].read()?, x[1].read()?], weight.read()?, grad.read()?);
    let add = [read_option(accumulate[0].as_ref())?, read_option(accumulate[1].as_ref())?];
    let dx = wanted.x.then(|| {
        let parts = columns(&w, &s);
        [0, 1].map(|i| {
            let (s, w, add) = (&s[i], &parts[i], add[i].as_deref());
            T::build(filled(s.input_len(), |dx| cpu::conv2d_backward_input(s, &dy, w, add, dx)), x[i].shape())
        })
    });
    let mut db = wanted.bias.then(|| vec![0.0; s[0].k]);
    let dw = wanted.weight.then(|| {
        let [first, second] = [0, 1].map(|i| {
            filled(s[i].weight_len(), |dw| cpu::conv2d_backward_weight(&s[i], &values[i], &dy, Some(dw), None))
        });
        let mut dw = Vec::with_capacity(w.len());
        for k in 0..s[0].k {
            dw.extend_from_slice(&first[k * s[0].c..][..s[0].c]);
            dw.extend_from_slice(&second[k * s[1].c..][..s[1].c]);
        }
        T::build(dw, weight.shape())
    });
    if let Some(db) = &mut db {
        cpu::conv2d_backward_weight(&s[0], &values[0], &dy, None, Some(db));
    }
    let bias = db.map(|db| T::build(db, Shape::new([s[0].k])));
    Some(JoinedGradients { x: dx, weight: dw, bias })
}
