//! Operations that touch every value once.

use super::bridge::HostTensor;
use burn::tensor::Shape;
use sfumato_cpu::{self as cpu, fresh};

pub(super) fn silu<T: HostTensor>(x: &T) -> Option<T> {
    let v = x.read()?;
    Some(T::build(fresh::silu(&v), x.shape()))
}

pub(super) fn silu_backward<T: HostTensor>(x: &T, grad: &T) -> Option<T> {
    let (v, dy) = (x.read()?, grad.read()?);
    Some(T::build(fresh::silu_backward(&v, &dy), x.shape()))
}

/// In the memory of `a`, where nobody else holds it; gives both back unless they are f32 of one shape.
pub(super) fn add<T: HostTensor>(mut a: T, b: T) -> Result<T, [T; 2]> {
    if a.shape() == b.shape()
        && let (Some(sum), Some(values)) = (a.write(), b.read())
    {
        cpu::add(sum, &values);
        return Ok(a);
    }
    Err([a, b])
}

pub(super) fn add_channel_bias<T: HostTensor>(x: &T, bias: &T) -> Option<T> {
    let (v, b) = (x.read()?, bias.read()?);
    Some(T::build(fresh::add_channel_bias(&v, &b), x.shape()))
}

pub(super) fn sum_pixels<T: HostTensor>(x: &T) -> Option<T> {
    let (v, shape) = (x.read()?, x.shape());
    let sums = fresh::sum_pixels(&v, shape[0] * shape[1]);
    Some(T::build(sums, Shape::new([shape[0], shape[1]])))
}

pub(super) fn upsample_nearest_2x<T: HostTensor>(x: &T) -> Option<T> {
    let (v, shape) = (x.read()?, x.shape());
    let (h, w) = (shape[2], shape[3]);
    let y = fresh::upsample_nearest_2x(h, w, &v);
    Some(T::build(y, Shape::new([shape[0], shape[1], 2 * h, 2 * w])))
}

pub(super) fn upsample_nearest_2x_backward<T: HostTensor>(grad: &T) -> Option<T> {
    let (dy, shape) = (grad.read()?, grad.shape());
    let (h, w) = (shape[2] / 2, shape[3] / 2);
    let dx = fresh::upsample_nearest_2x_backward(h, w, &dy);
    Some(T::build(dx, Shape::new([shape[0], shape[1], h, w])))
}

pub(super) fn concat_channels<T: HostTensor>(a: &T, b: &T) -> Option<T> {
    let (x, y, shape) = (a.read()?, b.read()?, a.shape());
    let all = fresh::concat(shape[0], &x, &y);
    let channels = shape[1] + b.shape()[1];
    Some(T::build(all, Shape::new([shape[0], channels, shape[2], shape[3]])))
}

pub(super) fn split_channels<T: HostTensor>(x: &T, channels: usize) -> Option<[T; 2]> {
    let (v, shape) = (x.read()?, x.shape());
    let pixels = shape[2] * shape[3];
    let part = |from: usize, channels: usize| {
        let values = fresh::part(shape[0], &v, from * pixels, channels * pixels);
        T::build(values, Shape::new([shape[0], channels, shape[2], shape[3]]))
    };
    Some([part(0, channels), part(channels, shape[1] - channels)])
}
