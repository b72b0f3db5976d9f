//! Operations that touch every value once.

use super::filled;
use crate::elementwise::check_pixels;
use crate::resample::{check_channels, check_joined, check_part, check_planes};
use crate::sizes::{check_len, values};

/// [`silu`](crate::silu), in the shape of `x`.
pub fn silu(x: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| crate::silu(x, y)) }
}

/// [`silu_backward`](crate::silu_backward), in the shape of `x`.
///
/// # Panics
/// If the lengths differ.
pub fn silu_backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    check_len("silu", "dy", dy.len(), x.len());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |dx| crate::silu_backward(x, dy, dx)) }
}

/// [`add_channel_bias`](crate::add_channel_bias), in the shape of `x`.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_channel_bias(x: &[f32], bias: &[f32]) -> Vec<f32> {
    check_channels(x, bias);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| crate::add_channel_bias(x, bias, y)) }
}

/// [`sum_pixels`](crate::sum_pixels) of so many planes: `[planes]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn sum_pixels(x: &[f32], planes: usize) -> Vec<f32> {
    check_pixels(x, planes);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(planes, |sums| crate::sum_pixels(x, sums)) }
}

/// [`upsample_nearest_2x`](crate::upsample_nearest_2x): `[planes, 2h, 2w]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn upsample_nearest_2x(h: usize, w: usize, x: &[f32]) -> Vec<f32> {
    check_planes("upsample_nearest_2x", [h, w], x.len(), 4 * x.len());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(4 * x.len(), |y| crate::upsample_nearest_2x(h, w, x, y)) }
}

/// [`upsample_nearest_2x_backward`](crate::upsample_nearest_2x_backward): `[planes, h, w]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn upsample_nearest_2x_backward(h: usize, w: usize, dy: &[f32]) -> Vec<f32> {
    check_planes("upsample_nearest_2x_backward", [h, w], dy.len() / 4, dy.len());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(dy.len() / 4, |dx| crate::upsample_nearest_2x_backward(h, w, dy, dx)) }
}

/// [`concat`](crate::concat): `[n, a_len + b_len]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn concat(n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
    check_joined(n, a, b);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(a.len() + b.len(), |all| crate::concat(n, a, b, all)) }
}

/// [`part`](crate::part) of `len` values of each image: `[n, len]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn part(n: usize, x: &[f32], from: usize, len: usize) -> Vec<f32> {
    let all = values("part", [n, len]);
    if all > 0 {
        check_part(n, x, from, len);
    }
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(all, |part| crate::part(n, x, from, part)) }
}
