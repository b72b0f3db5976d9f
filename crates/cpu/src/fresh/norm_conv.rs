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
    let (mut dw, mut db) = (Vec::new(), zeros(s.k));
    // SAFETY: the kernel overwrites its outputs.
    let norm = unsafe {
        NormResults::filled(&s.norm, x, |norm| {
            dw = filled(weight.len(), |dw| {
                let d = NormConvGradients { norm, weight: dw, bias: &mut db };
                crate::norm_conv_backward(s, x, statistics, affine, weight, dy, add, d);
            });
        })
    };
    (norm, dw, db)
}
