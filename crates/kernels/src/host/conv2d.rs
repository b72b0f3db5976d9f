//! Convolutions.

use super::bridge::{HostTensor, read_option};
use super::filters;
use crate::cpu::{self, Conv2d, filled, winograd::conv3x3_filtered};
use crate::ops::Conv2dGeometry;
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
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
    let kept = match &values {
        Cow::Borrowed(values) => filters::kept(&s, weight, values),
        Cow::Owned(_) => None,
    };
    let y = filled(s.output_len(), |y| match &kept {
        Some((s, filters)) => conv3x3_filtered(s, &x, filters, bias, residual, y),
        None => cpu::conv2d(&s, &x, &values, bias, residual, y),
    });
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
        let mut dw = Vec::new();
        let dx = filled(s.input_len(), |dx| {
            dw = filled(s.weight_len(), |dw| {
                cpu::conv2d_backward(&s, &values, &dy, &w, add.as_deref(), dx, dw, bias.as_deref_mut());
            });
        });
        return Some(AffineGradients {
            x: Some(T::build(dx, x.shape())),
            weight: Some(T::build(dw, weight.shape())),
            bias: bias.map(|bias| T::build(bias, Shape::new([s.k]))),
        });
    }
    let dx = wanted.x.then(|| {
        let dx = filled(s.input_len(), |dx| cpu::conv2d_backward_input(&s, &dy, &w, add.as_deref(), dx));
        T::build(dx, x.shape())
    });
    let mut db = wanted.bias.then(|| vec![0.0; s.k]);
    let dw = if wanted.weight {
        let db = db.as_deref_mut();
        let dw = filled(s.weight_len(), |dw| cpu::conv2d_backward_weight(&s, &values, &dy, Some(dw), db));
        Some(T::build(dw, weight.shape()))
    } else {
        cpu::conv2d_backward_weight(&s, &values, &dy, None, db.as_deref_mut());
        None
    };
    let bias = db.map(|db| T::build(db, Shape::new([s.k])));
    Some(AffineGradients { x: dx, weight: dw, bias })
}
