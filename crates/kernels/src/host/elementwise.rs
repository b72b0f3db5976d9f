//! Operations that touch every value once.

use super::bridge::HostTensor;
use crate::AdamPrimitives;
use crate::cpu::{self, AdamConstants, filled};
use crate::ops::AdamStep;
use burn::tensor::{Shape, backend::Backend};

pub(super) fn silu<T: HostTensor>(x: &T) -> Option<T> {
    let v = x.read()?;
    let y = filled(v.len(), |y| cpu::silu(&v, y));
    Some(T::build(y, x.shape()))
}

pub(super) fn silu_backward<T: HostTensor>(x: &T, grad: &T) -> Option<T> {
    let (v, dy) = (x.read()?, grad.read()?);
    let dx = filled(v.len(), |dx| cpu::silu_backward(&v, &dy, dx));
    Some(T::build(dx, x.shape()))
}

pub(super) fn add_channel_bias<T: HostTensor>(x: &T, bias: &T) -> Option<T> {
    let (v, b) = (x.read()?, bias.read()?);
    let y = filled(v.len(), |y| cpu::add_channel_bias(&v, &b, y));
    Some(T::build(y, x.shape()))
}

pub(super) fn sum_pixels<T: HostTensor>(x: &T) -> Option<T> {
    let (v, shape) = (x.read()?, x.shape());
    let sums = filled(shape[0] * shape[1], |sums| cpu::sum_pixels(&v, sums));
    Some(T::build(sums, Shape::new([shape[0], shape[1]])))
}

pub(super) fn upsample_nearest_2x<T: HostTensor>(x: &T) -> Option<T> {
    let (v, shape) = (x.read()?, x.shape());
    let (h, w) = (shape[2], shape[3]);
    let y = filled(4 * v.len(), |y| cpu::upsample_nearest_2x(h, w, &v, y));
    Some(T::build(y, Shape::new([shape[0], shape[1], 2 * h, 2 * w])))
}

pub(super) fn upsample_nearest_2x_backward<T: HostTensor>(grad: &T) -> Option<T> {
    let (dy, shape) = (grad.read()?, grad.shape());
    let (h, w) = (shape[2] / 2, shape[3] / 2);
    let dx = filled(dy.len() / 4, |dx| cpu::upsample_nearest_2x_backward(h, w, &dy, dx));
    Some(T::build(dx, Shape::new([shape[0], shape[1], h, w])))
}

pub(super) fn concat_channels<T: HostTensor>(a: &T, b: &T) -> Option<T> {
    let (x, y, shape) = (a.read()?, b.read()?, a.shape());
    let all = filled(x.len() + y.len(), |all| cpu::concat(shape[0], &x, &y, all));
    let channels = shape[1] + b.shape()[1];
    Some(T::build(all, Shape::new([shape[0], channels, shape[2], shape[3]])))
}

pub(super) fn split_channels<T: HostTensor>(x: &T, channels: usize) -> Option<[T; 2]> {
    let (v, shape) = (x.read()?, x.shape());
    let pixels = shape[2] * shape[3];
    let part = |from: usize, channels: usize| {
        let values = filled(shape[0] * channels * pixels, |part| cpu::part(shape[0], &v, from * pixels, part));
        T::build(values, Shape::new([shape[0], channels, shape[2], shape[3]]))
    };
    Some([part(0, channels), part(channels, shape[1] - channels)])
}

pub(super) fn sum_of_squares<T: HostTensor>(x: &T) -> Option<f64> {
    Some(cpu::sum_of_squares(&x.read()?))
}

/// Gives the tensors back where they are not f32.
pub(super) fn adam_step<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    grad: &T,
    old: AdamPrimitives<B>,
    by: &AdamStep,
) -> Result<AdamPrimitives<B>, AdamPrimitives<B>> {
    let all_f32 = {
        let states = [&old.param, &old.m, &old.v];
        states.into_iter().chain(&old.ema).all(|x| x.read().is_some())
    };
    let Some(values) = grad.read().filter(|_| all_f32) else {
        return Err(old);
    };
    let shape = old.param.shape();
    let take = |x: T| x.take().unwrap_or_else(|_| unreachable!("the dtype was checked"));
    let (mut param, mut m, mut v) = (take(old.param), take(old.m), take(old.v));
    let mut ema = old.ema.map(take);
    let averaged = ema.as_deref_mut().filter(|_| by.ema_decay.is_some());
    cpu::adam(&constants(by), &values, &mut param, &mut m, &mut v, averaged);
    let build = |x: Vec<f32>| T::build(x, shape.clone());
    Ok(AdamPrimitives { param: build(param), m: build(m), v: build(v), ema: ema.map(build) })
}

/// Computed in f64 and rounded once, as PyTorch's scalars are.
fn constants(by: &AdamStep) -> AdamConstants {
    let correction = |beta: f64| 1.0 - beta.powf(by.step as f64);
    let ema = by.ema_decay.unwrap_or(0.0);
    AdamConstants {
        grad_scale: by.grad_scale as f32,
        beta_1: by.beta_1 as f32,
        one_minus_beta_1: (1.0 - by.beta_1) as f32,
        beta_2: by.beta_2 as f32,
        one_minus_beta_2: (1.0 - by.beta_2) as f32,
        step_size: (by.lr / correction(by.beta_1)) as f32,
        root: (1.0 / correction(by.beta_2).sqrt()) as f32,
        epsilon: by.epsilon as f32,
        keep: (1.0 - by.lr * by.weight_decay) as f32,
        ema: ema as f32,
        one_minus_ema: (1.0 - ema) as f32,
    }
}
