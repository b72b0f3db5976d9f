//! The gradient for the weights.

use super::grid::{Grid, Window};
use super::memory::Shared;
use super::panel::{blocks, columns};
use super::tiles::Tiles;
use rayon::prelude::*;
use std::ops::Range;

/// Windows that stay in the second-level cache while a task's blocks pass over them.
const SEGMENT: usize = 32;

/// Windows of 32 pixels that pass under all taps before the next ones, so that they stay in the nearest caches.
fn chunk(taps: usize) -> usize {
    if taps == 1 { 32 } else { 8 }
}

/// How a weight gradient is cut. It follows from the shape alone, never from threads: the order of the sums is part of the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Blocks of 32 outputs and of 32 inputs.
    blocks: [usize; 2],
    taps: usize,
    /// A task takes `side` by `side` blocks.
    side: usize,
    /// Parts of the windows, each with its own sums.
    parts: usize,
}

impl Cut {
    pub(super) fn new(outputs: usize, inputs: [usize; 2], taps: usize, windows: usize) -> Self {
        let (blocks, segments) = ([blocks([outputs, 0]), blocks(inputs)], windows.div_ceil(SEGMENT));
        // Some eight tasks at least where the shape allows.
        let tasks = |side: usize| blocks[0].div_ceil(side) * blocks[1].div_ceil(side);
        let side = if tasks(4) * segments >= 8 { 4 } else { 2 };
        let parts = 12usize.div_ceil(tasks(side)).min(segments).max(1);
        Self { blocks, taps, side, parts }
    }

    /// So many parts of the images instead, each with all its windows.
    pub(super) fn of_parts(outputs: usize, inputs: [usize; 2], taps: usize, parts: usize) -> Self {
        Self { blocks: [blocks([outputs, 0]), blocks(inputs)], taps, side: 1, parts }
    }

    /// Floats of the sums.
    pub(super) fn sums_len(&self) -> usize {
        self.parts * self.apart()
    }

    /// Floats of one part's sums.
    pub(super) fn apart(&self) -> usize {
        self.blocks[0] * self.blocks[1] * self.taps * 1024
    }
}

/// Where a block of the gradient goes.
pub(super) struct Target {
    pub(super) outputs: Range<usize>,
    pub(super) inputs: Range<usize>,
    /// Inputs of the weight in all.
    pub(super) columns: usize,
    pub(super) taps: usize,
    /// Parts to be added up, and how far they are apart.
    pub(super) parts: usize,
    pub(super) apart: usize,
}

/// Bytes from the start of a block of channels, for each chunk of `long` windows and each tap: its windows.
fn steps(grid: &Grid, taps: usize, windows: &[Window], long: usize) -> Vec<usize> {
    let shifts = grid.shifts(taps);
    let steps: Vec<usize> = windows
        .chunks(long)
        .flat_map(|chunk| {
            shifts.iter().flat_map(move |shift| chunk.iter().map(move |w| w.start.wrapping_add_signed(*shift) * 64))
        })
        .collect();
    debug_assert!(steps.iter().all(|step| step / 64 + 32 <= grid.line()));
    steps
}

/// What the sums of a block of outputs and a block of inputs are made of.
struct Operands<'a> {
    taps: usize,
    long: usize,
    steps: &'a [usize],
    /// All windows of the outputs.
    turned: &'a [u16],
    pairs: &'a [u16],
}

impl Operands<'_> {
    /// Adds the products of some windows, which begin at a chunk, to `[tap][32][32]` sums; makes them of the first ones unless `load`.
    ///
    /// # Safety
    /// The sums must be there, aligned, and used by nobody else.
    unsafe fn add(&self, tiles: &Tiles, windows: Range<usize>, sums: *mut f32, load: bool) {
        let base = self.pairs.as_ptr();
        let anywhere = [base, base.wrapping_add(self.pairs.len() / 2)];
        for w0 in windows.clone().step_by(self.long) {
            let here = self.long.min(windows.end - w0);
            let a = self.turned[w0 * 1024..][..here * 1024].as_ptr();
            for tap in 0..self.taps {
                let steps = &self.steps[w0 * self.taps + tap * here..][..here];
                let load = load || w0 != windows.start;
                // SAFETY: the caller's contract; the windows and shifts are within the block of channels.
                unsafe { tiles.block::<true>(steps, anywhere, 128, a, sums.wrapping_add(tap * 1024), load) };
            }
        }
    }
}

/// Sums `[o][i][tap] = Σ_p dy[p][o] x[p + shift(tap)][i]`, block by block, from the pairs of `x` and the turned windows of `dy`.
///
/// Adds to sums that are there if `load`.
///
/// # Safety
/// The sums must be there, aligned, and used by nobody else.
pub(super) unsafe fn gradient(
    grid: &Grid,
    cut: Cut,
    windows: &[Window],
    [pairs, turned]: [&[u16]; 2],
    of_part: Shared<f32>,
    load: bool,
) {
    let segments = windows.len().div_ceil(SEGMENT);
    debug_assert!(segments >= cut.parts);
    let Cut { blocks: [high, across], taps, .. } = cut;
    let (long, block) = (chunk(taps), grid.line() * 64);
    let steps = steps(grid, taps, windows, long);
    let size = taps * 1024;
    let tasks = [high.div_ceil(cut.side), across.div_ceil(cut.side)];
    (0..cut.parts * tasks[0] * tasks[1]).into_par_iter().for_each(|i| {
        let (part, i) = (i / (tasks[0] * tasks[1]), i % (tasks[0] * tasks[1]));
        let (o0, k0) = (i / tasks[1] * cut.side, i % tasks[1] * cut.side);
        let tiles = Tiles::new();
        let (first, last) = (part * segments / cut.parts, (part + 1) * segments / cut.parts);
        for segment in first..last {
            let range = segment * SEGMENT..((segment + 1) * SEGMENT).min(windows.len());
            for o in o0..(o0 + cut.side).min(high) {
                for k in k0..(k0 + cut.side).min(across) {
                    let turned = &turned[o * windows.len() * 1024..][..windows.len() * 1024];
                    let operands = Operands { taps, long, steps: &steps, turned, pairs: &pairs[k * block..][..block] };
                    let sums = of_part.at(part * cut.apart() + (o * across + k) * size);
                    // SAFETY: each task has its own sums.
                    unsafe { operands.add(&tiles, range.clone(), sums, load || segment != first) };
                }
            }
        }
    });
}

/// Adds some images to sums as those of [`gradient`], in this thread; makes them of these unless `load`.
///
/// # Safety
/// The sums must be there, aligned, and used by nobody else.
pub(super) unsafe fn add(
    grid: &Grid,
    [high, across]: [usize; 2],
    taps: usize,
    windows: &[Window],
    [pairs, turned]: [&[u16]; 2],
    sums: *mut f32,
    load: bool,
) {
    let (long, block, tiles) = (chunk(taps), grid.line() * 64, Tiles::new());
    let steps = steps(grid, taps, windows, long);
    for (o, k) in (0..high).flat_map(|o| (0..across).map(move |k| (o, k))) {
        let turned = &turned[o * windows.len() * 1024..][..windows.len() * 1024];
        let operands = Operands { taps, long, steps: &steps, turned, pairs: &pairs[k * block..][..block] };
        let sums = sums.wrapping_add((o * across + k) * taps * 1024);
        // SAFETY: the caller's contract.
        unsafe { operands.add(&tiles, 0..windows.len(), sums, load) };
    }
}

/// Adds the parts up, and writes them in the order of the weight.
pub(super) fn finish(cut: Cut, sums: &[f32], [outputs, inputs]: [[usize; 2]; 2], gradient: &mut [f32]) {
    let Cut { blocks: [high, across], taps, .. } = cut;
    let (size, to) = (taps * 1024, Shared::new(gradient));
    (0..high * across).into_par_iter().for_each(|i| {
        let by = Target {
            outputs: columns(outputs, i / across),
            inputs: columns(inputs, i % across),
            columns: inputs.iter().sum(),
            taps,
            parts: cut.parts,
            apart: cut.apart(),
        };
        // SAFETY: each task writes its own block of the weights.
        unsafe { around!(scatter(&sums[i * size..], &by, to.at(0))) };
    });
}
