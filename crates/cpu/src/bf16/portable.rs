//! What is around the products, in plain code: the reference of `avx512`, and for processors without it.

use super::grid::{Grid, Window};
use super::number::round;
use super::panel::{BLOCK, Planes};
use super::weight::Target;
use super::weights::Source;
use std::ops::Range;

/// Rounds one image's block of channels into a block of a panel.
///
/// # Safety
/// Nobody else may use these pixels of the block.
pub(super) unsafe fn pack(x: &[f32], to: *mut u16, grid: &Grid, planes: Planes, n: usize) {
    for y in 0..grid.h {
        for column in 0..grid.w {
            for c in 0..BLOCK {
                let from = ((planes.first + c) * grid.h + y) * grid.w + column;
                let rounded = if c < planes.channels { round(x[from]) } else { 0 };
                // SAFETY: the caller's contract.
                unsafe { to.add(grid.at(n, y, column) * BLOCK + c).write(rounded) };
            }
        }
    }
}

/// One image's block of channels of an f32 panel, plus `add`, to its planes.
///
/// # Safety
/// Nobody else may use these planes.
pub(super) unsafe fn unpack(from: &[f32], add: Option<&[f32]>, x: *mut f32, grid: &Grid, planes: Planes, n: usize) {
    for y in 0..grid.h {
        for column in 0..grid.w {
            for c in 0..planes.channels {
                let at = ((planes.first + c) * grid.h + y) * grid.w + column;
                let v = from[grid.at(n, y, column) * BLOCK + c];
                // SAFETY: the caller's contract.
                unsafe { x.add(at).write(add.map_or(v, |add| v + add[at])) };
            }
        }
    }
}

/// Pairs of pixels of a block.
///
/// # Safety
/// Nobody else may use these pixels of `to`.
pub(super) unsafe fn pair(from: &[u16], to: *mut u16, line: usize, pixels: Range<usize>) {
    for p in pixels {
        // The line's last pixel is border, and so is what would follow it.
        let next = (p + 1).min(line - 1);
        for c in 0..BLOCK {
            let at = (c / 16 * line + p) * 32 + 2 * (c % 16);
            // SAFETY: the caller's contract.
            unsafe {
                to.add(at).write(from[p * BLOCK + c]);
                to.add(at + 1).write(from[next * BLOCK + c]);
            }
        }
    }
}

/// 32 pixels of 32 channels to 32 channels of 32 pixels.
pub(super) fn turn(from: &[u16], to: &mut [u16]) {
    for (i, to) in to.iter_mut().enumerate() {
        *to = from[i % 32 * 32 + i / 32];
    }
}

/// Weights of a block of outputs and a block of inputs as B tiles.
pub(super) fn fill(w: &[f32], to: &mut [u16], by: &Source) {
    for (i, to) in to.iter_mut().enumerate() {
        let (tap, half, row, column, e) = (i / 1024, i / 512 % 2, i / 32 % 16, i / 2 % 16, i % 2);
        let (k, n) = (by.inputs.start + 2 * row + e, by.outputs.start + 16 * half + column);
        let is_there = k < by.inputs.end && n < by.outputs.end;
        *to = if is_there { round(w[k * by.strides[0] + n * by.strides[1] + by.tap(tap)]) } else { 0 };
    }
}

/// Writes 16 pixels of sums, plus the bias, where they belong to the window.
///
/// # Safety
/// Nobody else may use these pixels of `to`.
pub(super) unsafe fn finish(window: Window, sums: &[f32], bias: &[f32], to: *mut f32) {
    for (i, sum) in sums.iter().enumerate().take(16 * BLOCK) {
        let (pixel, c) = (i / BLOCK, i % BLOCK);
        if window.mask >> pixel & 1 == 1 {
            // SAFETY: the caller's contract.
            unsafe { to.add((window.start + pixel) * BLOCK + c).write(sum + bias[c]) };
        }
    }
}

/// Adds the parts of a block of a weight gradient up, and writes them in the order of the weight.
///
/// # Safety
/// Nobody else may use these weights.
pub(super) unsafe fn scatter(from: &[f32], by: &Target, to: *mut f32) {
    for (i, o) in by.outputs.clone().enumerate() {
        for (j, k) in by.inputs.clone().enumerate() {
            for tap in 0..by.taps {
                let at = tap * 1024 + i * BLOCK + j;
                let sum = (1..by.parts).fold(from[at], |sum, part| sum + from[at + part * by.apart]);
                // SAFETY: the caller's contract.
                unsafe { to.add((o * by.columns + k) * by.taps + tap).write(sum) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_twice_is_the_same() {
        let from: Vec<u16> = (0..1024).collect();
        let (mut once, mut twice) = (vec![0; 1024], vec![0; 1024]);
        turn(&from, &mut once);
        turn(&once, &mut twice);
        assert_eq!((once[1], &twice), (32, &from));
    }
}
