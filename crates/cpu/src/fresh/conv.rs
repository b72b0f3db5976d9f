//! Convolutions.

use super::filled;
use crate::Conv2d;
use crate::conv::{check_backward, check_backward_input, check_backward_weight, check_forward};
use crate::winograd::{self, Conv3x3, Epilogue, Filters, check_filtered};

/// [`conv2d`](crate::conv2d): `[n, k, h', w']`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d(s: &Conv2d, x: &[f32], weight: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>) -> Vec<f32> {
    let len = s.output_len();
    check_forward(s, [x, weight], [bias, residual], len);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |y| crate::conv2d(s, x, weight, bias, residual, y)) }
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
    let len = s.output_len();
    check_filtered(s, x, filters, Epilogue { bias, residual }, len);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |y| winograd::conv3x3_filtered(s, x, filters, bias, residual, y)) }
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
    check_backward(s, [x, dy, weight], add, db.as_deref());
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
    let len = s.input_len();
    check_backward_input(s, [dy, weight], add, len);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |dx| crate::conv2d_backward_input(s, dy, weight, add, dx)) }
}

/// [`conv2d_backward_weight`](crate::conv2d_backward_weight): `[k, c, side, side]`; the gradient of the bias goes into `db: [k]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_weight(s: &Conv2d, x: &[f32], dy: &[f32], db: Option<&mut [f32]>) -> Vec<f32> {
    let len = s.weight_len();
    check_backward_weight(s, [x, dy], len, db.as_deref());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |dw| crate::conv2d_backward_weight(s, x, dy, Some(dw), db)) }
}
