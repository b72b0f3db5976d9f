//! What is around the products, in plain code: the reference of `avx512`, and for processors without it.

use super::grid::{Grid, Lattice, Piece};
use super::number::round;
use super::panel::{BLOCK, OutputBlock, Planes};
use super::weight::Target;
use super::weights::Source;
use std::ops::Range;

/// Rounds one image's block of channels into a block of a panel, to the pixels of a lattice.
///
/// # Safety
/// Nobody else may use these pixels of the block.
pub(super) unsafe fn pack(x: &[f32], to: *mut u16, grid: &Grid, lattice: &Lattice, planes: Planes, n: usize) {
    let [height, width] = lattice.size;
    for (y, column) in (0..height).flat_map(|y| (0..width).map(move |column| (y, column))) {
        let [row, place] = [(0, y), (1, column)].map(|(i, at)| lattice.first[i] + at * lattice.stride);
        for c in 0..BLOCK {
            let from = ((planes.first + c) * height + y) * width + column;
            let rounded = if c < planes.channels { round(x[from]) } else { 0 };
            // SAFETY: the caller's contract.
            unsafe { to.add(grid.at(n, row, place) * BLOCK + c).write(rounded) };
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

/// Writes a piece of 16 pixels of sums, plus the bias, plus what is added.
///
/// # Safety
/// Nobody else may use these pixels of the tensor.
pub(super) unsafe fn finish(piece: &Piece, sums: &[f32], bias: &[f32], out: &OutputBlock) {
    let pixels = (0..16).filter(|pixel| piece.mask >> pixel & 1 == 1);
    for (i, pixel) in pixels.enumerate() {
        for c in 0..out.channels {
            let (v, at) = (sums[pixel * BLOCK + c] + bias[c], out.at(piece, c) + i);
            // SAFETY: the caller's contract.
            unsafe { out.to.at(at).write(out.add.map_or(v, |add| v + add[at])) };
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

/// Rounds a row, with zeros after it.
pub(super) fn round_row(from: &[f32], to: &mut [u16]) {
    for (i, to) in to.iter_mut().enumerate() {
        *to = from.get(i).map_or(0, |v| round(*v));
    }
}

/// Up to 32 rows of up to 32 columns as B tiles.
pub(super) fn columns(from: &[f32], [rows, width]: [usize; 2], stride: usize, to: &mut [u16]) {
    for (i, to) in to.iter_mut().enumerate().take(1024) {
        let (row, column) = (i / 32 % 16 * 2 + i % 2, i / 512 * 16 + i / 2 % 16);
        *to = if row < rows && column < width { round(from[row * stride + column]) } else { 0 };
    }
}

/// 32×32 values, rows to columns, as B tiles.
pub(super) fn turn_columns(from: &[f32], to: &mut [u16]) {
    for (i, to) in to.iter_mut().enumerate().take(1024) {
        let (row, column) = (i / 32 % 16 * 2 + i % 2, i / 512 * 16 + i / 2 % 16);
        *to = round(from[column * 32 + row]);
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
