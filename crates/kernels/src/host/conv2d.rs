//! Convolutions.

use super::bridge::{HostTensor, read_option};
use super::filters;
use crate::ops::Conv2dGeometry;
use crate::precision::{in_bf16, on_host};
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{self as cpu, Conv2d, fresh};
use std::borrow::Cow;

fn sizes<T: HostTensor>(x: &T, weight: &T, geometry: Conv2dGeometry) -> Conv2d {
    let (x, weight) = (x.shape(), weight.shape());
    Conv2d {
        n: x[0],
        c: x[1],
        k: weight[0],
        h: x[2],
        w: x[3],
        side: weight[2],
        stride: geometry.stride,
        padding: geometry.padding,
    }
}

pub(super) fn conv2d<T: HostTensor + Clone + Send + 'static>(
    x: &T,
    weight: &T,
    bias: Option<&T>,
    residual: Option<&T>,
    geometry: Conv2dGeometry,
) -> Option<T> {
    let s = sizes(x, weight, geometry);
    let (x, values) = (x.read()?, weight.read()?);
    let (bias, residual) = (read_option(bias)?, read_option(residual)?);
    let (bias, residual) = (bias.as_deref(), residual.as_deref());
    // A copy of the values has no address to know the weight by.
    let in_bf16 = in_bf16(s.c, s.k);
    let kept = match &values {
        Cow::Borrowed(values) if !in_bf16 => filters::kept(&s, weight, values),
        _ => None,
    };
    let y = match &kept {
        Some((s, filters)) => fresh::conv3x3_filtered(s, &x, filters, bias, residual),
        None => on_host(|| fresh::conv2d(&s, &x, &values, bias, residual)),
    };
    let (h, w) = s.output_size();
    Some(T::build(y, Shape::new([s.n, s.k, h, w])))
}

pub(super) fn conv2d_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    accumulate: Option<&FloatTensor<B>>,
    geometry: Conv2dGeometry,
    wanted: WantedGradients,
) -> Option<AffineGradients<B>> {
    let s = sizes(x, weight, geometry);
    let (values, w, dy) = (x.read()?, weight.read()?, grad.read()?);
    let add = read_option(accumulate)?;
    if wanted.x && wanted.weight {
        let mut bias = wanted.bias.then(|| vec![0.0; s.k]);
        let [dx, dw] = on_host(|| fresh::conv2d_backward(&s, &values, &dy, &w, add.as_deref(), bias.as_deref_mut()));
        return Some(AffineGradients {
            x: Some(T::build(dx, x.shape())),
            weight: Some(T::build(dw, weight.shape())),
            bias: bias.map(|bias| T::build(bias, Shape::new([s.k]))),
        });
    }
    let input = || on_host(|| fresh::conv2d_backward_input(&s, &dy, &w, add.as_deref()));
    let dx = wanted.x.then(|| T::build(input(), x.shape()));
    let mut db = wanted.bias.then(|| vec![0.0; s.k]);
    let dw = if wanted.weight {
        let dw = on_host(|| fresh::conv2d_backward_weight(&s, &values, &dy, db.as_deref_mut()));
        Some(T::build(dw, weight.shape()))
    } else {
        cpu::conv2d_backward_weight(&s, &values, &dy, None, db.as_deref_mut());
        None
    };
    let bias = db.map(|db| T::build(db, Shape::new([s.k])));
    Some(AffineGradients { x: dx, weight: dw, bias })
}
