//! Convolutions.

use super::filled;
use crate::Conv2d;
use crate::winograd::{self, Conv3x3, Filters};

/// [`conv2d`](crate::conv2d): `[n, k, h', w']`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d(s: &Conv2d, x: &[f32], weight: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.output_len(), |y| crate::conv2d(s, x, weight, bias, residual, y)) }
}

/// [`winograd::conv3x3_filtered`]: `[n, k, h, w]`.
///
/// # Panics
/// If a length does not fit, or the filters are for other channels.
pub fn conv3x3_filtered(
    s: &Conv3x3,
    x: &[f32],
    filters: &Filters,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.output_len(), |y| winograd::conv3x3_filtered(s, x, filters, bias, residual, y)) }
}

/// [`conv2d_backward`](crate::conv2d_backward): the gradients of input, `[n, c, h, w]`, and weight, `[k, c, side, side]`; that of the bias
/// goes into `db: [k]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward(
    s: &Conv2d,
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
    add: Option<&[f32]>,
    db: Option<&mut [f32]>,
) -> [Vec<f32>; 2] {
    let mut dw = Vec::new();
    // SAFETY: the kernel overwrites its outputs.
    let dx = unsafe {
        filled(s.input_len(), |dx| {
            dw = filled(s.weight_len(), |dw| crate::conv2d_backward(s, x, dy, weight, add, dx, dw, db));
        })
    };
    [dx, dw]
}

/// [`conv2d_backward_input`](crate::conv2d_backward_input): `[n, c, h, w]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_input(s: &Conv2d, dy: &[f32], weight: &[f32], add: Option<&[f32]>) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.input_len(), |dx| crate::conv2d_backward_input(s, dy, weight, add, dx)) }
}

/// [`conv2d_backward_weight`](crate::conv2d_backward_weight): `[k, c, side, side]`; the gradient of the bias goes into `db: [k]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_weight(s: &Conv2d, x: &[f32], dy: &[f32], db: Option<&mut [f32]>) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.weight_len(), |dw| crate::conv2d_backward_weight(s, x, dy, Some(dw), db)) }
}
