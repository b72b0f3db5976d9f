//! Convolutions of panels: forward, and the gradient for the input.

use super::grid::{Grid, Piece, Windows};
use super::panel::{BLOCK, OutputBlock, Outputs, block_len};
use super::tiles::Tiles;
use rayon::prelude::*;

/// Pairs of windows whose sums are in work at a time.
const GROUP: usize = 2;
/// Steps of one call of the inner kernel: the B tiles of those steps (36 KiB), the sums and the pixels under the taps are about what the first-level
/// cache holds. 9 were 3 % slower, 6 were 6 %, on the whole of the benchmark's shapes.
const STEPS: usize = 18;
/// Pairs of windows of a task.
const TASK: usize = 16;

/// Two windows, whose sums are one call of the inner kernel, with their pieces.
struct Pair<'a> {
    starts: [usize; 2],
    pieces: [&'a [Piece]; 2],
}

impl<'a> Pair<'a> {
    /// Windows `i` and `i + 1`; after the last, once more the last without pieces.
    fn new(windows: &'a Windows, i: usize) -> Self {
        let of = |i: usize| &windows.pieces[if i == 0 { 0 } else { windows.ends[i - 1] }..windows.ends[i]];
        let (first, second) = (windows.starts[i], windows.starts.get(i + 1));
        Self {
            starts: [first, *second.unwrap_or(&first)],
            pieces: [of(i), if second.is_some() { of(i + 1) } else { &[] }],
        }
    }
}

#[repr(C, align(64))]
struct Sums([f32; 2 * GROUP * 1024]);

/// `out = x w + bias` at the pixels of the windows: a panel of `blocks[0]` blocks of input channels, tensors of `blocks[1]` blocks of output channels.
///
/// An output's sum runs over channels and taps in the same order always, by one thread.
#[allow(clippy::too_many_arguments)] // operands and result of one operation
pub(super) fn convolve(
    grid: &Grid,
    windows: &Windows,
    taps: usize,
    blocks: [usize; 2],
    x: &[u16],
    w: &[u16],
    bias: &[f32],
    out: &Outputs,
) {
    let len = block_len(grid);
    debug_assert_eq!(x.len(), blocks[0] * len);
    debug_assert_eq!((w.len(), bias.len()), (blocks[0] * blocks[1] * taps * 1024, blocks[1] * BLOCK));
    let pairs: Vec<Pair> = (0..windows.starts.len()).step_by(2).map(|i| Pair::new(windows, i)).collect();
    // In bytes; shifts may be negative, and are added to a pixel that is far enough from the start.
    let shifts = grid.shifts(taps);
    let steps: Vec<usize> = (0..blocks[0])
        .flat_map(|b| shifts.iter().map(move |shift| (b * len * 2).wrapping_add_signed(shift * 64)))
        .collect();
    debug_assert!(windows.starts.iter().all(|start| {
        let ends = shifts.iter().map(|shift| start.checked_add_signed(*shift).map(|at| at + 15 * windows.stride + 1));
        ends.into_iter().all(|end| end.is_some_and(|end| end <= grid.line()))
    }));
    // A task: some pairs of windows for all outputs, or, where there are few, for one block of outputs.
    let split = if pairs.len() >= 4 * TASK { 1 } else { blocks[1] };
    let groups = pairs.len().div_ceil(TASK);
    (0..groups * split).into_par_iter().for_each(|i| {
        let (s, g) = (i / groups, i % groups);
        let part = &pairs[g * TASK..((g + 1) * TASK).min(pairs.len())];
        for b in s * blocks[1] / split..(s + 1) * blocks[1] / split {
            let tiles = &w[b * steps.len() * 1024..][..steps.len() * 1024];
            // SAFETY: each task writes its own pixels; the panel holds all that the windows and shifts reach.
            unsafe { run(part, &steps, x, windows.stride * 64, tiles, &bias[b * BLOCK..][..BLOCK], &out.block(b)) };
        }
    });
}

/// One block of outputs for some pairs of windows, whose pixels are `stride` bytes apart.
///
/// # Safety
/// Windows and steps must be within `x`, the pieces within `out`, and nobody else may use their pixels there.
unsafe fn run(pairs: &[Pair], steps: &[usize], x: &[u16], stride: usize, w: &[u16], bias: &[f32], out: &OutputBlock) {
    // A group's sums are written out during the next one's first steps, so that its last tile stores are not waited for.
    let mut sums = Sums([0.0; 2 * GROUP * 1024]);
    let (even, odd) = sums.0.split_at_mut(GROUP * 1024);
    let halves = [even, odd];
    let tiles = Tiles::new();
    let mut before: &[Pair] = &[];
    for (g, group) in pairs.chunks(GROUP).enumerate() {
        for (k, part) in steps.chunks(STEPS).enumerate() {
            let w = w[k * STEPS * 1024..].as_ptr();
            for (i, pair) in group.iter().enumerate() {
                let at = pair.starts.map(|start| x.as_ptr().wrapping_add(start * BLOCK));
                let c = halves[g % 2][i * 1024..][..1024].as_mut_ptr();
                // SAFETY: the caller's contract; scratch memory and sums are aligned.
                unsafe { tiles.block::<false>(part, at, stride, w, c, k > 0) };
            }
            if k == 0 {
                // SAFETY: the caller's contract.
                unsafe { finish(before, halves[(g + 1) % 2], bias, out) };
                // Written after the group's last products: lines that are not in the caches come meanwhile.
                for pieces in group.iter().flat_map(|pair| pair.pieces) {
                    for piece in pieces {
                        out.expect(piece);
                    }
                }
            }
        }
        before = group;
    }
    let last = pairs.len().div_ceil(GROUP) + 1;
    // SAFETY: the caller's contract.
    unsafe { finish(before, halves[last % 2], bias, out) };
}

/// Writes the sums of a group.
///
/// # Safety
/// Nobody else may use the group's pixels in `out`.
unsafe fn finish(group: &[Pair], sums: &[f32], bias: &[f32], out: &OutputBlock) {
    for (pieces, sums) in group.iter().flat_map(|pair| pair.pieces).zip(sums.chunks_exact(512)) {
        for piece in pieces {
            // SAFETY: the caller's contract.
            unsafe { around!(finish(piece, sums, bias, out)) };
        }
    }
}
