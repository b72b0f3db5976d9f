//! Operations that touch every value once.

use crate::ops::{AdamStep, primitive, tensor};
use crate::{AdamPrimitives, Backend};
use burn::tensor::{Tensor, Transaction, backend, ops::FloatTensor, s};

/// `1 / (1 + exp(-x))` in the dtype of `x`; Burn's own is computed in f32 on some backends. Where `exp` overflows
/// the result is 0, as it should be.
pub(crate) fn sigmoid<B: backend::Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    (x.neg().exp() + 1.0).recip()
}

/// [`sigmoid`] of a tensor of any rank.
fn sigmoid_primitive<B: backend::Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let exp = B::float_exp(B::float_neg(x));
    B::float_recip(B::float_add_scalar(exp, 1.0.into()))
}

pub(crate) fn silu<B: backend::Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x.clone(), sigmoid_primitive::<B>(x))
}

/// `grad · s · (1 + x (1 - s))` with `s = sigmoid(x)`.
pub(crate) fn silu_backward<B: backend::Backend>(x: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let s = sigmoid_primitive::<B>(x.clone());
    let rest = B::float_add_scalar(B::float_neg(s.clone()), 1.0.into());
    let slope = B::float_add_scalar(B::float_mul(x, rest), 1.0.into());
    B::float_mul(grad, B::float_mul(s, slope))
}

pub(crate) fn add<B: backend::Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add(a, b)
}

pub(crate) fn add_channel_bias<B: backend::Backend>(x: FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
    let (x, bias): (Tensor<B, 4>, Tensor<B, 2>) = (tensor(x), tensor(bias));
    let [n, c] = bias.dims();
    primitive(x + bias.reshape([n, c, 1, 1]))
}

pub(crate) fn sum_pixels<B: backend::Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let x: Tensor<B, 4> = tensor(x);
    let [n, c, h, w] = x.dims();
    primitive(x.reshape([n, c, h * w]).sum_dim(2).reshape([n, c]))
}

pub(crate) fn upsample_nearest_2x<B: backend::Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let x: Tensor<B, 4> = tensor(x);
    let [n, c, h, w] = x.dims();
    let x: Tensor<B, 5> = x.reshape([n * c, h, 1, w, 1]).expand([n * c, h, 2, w, 2]);
    primitive(x.reshape([n, c, 2 * h, 2 * w]))
}

pub(crate) fn upsample_nearest_2x_backward<B: backend::Backend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let grad: Tensor<B, 4> = tensor(grad);
    let [n, c, h, w] = grad.dims();
    let blocks: Tensor<B, 5> = grad.reshape([n * c, h / 2, 2, w / 2, 2]);
    primitive(blocks.sum_dim(4).sum_dim(2).reshape([n, c, h / 2, w / 2]))
}

pub(crate) fn concat_channels<B: backend::Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    primitive(Tensor::<B, 4>::cat(vec![tensor(a), tensor(b)], 1))
}

pub(crate) fn split_channels<B: backend::Backend>(x: FloatTensor<B>, channels: usize) -> [FloatTensor<B>; 2] {
    let x: Tensor<B, 4> = tensor(x);
    let [_, c, _, _] = x.dims();
    let a = x.clone().slice(s![.., 0..channels, .., ..]);
    let b = x.slice(s![.., channels..c, .., ..]);
    [primitive(a), primitive(b)]
}

pub(crate) fn adam_steps<B: Backend>(
    all: Vec<(FloatTensor<B>, AdamPrimitives<B>)>,
    by: &AdamStep,
) -> Vec<AdamPrimitives<B>> {
    all.into_iter().map(|(grad, old)| adam_step(grad, old, by)).collect()
}

fn adam_step<B: Backend>(grad: FloatTensor<B>, old: AdamPrimitives<B>, by: &AdamStep) -> AdamPrimitives<B> {
    let grad: Tensor<B, 1> = tensor::<B, 1>(grad) * by.grad_scale;
    let (param, m, v): (Tensor<B, 1>, Tensor<B, 1>, Tensor<B, 1>) = (tensor(old.param), tensor(old.m), tensor(old.v));
    let m = m * by.beta_1 + grad.clone() * (1.0 - by.beta_1);
    let v = v * by.beta_2 + grad.square() * (1.0 - by.beta_2);
    let corrected_lr = by.lr / (1.0 - by.beta_1.powf(by.step as f64));
    let root = (1.0 - by.beta_2.powf(by.step as f64)).sqrt();
    let update = m.clone() * corrected_lr / (v.clone().sqrt() / root + by.epsilon);
    // What is taken off is summed first: beside 1 it would be lost, as `1 - 1e-8` is 1 in f32.
    let param = param.clone() - (param * (by.lr * by.weight_decay) + update);
    let ema = match (old.ema, by.ema_decay) {
        (Some(ema), Some(decay)) => {
            // In this form the shares of both add up to exactly 1, whatever `1 - decay` is rounded to.
            let ema: Tensor<B, 1> = tensor(ema);
            Some(primitive(ema.clone() + (param.clone() - ema) * (1.0 - decay)))
        }
        (ema, _) => ema,
    };
    AdamPrimitives { param: primitive(param), m: primitive(m), v: primitive(v), ema }
}

/// The tensors' sums are read together: a device is waited for once.
pub(crate) fn sum_of_squares<B: backend::Backend>(tensors: Vec<FloatTensor<B>>) -> f64 {
    // CubeCL panics where there is nothing to be read.
    if tensors.is_empty() {
        return 0.0;
    }
    let sums = tensors.into_iter().map(|x| tensor::<B, 1>(x).square().sum());
    let read = sums.fold(Transaction::default(), Transaction::register).execute();
    // An empty sum of Rust's is -0.
    read.iter().map(|sum| sum.iter::<f64>().sum::<f64>()).sum::<f64>() + 0.0
}
