//! Activations as panels: `[block of 32 channels][pixel of the line][32 channels]`, bf16 with 64 bytes a pixel.
//!
//! Channels are padded with zeros to blocks of 32; a concatenation is the blocks of one tensor behind those of the other.

use super::grid::{Grid, Lattice, Piece, Window};
use super::memory::Shared;
use rayon::prelude::*;

/// Channels of a block.
pub(super) const BLOCK: usize = 32;

/// Values of a block of channels.
pub(super) fn block_len(grid: &Grid) -> usize {
    grid.line() * BLOCK
}

/// Values of a panel of tensors with so many channels each.
pub(super) fn panel_len(grid: &Grid, channels: [usize; 2]) -> usize {
    blocks(channels) * block_len(grid)
}

/// Blocks of tensors with so many channels each.
pub(super) fn blocks(channels: [usize; 2]) -> usize {
    channels.map(|c| c.div_ceil(BLOCK)).iter().sum()
}

/// One image's block of channels in a tensor `[n, c, h, w]`: the first of its planes, and how many it has.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) first: usize,
    pub(super) channels: usize,
}

/// Tensor and block within it of block `b` of all.
fn locate(channels: [usize; 2], b: usize) -> (usize, usize) {
    let first = channels[0].div_ceil(BLOCK);
    if b < first { (0, b) } else { (1, b - first) }
}

/// The channels of block `b`, counted through both tensors.
pub(super) fn columns(channels: [usize; 2], b: usize) -> std::ops::Range<usize> {
    let (tensor, own) = locate(channels, b);
    let (start, end) = ([0, channels[0]][tensor], [channels[0], channels[0] + channels[1]][tensor]);
    start + own * BLOCK..end.min(start + (own + 1) * BLOCK)
}

/// Those of block `b` of image `n`.
pub(super) fn planes(channels: usize, n: usize, b: usize) -> Planes {
    Planes { first: n * channels + b * BLOCK, channels: (channels - b * BLOCK).min(BLOCK) }
}

/// Rounds tensors `[n, c, h, w]` of the pixels of a lattice into a panel, with zeros everywhere else.
pub(super) fn pack(grid: &Grid, lattice: &Lattice, x: [&[f32]; 2], channels: [usize; 2], panel: &mut [u16]) {
    debug_assert_eq!(panel.len(), panel_len(grid, channels));
    let (block, to) = (block_len(grid), Shared::new(panel));
    (0..blocks(channels) * grid.n).into_par_iter().for_each(|i| {
        let (b, n) = (i / grid.n, i % grid.n);
        let (tensor, own) = locate(channels, b);
        let planes = planes(channels[tensor], n, own);
        // SAFETY: each task has an image's pixels of a block, and the borders after them, for itself.
        unsafe { pack_image(grid, lattice, x[tensor], planes, n, to.at(b * block)) };
    });
}

/// Rounds a block of channels of image `n` into the block of a panel at `to`, with zeros where there is no pixel of the lattice.
///
/// # Safety
/// Nobody else may use these pixels of the block, nor the borders after them, nor, of the first image, those before.
pub(super) unsafe fn pack_image(grid: &Grid, lattice: &Lattice, x: &[f32], planes: Planes, n: usize, to: *mut u16) {
    // SAFETY: the caller's contract.
    unsafe {
        if n == 0 {
            to.write_bytes(0, grid.lead() * BLOCK);
        }
        if lattice.stride > 1 {
            let until = if n + 1 == grid.n { grid.line() } else { grid.at(n + 1, 0, 0) };
            to.add(grid.at(n, 0, 0) * BLOCK).write_bytes(0, (until - grid.at(n, 0, 0)) * BLOCK);
        } else {
            for y in 0..grid.h {
                let border = grid.border_after(n, y);
                to.add(border.start * BLOCK).write_bytes(0, border.len() * BLOCK);
            }
        }
        around!(pack(x, to, grid, lattice, planes, n));
    }
}

/// Tensors `[n, c, h, w]` that are written, and what is added to them.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a> {
    /// Channels of both.
    channels: [usize; 2],
    /// Values of a plane.
    plane: usize,
    add: [Option<&'a [f32]>; 2],
    to: [Shared<f32>; 2],
}

/// A block of channels of one of [`Outputs`].
#[derive(Clone, Copy)]
pub(super) struct OutputBlock<'a> {
    /// Channels of the tensor, and where the block's begin.
    pub(super) of: usize,
    pub(super) first: usize,
    /// The block's own.
    pub(super) channels: usize,
    pub(super) plane: usize,
    pub(super) add: Option<&'a [f32]>,
    pub(super) to: Shared<f32>,
}

impl<'a> Outputs<'a> {
    /// Of `n` images with planes of so many pixels.
    pub(super) fn new(
        [n, plane]: [usize; 2],
        channels: [usize; 2],
        add: [Option<&'a [f32]>; 2],
        to: [&'a mut [f32]; 2],
    ) -> Self {
        for ((channels, add), to) in channels.iter().zip(add).zip(&to) {
            assert!(to.len() == n * channels * plane && add.is_none_or(|add| add.len() == to.len()));
        }
        Self { channels, plane, add, to: to.map(Shared::new) }
    }

    /// Block `b` of all.
    pub(super) fn block(&self, b: usize) -> OutputBlock<'a> {
        let (tensor, own) = locate(self.channels, b);
        let of = self.channels[tensor];
        let (first, add) = (own * BLOCK, self.add[tensor]);
        OutputBlock { of, first, channels: (of - first).min(BLOCK), plane: self.plane, add, to: self.to[tensor] }
    }
}

impl OutputBlock<'_> {
    /// Where a pixel of the block's channel `c` is in the tensor.
    pub(super) fn at(&self, piece: &Piece, c: usize) -> usize {
        (piece.image * self.of + self.first + c) * self.plane + piece.pixel
    }

    /// Says that a piece will be written soon.
    #[inline(always)]
    pub(super) fn expect(&self, piece: &Piece) {
        let (at, last) = (self.at(piece, 0), piece.mask.count_ones() as usize - 1);
        for c in 0..self.channels {
            let first = self.to.at(at + c * self.plane);
            prefetch_to_write(first);
            if first.addr() / 64 != first.wrapping_add(last).addr() / 64 {
                prefetch_to_write(first.wrapping_add(last));
            }
        }
    }
}

/// A panel as the weight gradient's B tiles: `[block of 32 channels][half][pixel p of the line][16 channels][p, p + 1]`.
///
/// Every pixel is there twice, so that 16 pairs of pixels may start at any pixel: rows 128 bytes apart, each a whole cache line.
pub(super) fn pair(grid: &Grid, panel: &[u16], pairs: &mut [u16]) {
    /// Pixels of a task.
    const PART: usize = 1024;
    debug_assert_eq!(pairs.len(), 2 * panel.len());
    let line = grid.line();
    let (parts, to) = (line.div_ceil(PART), Shared::new(pairs));
    (0..panel.len() / (line * BLOCK) * parts).into_par_iter().for_each(|i| {
        let (b, first) = (i / parts, i % parts * PART);
        let (from, pixels) = (&panel[b * line * BLOCK..][..line * BLOCK], first..(first + PART).min(line));
        // SAFETY: each task writes its own pixels of both halves.
        unsafe { around!(pair(from, to.at(b * line * 64), line, pixels)) };
    });
}

/// A panel as the weight gradient's A tiles: `[block of 32 channels][window of 32 pixels][32 channels][32 pixels]`.
pub(super) fn turn(grid: &Grid, panel: &[u16], windows: &[Window], turned: &mut [u16]) {
    let line = grid.line();
    debug_assert_eq!(turned.len(), panel.len() / (line * BLOCK) * windows.len() * 1024);
    turned.par_chunks_exact_mut(1024).enumerate().for_each(|(i, to)| {
        let (b, window) = (i / windows.len(), windows[i % windows.len()]);
        let from = &panel[(b * line + window.start) * BLOCK..][..1024];
        // SAFETY: the processor has what it needs.
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_unsafe, reason = "there is plain code alone"))]
        unsafe {
            around!(turn(from, to));
        }
    });
}

/// A hint that a line will be written.
#[inline(always)]
fn prefetch_to_write(at: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch touches no memory that can be seen, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(at.cast_const().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
