//! Elementwise operations, and such that only move values.

use super::*;

#[derive(Clone)]
struct Silu;
impl Op for Silu {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(silu(image(&x[0], [2, 3, 5, 7], true).exp()))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let x = image(&x[0], [2, 3, 5, 7], true).exp();
        flat(x.clone() / (x.neg().exp() + 1.0))
    }
}

#[test]
fn silu_matches() {
    check(Silu);
}

struct ChannelBias;
impl Op for ChannelBias {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7, 6]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let bias = x[1].clone().reshape([3, 2]).transpose();
        flat(add_channel_bias(image(&x[0], [2, 3, 5, 7], true), bias))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let bias = x[1].clone().reshape([3, 2]).transpose();
        flat(image(&x[0], [2, 3, 5, 7], true) + bias.reshape([2, 3, 1, 1]))
    }
}

/// Every pixel four times.
pub(super) fn upsampled<B: Burn>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let wide = x.reshape([n * c, h, w, 1]).repeat(&[1, 1, 1, 2]);
    wide.reshape([n * c, h, 1, 2 * w]).repeat(&[1, 1, 2, 1]).reshape([n, c, 2 * h, 2 * w])
}

struct Upsample;
impl Op for Upsample {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 17]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(upsample_nearest_2x(image(&x[0], [2, 3, 5, 17], false)))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(upsampled(image(&x[0], [2, 3, 5, 17], false)))
    }
}

struct Concat;
impl Op for Concat {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7, 2 * 4 * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], [2, 3, 5, 7], true), image(&x[1], [2, 4, 5, 7], false));
        flat(concat_channels(a, b))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], [2, 3, 5, 7], true), image(&x[1], [2, 4, 5, 7], false));
        flat(Tensor::cat(vec![a, b], 1))
    }
}

#[test]
fn data_movement_matches() {
    check(ChannelBias);
    check(Upsample);
    check(Concat);
}
