//! Weight gradient of a lowered convolution: `dw[k][c, tap] = Σ dy[k][pixel] · x[c, tap][pixel]`.
//!
//! A task computes some columns of `dw` over all images in order, so that the sums do not depend on who computes what. It
//! lowers a chunk of pixels of its columns to panels `[pixel][32]`; the rows of `dy` are read where they are.

use super::chunks::{Chunk, Chunks};
use super::lowered::Images;
use super::taps::{Source, Table, gather_channels};
use crate::gemm::{Ahead, Left, PANEL, Product, group_count, group_rows, multiply_ahead_isa};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use rayon::prelude::*;

/// Pixels of a chunk, at most: a panel of them is 32 KiB, and 12 rows of `dy` are 12 KiB, about an L1 cache.
const CHUNK: usize = 256;
/// Columns of a task, at most. Every task reads all of `dy`, so they should be many; the lowered chunk of so many is 128 KiB.
const COLUMNS: usize = 128;

/// Floats of 16 pixels of the columns of a task.
const BLOCK: usize = COLUMNS.next_multiple_of(L) * L;

/// A chunk of some columns to panels.
struct Lower<'a> {
    table: &'a Table,
    /// The first image, and floats from one to the next.
    src: *const f32,
    image: usize,
    /// Floats from one channel to the next.
    stride: usize,
    chunk: Chunk,
    /// Columns, from and up to.
    columns: [usize; 2],
    /// Scratch for 16 pixels of the columns, rounded up to 16.
    block: *mut f32,
    /// Panels `[pixel][32]`.
    panels: *mut f32,
}

#[inline(always)]
unsafe fn lower_generic<S: Simd>(t: &Lower) {
    unsafe {
        let (taps, chunk, [first, last]) = (t.table.taps, t.chunk, t.columns);
        let columns = last - first;
        // The channel and tap of the first column; channels of every tap, and taps that have one more.
        let start = (first / taps, first % taps);
        let (whole, rest) = (columns / taps, columns % taps);
        for image in 0..chunk.images {
            let at = t.src.add((chunk.image + image) * t.image);
            for p in (chunk.from..chunk.to).step_by(L) {
                // Column by column first, all channels of a tap one after the other, as they read the same runs; then
                // 16 × 16 blocks are turned in the cache.
                let (mut c, mut tap) = start;
                for i in 0..taps.min(columns) {
                    let channels = whole + usize::from(i < rest);
                    let source = Source { at: at.add(c * t.stride), channels, stride: t.stride };
                    gather_channels::<S>(t.table, p / L, tap, &source, t.block.add(i * L), taps * L);
                    tap += 1;
                    if tap == taps {
                        (c, tap) = (c + 1, 0);
                    }
                }
                let (row, pixels) = (image * (chunk.to - chunk.from) + p - chunk.from, chunk.to - p);
                for column in (0..columns).step_by(L) {
                    let mut v = [S::zero(); L];
                    for i in 0..L {
                        v[i] = S::load(t.block.add((column + i) * L));
                    }
                    S::transpose(&mut v);
                    let panel = t.panels.add((column / PANEL * chunk.len() + row) * PANEL + column % PANEL);
                    for i in 0..L {
                        if i < pixels {
                            S::store(panel.add(i * PANEL), v[i]);
                        }
                    }
                }
            }
        }
    }
}
isa_entry!(
    /// [`lower_generic`].
    lower [] = lower_generic(Lower)
);

/// The operands, and what one task computes of the result.
struct Task<'a> {
    images: Images<'a>,
    table: &'a Table,
    /// `[n, m, pixels]`
    dy: Shared,
    m: usize,
    rows: [usize; 2],
    columns: [usize; 2],
    dw: Shared,
}

impl Task<'_> {
    /// # Safety
    /// The lengths must fit, nobody else may touch these rows and columns of `dw`, and `scratch` must have room for a chunk.
    unsafe fn run(&self, isa: Isa, scratch: &mut [f32]) {
        let Images { values, n, channels, stride } = self.images;
        let (pixels, depth) = (self.table.pixels, channels * self.table.taps);
        let ([r0, r1], [from, to]) = (self.rows, self.columns);
        let groups = group_count(r1 - r0, isa.gemm_rows());
        let (block, panels) = scratch.split_at_mut(BLOCK);
        // Written and read through one pointer.
        let panels = panels.as_mut_ptr();
        let cut = Chunks { n, pixels, limit: CHUNK };
        let chunks = cut.count();
        for i in 0..chunks {
            let (chunk, next) = (cut.get(i), cut.get((i + 1).min(chunks - 1)));
            let lowering = Lower {
                table: self.table,
                src: values.as_ptr(),
                image: channels * stride,
                stride,
                chunk,
                columns: self.columns,
                block: block.as_mut_ptr(),
                panels,
            };
            let c = self.dw.at(r0 * depth + from);
            let product = Product {
                m: r1 - r0,
                n: to - from,
                k: chunk.len(),
                a: Left::Runs {
                    at: self.dy.at((chunk.image * self.m + r0) * pixels + chunk.from),
                    rs: pixels,
                    run: chunk.to - chunk.from,
                    jump: self.m * pixels - (chunk.to - chunk.from),
                },
                groups: (0, 0),
                b: panels,
                c,
                cs: depth,
                row_bias: std::ptr::null(),
                column_bias: std::ptr::null(),
                // Added at the end: the rounding errors of a long sum grow with the number of its addends.
                add: if i > 0 { c } else { std::ptr::null_mut() },
                is_long: false,
            };
            // SAFETY: the caller's contract; the table's runs lie within a channel.
            unsafe { lower(isa, &lowering) };
            let [c0, c1] = [from / self.table.taps, to.div_ceil(self.table.taps)];
            for g in 0..groups {
                let (after, row) = if g + 1 < groups { (&chunk, g + 1) } else { (&next, 0) };
                let (f0, f1) = group_rows(r1 - r0, groups, row);
                let (l0, l1) = group_rows(c1 - c0, groups, g);
                let next = [
                    cut.fetch(after, self.dy, [self.m, pixels], (r0 + f0, r0 + f1)),
                    cut.fetch(&next, Shared::read(values), [channels, stride], (c0 + l0, c0 + l1)),
                ];
                // SAFETY: as above.
                unsafe { multiply_ahead_isa(isa, &Ahead { product: Product { groups: (g, g + 1), ..product }, next }) };
            }
        }
    }
}

/// Computes `dw: [m, channels taps]` from `dy: [n, m, pixels]`.
pub(super) fn backward_weight(isa: Isa, images: Images, table: &Table, m: usize, dy: &[f32], dw: &mut [f32]) {
    let Images { values, n, channels, stride } = images;
    let (pixels, depth) = (table.pixels, channels * table.taps);
    assert!(values.len() == n * channels * stride && dy.len() == n * m * pixels && dw.len() == m * depth);
    if dy.is_empty() || dw.is_empty() {
        dw.fill(0.0);
        return;
    }
    // Rows are shared out only where there are fewer columns than threads: each share lowers the same pixels.
    let threads = rayon::current_num_threads();
    let panels = depth.div_ceil(PANEL);
    let blocks = depth.div_ceil(COLUMNS).max(2 * threads).next_multiple_of(threads).min(panels);
    let columns = |block: usize| depth.min(panels * block / blocks * PANEL);
    let groups = group_count(m, isa.gemm_rows());
    let shares = threads.div_ceil(blocks).min(groups);
    let (dy, dw) = (Shared::read(dy), Shared::new(dw));
    (0..blocks * shares).into_par_iter().with_max_len(1).for_each(|i| {
        let (block, share) = (i / shares, i % shares);
        let task = Task {
            images,
            table,
            dy,
            m,
            rows: [m * share / shares, m * (share + 1) / shares],
            columns: [columns(block), columns(block + 1)],
            dw,
        };
        // SAFETY: the lengths were checked; tasks write disjoint rows and columns of `dw`; a chunk has at most CHUNK pixels.
        with(BLOCK + COLUMNS.next_multiple_of(PANEL) * CHUNK, |scratch| unsafe { task.run(isa, scratch) });
    });
}
