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
    segments: usize,
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
        Self { blocks, taps, segments, side, parts }
    }

    /// Floats of the sums.
    pub(super) fn sums_len(&self) -> usize {
        self.parts * self.apart()
    }

    /// Floats of one part's sums.
    fn apart(&self) -> usize {
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

/// `gradient[o][i][tap] = Σ_p dy[p][o] x[p + shift(tap)][i]`, from the pairs of `x` and the turned windows of `dy`.
#[allow(clippy::too_many_arguments)] // operands and result of one operation
pub(super) fn gradient(
    grid: &Grid,
    cut: Cut,
    windows: &[Window],
    pairs: &[u16],
    turned: &[u16],
    sums: &mut [f32],
    [outputs, inputs]: [[usize; 2]; 2],
    gradient: &mut [f32],
) {
    debug_assert_eq!((sums.len(), cut.segments), (cut.sums_len(), windows.len().div_ceil(SEGMENT)));
    let Cut { blocks: [high, across], taps, .. } = cut;
    let (long, shifts, block) = (chunk(taps), grid.shifts(taps), grid.line() * 64);
    // Bytes from the start of a block of channels: for each chunk, each tap, its windows.
    let steps: Vec<usize> = windows
        .chunks(long)
        .flat_map(|chunk| {
            shifts.iter().flat_map(move |shift| chunk.iter().map(move |w| w.start.wrapping_add_signed(*shift) * 64))
        })
        .collect();
    debug_assert!(steps.iter().all(|step| step / 64 + 32 <= grid.line()));
    let (size, of_part) = (taps * 1024, Shared::new(sums));
    let tasks = [high.div_ceil(cut.side), across.div_ceil(cut.side)];
    (0..cut.parts * tasks[0] * tasks[1]).into_par_iter().for_each(|i| {
        let (part, i) = (i / (tasks[0] * tasks[1]), i % (tasks[0] * tasks[1]));
        let (o0, k0) = (i / tasks[1] * cut.side, i % tasks[1] * cut.side);
        let tiles = Tiles::new();
        let (first, last) = (part * cut.segments / cut.parts, (part + 1) * cut.segments / cut.parts);
        for segment in first..last {
            let end = ((segment + 1) * SEGMENT).min(windows.len());
            for o in o0..(o0 + cut.side).min(high) {
                for k in k0..(k0 + cut.side).min(across) {
                    let base = pairs[k * block..][..block].as_ptr();
                    let anywhere = [base, base.wrapping_add(block / 2)];
                    let sums = of_part.at(part * cut.apart() + (o * across + k) * size);
                    for w0 in (segment * SEGMENT..end).step_by(long) {
                        let here = long.min(end - w0);
                        let a = turned[(o * windows.len() + w0) * 1024..][..here * 1024].as_ptr();
                        for tap in 0..taps {
                            let steps = &steps[w0 * taps + tap * here..][..here];
                            let load = w0 != first * SEGMENT;
                            // SAFETY: each task has its own sums; the windows and shifts are within the block of channels.
                            unsafe {
                                tiles.block::<true>(steps, anywhere, 128, a, sums.wrapping_add(tap * 1024), load);
                            }
                        }
                    }
                }
            }
        }
    });
    let (sums, to) = (&*sums, Shared::new(gradient));
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
