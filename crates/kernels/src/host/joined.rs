//! The 1×1 convolution of channels in two tensors.

use super::bridge::{HostTensor, read_option};
use crate::precision::on_host;
use crate::{JoinedGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{self as cpu, JoinedConv1x1, fresh};

fn sizes<T: HostTensor>([a, b]: [&T; 2], weight: &T) -> JoinedConv1x1 {
    let shape = a.shape();
    JoinedConv1x1 { n: shape[0], c: [shape[1], b.shape()[1]], k: weight.shape()[0], pixels: shape[2] * shape[3] }
}

pub(super) fn conv1x1<T: HostTensor>([a, b]: [&T; 2], weight: &T, bias: Option<&T>) -> Option<T> {
    let (s, shape) = (sizes([a, b], weight), a.shape());
    let (x, skip, weight, bias) = (a.read()?, b.read()?, weight.read()?, read_option(bias)?);
    let y = on_host(|| fresh::conv1x1_joined(&s, [&x, &skip], &weight, bias.as_deref()));
    Some(T::build(y, Shape::new([s.n, s.k, shape[2], shape[3]])))
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
    let add = [add[0].as_deref(), add[1].as_deref()];
    let mut db = wanted.bias.then(|| vec![0.0; s.k]);
    let values = [&*values[0], &*values[1]];
    if wanted.x && wanted.weight {
        let ([first, second], dw) =
            on_host(|| fresh::conv1x1_joined_backward(&s, values, &dy, &w, add, db.as_deref_mut()));
        let dx = [T::build(first, x[0].shape()), T::build(second, x[1].shape())];
        let bias = db.map(|db| T::build(db, Shape::new([s.k])));
        return Some(JoinedGradients { x: Some(dx), weight: Some(T::build(dw, weight.shape())), bias });
    }
    let dx = wanted.x.then(|| {
        let [first, second] = on_host(|| fresh::conv1x1_joined_backward_input(&s, &dy, &w, add));
        [T::build(first, x[0].shape()), T::build(second, x[1].shape())]
    });
    let dw = if wanted.weight {
        let dw = on_host(|| fresh::conv1x1_joined_backward_weight(&s, values, &dy, db.as_deref_mut()));
        Some(T::build(dw, weight.shape()))
    } else {
        cpu::conv1x1_joined_backward_weight(&s, values, &dy, None, db.as_deref_mut());
        None
    };
    let bias = db.map(|db| T::build(db, Shape::new([s.k])));
    Some(JoinedGradients { x: dx, weight: dw, bias })
}
