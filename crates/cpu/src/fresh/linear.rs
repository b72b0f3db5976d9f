//! Affine maps.

use super::filled;
use crate::linear::{check, check_rows};
use crate::sizes::{check_option, values};

/// [`linear`](crate::linear()): `[rows, d_out]`.
///
/// # Panics
/// If a length does not fit.
pub fn linear(s @ [rows, d_in, d_out]: [usize; 3], x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    check("linear", [(x, "x", [rows, d_in]), (weight, "the weight", [d_out, d_in])]);
    check_option("linear", "the bias", bias, d_out);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(values("linear", [rows, d_out]), |y| crate::linear(s, x, weight, bias, y)) }
}

/// [`linear_backward_input`](crate::linear_backward_input): `[rows, d_in]`.
///
/// # Panics
/// If a length does not fit.
pub fn linear_backward_input(s @ [rows, d_in, d_out]: [usize; 3], dy: &[f32], weight: &[f32]) -> Vec<f32> {
    check("linear_backward_input", [(dy, "dy", [rows, d_out]), (weight, "the weight", [d_out, d_in])]);
    // SAFETY: the kernel overwrites its output.
    unsafe {
        filled(values("linear_backward_input", [rows, d_in]), |dx| crate::linear_backward_input(s, dy, weight, dx))
    }
}

/// [`linear_backward_weight`](crate::linear_backward_weight): `[d_out, d_in]`.
///
/// # Panics
/// If a length does not fit.
pub fn linear_backward_weight(s @ [rows, d_in, d_out]: [usize; 3], x: &[f32], dy: &[f32]) -> Vec<f32> {
    check("linear_backward_weight", [(x, "x", [rows, d_in]), (dy, "dy", [rows, d_out])]);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(values("linear_backward_weight", [d_out, d_in]), |dw| crate::linear_backward_weight(s, x, dy, dw)) }
}

/// [`sum_rows`](crate::sum_rows): `[d_out]`.
///
/// # Panics
/// If a length does not fit.
pub fn sum_rows(dy: &[f32], d_out: usize) -> Vec<f32> {
    check_rows(dy, d_out);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(d_out, |db| crate::sum_rows(dy, d_out, db)) }
}
