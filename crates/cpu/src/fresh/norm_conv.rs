//! Normalisation, then convolution.

use super::{NormResults, filled, zeros};
use crate::winograd::Filters;
use crate::{Affine, NormConv, NormConvGradients, NormInput, Statistics};

/// [`norm_conv`](crate::norm_conv()): the result, `[n, k, h, w]`, mean and `rstd`, `[n, groups]`.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or the filters are for other channels.
pub fn norm_conv(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    filters: &Filters,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> [Vec<f32>; 3] {
    s.check_forward(&x, &affine, filters, bias, residual);
    let (mut mean, mut rstd) = (zeros(s.norm.n * s.norm.groups), zeros(s.norm.n * s.norm.groups));
    // SAFETY: the kernel overwrites its output.
    let y = unsafe {
        filled(s.output_len(), |y| {
            crate::norm_conv(s, x, affine, filters, bias, residual, y, [&mut mean[..], &mut rstd[..]]);
        })
    };
    [y, mean, rstd]
}

/// [`norm_conv_backward`](crate::norm_conv_backward): the gradients of the normalisation, of the weight, `[k, c, 3, 3]`, and of the
/// convolution's bias, `[k]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn norm_conv_backward(
    s: &NormConv,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    add: [Option<&[f32]>; 2],
) -> (NormResults, Vec<f32>, Vec<f32>) {
    s.check_backward(&x, statistics, &affine, [weight, dy], add);
    backward_by(crate::norm_conv_backward, s, x, statistics, affine, weight, dy, add)
}

/// [`norm_conv_bf16`](crate::norm_conv_bf16()): the result, `[n, k, h, w]`, mean and `rstd`, `[n, groups]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn norm_conv_bf16(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> [Vec<f32>; 3] {
    s.check_bf16(&x, &affine, weight, [bias, residual]);
    let (mut mean, mut rstd) = (zeros(s.norm.n * s.norm.groups), zeros(s.norm.n * s.norm.groups));
    // SAFETY: the kernel overwrites its output.
    let y = unsafe {
        filled(s.output_len(), |y| {
            crate::norm_conv_bf16(s, x, affine, weight, bias, residual, y, [&mut mean[..], &mut rstd[..]]);
        })
    };
    [y, mean, rstd]
}

/// [`norm_conv_bf16_backward`](crate::norm_conv_bf16_backward), as [`norm_conv_backward`] returns it.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn norm_conv_bf16_backward(
    s: &NormConv,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    add: [Option<&[f32]>; 2],
) -> (NormResults, Vec<f32>, Vec<f32>) {
    s.check_backward(&x, statistics, &affine, [weight, dy], add);
    backward_by(crate::norm_conv_bf16_backward, s, x, statistics, affine, weight, dy, add)
}

/// A kernel with the operands and results of [`norm_conv_backward`](crate::norm_conv_backward).
type Backward = fn(&NormConv, NormInput, Statistics, Affine, &[f32], &[f32], [Option<&[f32]>; 2], NormConvGradients);

/// What `kernel` writes.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
fn backward_by(
    kernel: Backward,
    s: &NormConv,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    add: [Option<&[f32]>; 2],
) -> (NormResults, Vec<f32>, Vec<f32>) {
    let (mut dw, mut db) = (Vec::new(), zeros(s.k));
    // SAFETY: the kernel overwrites its outputs.
    let norm = unsafe {
        NormResults::filled(&s.norm, x, |norm| {
            dw = filled(weight.len(), |dw| {
                let d = NormConvGradients { norm, weight: dw, bias: &mut db };
                kernel(s, x, statistics, affine, weight, dy, add, d);
            });
        })
    };
    (norm, dw, db)
}
