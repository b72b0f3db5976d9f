//! Operations that touch every value once.

use super::filled;
use crate::cpu;

/// [`cpu::silu`].
pub(crate) fn silu(x: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| cpu::silu(x, y)) }
}

/// [`cpu::silu_backward`].
pub(crate) fn silu_backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |dx| cpu::silu_backward(x, dy, dx)) }
}

/// [`cpu::add_channel_bias`].
pub(crate) fn add_channel_bias(x: &[f32], bias: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(x.len(), |y| cpu::add_channel_bias(x, bias, y)) }
}

/// [`cpu::sum_pixels`] of so many planes.
pub(crate) fn sum_pixels(x: &[f32], planes: usize) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(planes, |sums| cpu::sum_pixels(x, sums)) }
}

/// [`cpu::upsample_nearest_2x`].
pub(crate) fn upsample_nearest_2x(h: usize, w: usize, x: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(4 * x.len(), |y| cpu::upsample_nearest_2x(h, w, x, y)) }
}

/// [`cpu::upsample_nearest_2x_backward`].
pub(crate) fn upsample_nearest_2x_backward(h: usize, w: usize, dy: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(dy.len() / 4, |dx| cpu::upsample_nearest_2x_backward(h, w, dy, dx)) }
}

/// [`cpu::concat`].
pub(crate) fn concat(n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(a.len() + b.len(), |all| cpu::concat(n, a, b, all)) }
}

/// [`cpu::part`] of `len` values of each image.
pub(crate) fn part(n: usize, x: &[f32], from: usize, len: usize) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(n * len, |part| cpu::part(n, x, from, part)) }
}
