//! Operations that move data: upsampling, joining and parting channels, adding a value to every pixel.

use super::sizes::{check_len, values};
use rayon::prelude::*;

/// Floats that a parallel task should move at least.
const TASK: usize = 16 * 1024;

/// Planes of a task so that it moves enough.
fn planes_per_task(plane: usize) -> usize {
    TASK.div_ceil(plane.max(1))
}

/// Panics unless so many values are planes of `sizes`, and four times as many are planes of twice these.
#[track_caller]
pub(super) fn check_planes(what: &str, sizes: [usize; 2], small: usize, large: usize) {
    let plane = values(what, sizes);
    let whole = if plane == 0 { small == 0 } else { small.is_multiple_of(plane) };
    assert!(whole, "{what}: {small} values are no planes of {sizes:?}");
    check_len(what, "the larger", large, 4 * small);
}

/// Every pixel of `x: [planes, h, w]` becomes a 2×2 block of `y: [planes, 2h, 2w]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn upsample_nearest_2x(h: usize, w: usize, x: &[f32], y: &mut [f32]) {
    check_planes("upsample_nearest_2x", [h, w], x.len(), y.len());
    if x.is_empty() {
        return;
    }
    let planes = y.par_chunks_exact_mut(4 * h * w).zip(x.par_chunks_exact(h * w));
    planes.with_min_len(planes_per_task(4 * h * w)).for_each(|(y, x)| {
        for (rows, row) in y.chunks_exact_mut(4 * w).zip(x.chunks_exact(w)) {
            let (upper, lower) = rows.split_at_mut(2 * w);
            for (pair, value) in upper.chunks_exact_mut(2).zip(row) {
                pair.copy_from_slice(&[*value; 2]);
            }
            lower.copy_from_slice(upper);
        }
    });
}

/// Gradient of [`upsample_nearest_2x`]: `dx` is the sum of every 2×2 block of `dy`.
///
/// # Panics
/// If the lengths do not fit.
pub fn upsample_nearest_2x_backward(h: usize, w: usize, dy: &[f32], dx: &mut [f32]) {
    check_planes("upsample_nearest_2x_backward", [h, w], dx.len(), dy.len());
    if dx.is_empty() {
        return;
    }
    let planes = dx.par_chunks_exact_mut(h * w).zip(dy.par_chunks_exact(4 * h * w));
    planes.with_min_len(planes_per_task(4 * h * w)).for_each(|(dx, dy)| {
        for (row, rows) in dx.chunks_exact_mut(w).zip(dy.chunks_exact(4 * w)) {
            let (upper, lower) = rows.split_at(2 * w);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            for (value, (u, l)) in row.iter_mut().zip(pairs) {
                *value = (u[0] + u[1]) + (l[0] + l[1]);
            }
        }
    });
}

/// Panics unless `a` and `b` are `n` images each; no images have no values.
#[track_caller]
pub(super) fn check_joined(n: usize, a: &[f32], b: &[f32]) {
    let whole = if n == 0 { a.len() + b.len() == 0 } else { a.len().is_multiple_of(n) && b.len().is_multiple_of(n) };
    assert!(whole, "concat: {} and {} values are not {n} images", a.len(), b.len());
}

/// The parts of every image one after the other: `a: [n, a_len]`, `b: [n, b_len]`, `y: [n, a_len + b_len]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn concat(n: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
    check_len("concat", "the result", y.len(), a.len() + b.len());
    check_joined(n, a, b);
    if y.is_empty() {
        return;
    }
    let (a_len, b_len) = (a.len() / n, b.len() / n);
    y.par_chunks_exact_mut(a_len + b_len).enumerate().for_each(|(i, y)| {
        let (left, right) = y.split_at_mut(a_len);
        left.copy_from_slice(&a[i * a_len..][..a_len]);
        right.copy_from_slice(&b[i * b_len..][..b_len]);
    });
}

/// Panics unless `part_len` values from `from` on are within the images.
#[track_caller]
pub(super) fn check_part(n: usize, x: &[f32], from: usize, part_len: usize) {
    let whole = n > 0 && x.len().is_multiple_of(n);
    assert!(whole, "part: {} values are not {n} images", x.len());
    let len = x.len() / n;
    let inside = from.checked_add(part_len).is_some_and(|to| to <= len);
    assert!(inside, "part: {part_len} values from {from} on are not within the {len} of an image");
}

/// Part of every image: `part[i] = x[i][from..]`, `x: [n, len]`, `part: [n, part_len]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn part(n: usize, x: &[f32], from: usize, part: &mut [f32]) {
    if part.is_empty() {
        return;
    }
    assert!(n > 0 && part.len().is_multiple_of(n), "part: {} values are not {n} images", part.len());
    let part_len = part.len() / n;
    check_part(n, x, from, part_len);
    let len = x.len() / n;
    part.par_chunks_exact_mut(part_len).enumerate().for_each(|(i, part)| {
        part.copy_from_slice(&x[i * len + from..][..part_len]);
    });
}

/// Panics unless `x` is as many planes as there are values in `bias`.
#[track_caller]
pub(super) fn check_channels(x: &[f32], bias: &[f32]) {
    let whole = if bias.is_empty() { x.is_empty() } else { x.len().is_multiple_of(bias.len()) };
    assert!(whole, "add_channel_bias: {} values are not {} planes", x.len(), bias.len());
}

/// `y[i][p] = x[i][p] + bias[i]`: `x`, `y`: `[planes, pixels]`, `bias: [planes]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_channel_bias(x: &[f32], bias: &[f32], y: &mut [f32]) {
    check_len("add_channel_bias", "the result", y.len(), x.len());
    check_channels(x, bias);
    if x.is_empty() {
        return;
    }
    let pixels = x.len() / bias.len();
    let planes = y.par_chunks_exact_mut(pixels).zip(x.par_chunks_exact(pixels)).zip(bias);
    planes.with_min_len(planes_per_task(pixels)).for_each(|((y, x), bias)| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x + bias;
        }
    });
}
