//! Operations that touch every value once.

use super::filled;

/// [`crate::silu`].
pub fn silu(x: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| crate::silu(x, y)) }
}

/// [`crate::silu_backward`].
pub fn silu_backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |dx| crate::silu_backward(x, dy, dx)) }
}

/// [`crate::add_channel_bias`].
pub fn add_channel_bias(x: &[f32], bias: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| crate::add_channel_bias(x, bias, y)) }
}

/// [`crate::sum_pixels`] of so many planes.
pub fn sum_pixels(x: &[f32], planes: usize) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(planes, |sums| crate::sum_pixels(x, sums)) }
}

/// [`crate::upsample_nearest_2x`].
pub fn upsample_nearest_2x(h: usize, w: usize, x: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(4 * x.len(), |y| crate::upsample_nearest_2x(h, w, x, y)) }
}

/// [`crate::upsample_nearest_2x_backward`].
pub fn upsample_nearest_2x_backward(h: usize, w: usize, dy: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(dy.len() / 4, |dx| crate::upsample_nearest_2x_backward(h, w, dy, dx)) }
}

/// [`crate::concat`].
pub fn concat(n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(a.len() + b.len(), |all| crate::concat(n, a, b, all)) }
}

/// [`crate::part`] of `len` values of each image.
pub fn part(n: usize, x: &[f32], from: usize, len: usize) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(n * len, |part| crate::part(n, x, from, part)) }
}
