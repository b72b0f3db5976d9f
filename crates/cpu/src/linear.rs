//! Affine maps `y = x wᵀ + b`.

use super::gemm::{Matrix, gemm};
use super::sizes::{check_len, values};
use rayon::prelude::*;

/// Panics unless both matrices have their sizes.
#[track_caller]
pub(super) fn check(what: &str, matrices: [(&[f32], &str, [usize; 2]); 2]) {
    for (matrix, name, sizes) in matrices {
        check_len(what, name, matrix.len(), values(what, sizes));
    }
}

/// `y = x wᵀ + bias`.
///
/// # Shapes
/// `x: [rows, d_in]`, `weight: [d_out, d_in]`, `bias: [d_out]`, `y: [rows, d_out]`.
///
/// # Panics
/// If a length does not fit.
pub fn linear([rows, d_in, d_out]: [usize; 3], x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    check("linear", [(x, "x", [rows, d_in]), (weight, "the weight", [d_out, d_in])]);
    let weight = Matrix::rows(weight, d_in).transposed();
    gemm([rows, d_out, d_in], Matrix::rows(x, d_in), weight, bias, y);
}

/// Input gradient of [`linear`]: `dx = dy w`.
///
/// # Panics
/// If a length does not fit.
pub fn linear_backward_input([rows, d_in, d_out]: [usize; 3], dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check("linear_backward_input", [(dy, "dy", [rows, d_out]), (weight, "the weight", [d_out, d_in])]);
    gemm([rows, d_in, d_out], Matrix::rows(dy, d_out), Matrix::rows(weight, d_in), None, dx);
}

/// Weight gradient of [`linear`]: `dw = dyᵀ x`.
///
/// # Panics
/// If a length does not fit.
pub fn linear_backward_weight([rows, d_in, d_out]: [usize; 3], x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check("linear_backward_weight", [(x, "x", [rows, d_in]), (dy, "dy", [rows, d_out])]);
    gemm([d_out, d_in, rows], Matrix::rows(dy, d_out).transposed(), Matrix::rows(x, d_in), None, dw);
}

/// Rows that are summed one after the other, before the sums are.
const SUM_ROWS: usize = 256;

/// Panics unless `dy` is whole rows.
#[track_caller]
pub(super) fn check_rows(dy: &[f32], d_out: usize) {
    assert!(d_out == 0 || dy.len().is_multiple_of(d_out), "sum_rows: {} values are no rows of {d_out}", dy.len());
}

/// Bias gradient of [`linear`]: the sums of the columns of `dy: [rows, d_out]`.
///
/// # Panics
/// If a length does not fit.
pub fn sum_rows(dy: &[f32], d_out: usize, out: &mut [f32]) {
    check_len("sum_rows", "the result", out.len(), d_out);
    check_rows(dy, d_out);
    out.fill(0.0);
    if d_out == 0 {
        return;
    }
    let add = |mut sums: Vec<f32>, row: &[f32]| {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
        sums
    };
    let parts: Vec<Vec<f32>> =
        dy.par_chunks(SUM_ROWS * d_out).map(|rows| rows.chunks_exact(d_out).fold(vec![0.0; d_out], add)).collect();
    let sums = parts.iter().fold(vec![0.0; d_out], |sums, part| add(sums, part));
    out.copy_from_slice(&sums);
}
