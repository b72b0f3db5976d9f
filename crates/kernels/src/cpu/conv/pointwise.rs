//! Weight gradient of a 1×1 convolution: `dw[k][c] = Σ dy[k][pixel] · x[c][pixel]`, over pixels that lie next to each
//! other on both sides.
//!
//! The side with fewer channels is turned into panels `[pixel][32]`, a chunk of pixels at a time; the other is read in
//! place, a broadcast a channel and pixel. Tasks take whole runs of chunks, so that both sides are read once, and leave a
//! partial sum each. Their number follows from the sizes alone: the result does not depend on the threads.

use crate::cpu::gemm::{Left, PANEL, Product, group_count, multiply_generic};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// Pixels of a chunk, at most: a panel of them stays in the L1 cache.
const CHUNK: usize = 128;
/// Pixels that a task should have at least, so that its partial sum does not matter.
const TASK_PIXELS: usize = 256;
/// Tasks, at most and at least: with fewer, the general algorithm shares the work out better.
const TASKS: std::ops::RangeInclusive<usize> = 8..=32;
/// Floats of a partial sum, at most: it stays in the L1 or L2 cache. For larger ones the general algorithm, which keeps
/// none, is faster (measured on 14×14 and 16×16 pixels: 64 × 192 channels are faster here, 128 × 256 are not).
const PARTIAL: usize = 128 * 128;

/// Floats of the partial sums that are added up at a time.
const SUM: usize = 1024;

/// One side of the product: `[n, channels, pixels]`.
#[derive(Clone, Copy)]
struct Side {
    values: Shared,
    channels: usize,
}

struct Task {
    /// The side that is read in place, and the one that is turned.
    rows: Side,
    columns: Side,
    pixels: usize,
    /// Chunks of an image, and those of the task, from and up to.
    chunks: usize,
    from: usize,
    to: usize,
    /// Scratch for a panel, `[CHUNK][32]`.
    panel: *mut f32,
    /// The partial sum, `[rows][columns rounded up to 32]`.
    sums: *mut f32,
}

/// Pixels `p0..p1` of up to 32 channels at `src` to the panel.
#[inline(always)]
unsafe fn turn<S: Simd>(src: *const f32, pixels: usize, channels: usize, [p0, p1]: [usize; 2], panel: *mut f32) {
    unsafe {
        for half in 0..2 {
            let first = half * L;
            for p in (p0..p1).step_by(L) {
                let m = (p1 - p).min(L);
                let mut v = [S::zero(); L];
                for i in 0..L {
                    if first + i < channels {
                        let at = src.add((first + i) * pixels + p);
                        v[i] = if m == L { S::load(at) } else { S::load_n(at, m) };
                    }
                }
                S::transpose(&mut v);
                for i in 0..L {
                    S::store(panel.add((p - p0 + i) * PANEL + first), v[i]);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (m, n) = (t.rows.channels, t.columns.channels);
        let cs = n.next_multiple_of(PANEL);
        let groups = group_count(m, S::ROWS);
        for chunk in t.from..t.to {
            let (image, part) = (chunk / t.chunks, chunk % t.chunks);
            let (p0, p1) = (t.pixels * part / t.chunks, t.pixels * (part + 1) / t.chunks);
            // What the next chunk reads, on its way into the cache while this one is multiplied.
            let (next, after) = ((chunk + 1) / t.chunks, (chunk + 1) % t.chunks);
            let (q0, q1) = (t.pixels * after / t.chunks, t.pixels * (after + 1) / t.chunks);
            for side in [t.rows, t.columns] {
                for channel in 0..if chunk + 1 < t.to { side.channels } else { 0 } {
                    S::prefetch(side.values.at((next * side.channels + channel) * t.pixels + q0), q1 - q0);
                }
            }
            let a = t.rows.values.at(image * m * t.pixels + p0);
            for j in (0..n).step_by(PANEL) {
                let width = (n - j).min(PANEL);
                turn::<S>(t.columns.values.at((image * n + j) * t.pixels), t.pixels, width, [p0, p1], t.panel);
                let c = t.sums.add(j);
                multiply_generic::<S>(&Product {
                    m,
                    n: width.next_multiple_of(L),
                    k: p1 - p0,
                    a: Left::InPlace { at: a, rs: t.pixels, cs: 1 },
                    groups: (0, groups),
                    b: t.panel,
                    c,
                    cs,
                    row_bias: std::ptr::null(),
                    column_bias: std::ptr::null(),
                    add: if chunk > t.from { c } else { std::ptr::null_mut() },
                });
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// How the work is cut: chunks of an image, and tasks.
fn cut([n, pixels, m, k]: [usize; 4]) -> Option<(usize, usize)> {
    let chunks = pixels.div_ceil(CHUNK);
    let partial = m.max(k) * m.min(k).next_multiple_of(PANEL);
    let tasks = (n * pixels / TASK_PIXELS).min(n * chunks).min(*TASKS.end());
    (partial <= PARTIAL && TASKS.contains(&tasks)).then_some((chunks, tasks))
}

/// Computes `dw: [m, c]` from `dy: [n, m, pixels]` and `x: [n, c, pixels]`; false where that would not pay.
pub(super) fn backward_weight(x: &[f32], dy: &[f32], [n, pixels, m, c]: [usize; 4], dw: &mut [f32]) -> bool {
    assert!(x.len() == n * c * pixels && dy.len() == n * m * pixels && dw.len() == m * c);
    let Some((chunks, tasks)) = cut([n, pixels, m, c]) else {
        return false;
    };
    let isa = Isa::current();
    let (x, dy) = (Side { values: Shared::read(x), channels: c }, Side { values: Shared::read(dy), channels: m });
    let turned = m >= c;
    let (rows, columns) = if turned { (dy, x) } else { (x, dy) };
    let cs = columns.channels.next_multiple_of(PANEL);
    let partial = rows.channels * cs;
    with(tasks * partial, |sums| {
        sums.par_chunks_exact_mut(partial).with_max_len(1).enumerate().for_each(|(i, sums)| {
            with(CHUNK.next_multiple_of(L) * PANEL, |panel| {
                let (from, to) = (n * chunks * i / tasks, n * chunks * (i + 1) / tasks);
                let (panel, sums) = (panel.as_mut_ptr(), sums.as_mut_ptr());
                let task = Task { rows, columns, pixels, chunks, from, to, panel, sums };
                // SAFETY: the lengths were checked; chunks have at most CHUNK pixels; the partial sum is the task's own.
                unsafe { task_isa(isa, &task) }
            });
        });
        // All partial sums of some elements at a time, in the order of the tasks.
        let (total, others) = sums.split_at_mut(partial);
        total.par_chunks_mut(SUM).enumerate().for_each(|(i, total)| {
            for other in others.chunks_exact(partial) {
                for (total, value) in total.iter_mut().zip(&other[i * SUM..]) {
                    *total += value;
                }
            }
        });
        for (k, dw) in dw.chunks_exact_mut(c).enumerate() {
            if turned {
                dw.copy_from_slice(&total[k * cs..][..c]);
            } else {
                for (c, dw) in dw.iter_mut().enumerate() {
                    *dw = total[c * cs + k];
                }
            }
        }
    });
    true
}
