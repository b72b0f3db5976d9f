//! A convolution as a matrix product: `y[k][pixel] = Σ w[k][c, tap] · x[c, tap][pixel]`. The right-hand matrix is never
//! stored; every task lowers the pixels that it is about to multiply, and they stay in its cache.

use super::inplace;
use super::lowered::{Images, Lowered};
use super::taps::{Source, Table, gather_channels};
use crate::gemm::{
    Fetch, Left, Matrix, PANEL, PackA, Product, group_count, group_rows, multiply_ahead, pack_a, packed_a_len,
};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use rayon::prelude::*;

/// Bytes of lowered pixels of a task: half of an L2 cache of 1 MiB or less.
const BLOCK_BYTES: usize = 384 * 1024;
/// Floats of the matrix that a task packs, at least.
const PACK: usize = 32 * 1024;
/// Lines of a set of an L1 cache.
const SET: usize = 8;
/// Channels that are asked for ahead of the one being lowered.
const AHEAD: usize = 2;

/// A block of columns of one image.
pub(super) struct Block<'a> {
    pub(super) table: &'a Table,
    /// The channels of the image.
    pub(super) sources: [Source; 2],
    /// Columns of the block, from and up to; `from` is a multiple of 32.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Scratch for the block.
    pub(super) panels: *mut f32,
    pub(super) product: Product,
    /// What the task after this one lowers.
    pub(super) next: [Fetch; 2],
}

/// The pixels themselves, channel by channel, so that memory is read in order.
#[inline(always)]
unsafe fn copy<S: Simd>(t: &Block, source: &Source, panels: *mut f32, depth: usize) {
    unsafe {
        for c in 0..source.channels {
            let src = source.at.add(c * source.stride + t.from);
            S::prefetch(src.wrapping_add(AHEAD * source.stride), t.to - t.from);
            let row = panels.add(c * PANEL);
            for column in (0..t.to - t.from).step_by(L) {
                let m = t.to - t.from - column;
                let dst = row.add(column / PANEL * depth * PANEL + column % PANEL);
                S::store(dst, if m >= L { S::load(src.add(column)) } else { S::load_n(src.add(column), m) });
            }
        }
    }
}

/// The pixels that the taps read, some channels of a tap one after the other: they read the same runs.
#[inline(always)]
unsafe fn gather<S: Simd>(t: &Block, source: &Source, panels: *mut f32, depth: usize) {
    unsafe {
        let taps = t.table.taps;
        // Rows that lie a multiple of 4 KiB apart share a set of the L1 cache: only so many are still there for the next tap.
        let together = if source.stride.is_multiple_of(1024) { SET } else { source.channels.max(1) };
        for column in (0..t.to - t.from).step_by(L) {
            let dst = panels.add(column / PANEL * depth * PANEL + column % PANEL);
            let vector = (t.from + column) / L;
            for c in (0..source.channels).step_by(together) {
                let at = source.at.add(c * source.stride);
                let some = Source { at, channels: (source.channels - c).min(together), ..*source };
                for tap in 0..taps {
                    let dst = dst.add((c * taps + tap) * PANEL);
                    gather_channels::<S>(t.table, vector, tap, &some, dst, taps * PANEL);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn block<S: Simd>(t: &Block) {
    unsafe {
        let mut panels = t.panels;
        for source in &t.sources {
            if t.table.identity {
                copy::<S>(t, source, panels, t.product.k);
            } else {
                gather::<S>(t, source, panels, t.product.k);
            }
            panels = panels.wrapping_add(source.channels * t.table.taps * PANEL);
        }
        multiply_ahead::<S>(&t.product, &t.next);
    }
}
isa_entry!(
    /// [`block`].
    pub(super) block_isa [] = block(Block)
);

/// Columns of a block of lowered pixels, a multiple of 32.
pub(super) fn block_columns(depth: usize) -> usize {
    let fit = BLOCK_BYTES / (depth.max(1) * size_of::<f32>());
    (fit / PANEL * PANEL).max(PANEL)
}

/// The matrix of `m` × `depth` as products read it.
pub(super) fn pack(isa: Isa, matrix: &Matrix, m: usize, depth: usize, a: &mut [f32]) {
    assert!(matrix.holds(m, depth) && a.len() >= packed_a_len(m, depth));
    let (src, dst) = (Shared::read(matrix.values), Shared::new(a));
    let Matrix { rs, cs, .. } = *matrix;
    let groups = group_count(m, isa.gemm_rows());
    let least = PACK / (isa.gemm_rows() * depth.max(1)) + 1;
    (0..groups).into_par_iter().with_min_len(least).for_each(|group| {
        let (r0, r1) = group_rows(m, groups, group);
        let (src, dst) = (src.at(r0 * rs), dst.at(r0 * depth));
        // SAFETY: the matrix is `m` × `depth`, and so is the scratch, where every group has its own part.
        unsafe { pack_a(isa, &PackA { src, rs, cs, m: r1 - r0, k: depth, factor: 1.0, dst }) };
    });
}

/// Computes `y: [n, m, pixels]`.
pub(super) fn convolve(isa: Isa, l: &Lowered, y: &mut [f32]) {
    let (n, pixels) = (l.images[0].n, l.table.pixels);
    let depth = l.images.iter().map(|images| images.channels).sum::<usize>() * l.table.taps;
    for images in l.images {
        assert!(images.values.len() == n * images.channels * images.stride);
    }
    assert!(y.len() == n * l.m * pixels);
    assert!(l.bias.is_none_or(|b| b.len() == l.m) && l.add.is_none_or(|a| a.len() == y.len()));
    if y.is_empty() {
        return;
    }
    with(packed_a_len(l.m, depth), |a| {
        pack(isa, &l.matrix, l.m, depth, a);
        if l.table.identity && inplace::pays(l.m * depth, pixels) {
            inplace::convolve(isa, l, a, y);
        } else {
            run(isa, l, depth, a, y);
        }
    })
}

fn run(isa: Isa, l: &Lowered, depth: usize, a: &[f32], y: &mut [f32]) {
    let (n, pixels) = (l.images[0].n, l.table.pixels);
    // Small batches are cut finer, so that there is work for all threads. Every value is computed by itself, so this, and
    // sharing out the rows as well, may depend on their number.
    let threads = rayon::current_num_threads();
    let share = (n * pixels).div_ceil(4 * threads).next_multiple_of(PANEL);
    let columns = block_columns(depth).min(share);
    let blocks = pixels.div_ceil(columns);
    let groups = group_count(l.m, isa.gemm_rows());
    let parts = (2 * threads).div_ceil(n * blocks).min(groups);
    let values = l.images.map(|images| Shared::read(images.values));
    let (y, a) = (Shared::new(y), Shared::read(a));
    let (bias, add) = (Shared::read_option(l.bias), l.add.map(Shared::read));
    let sources = |image: usize| {
        [0, 1].map(|i| {
            let Images { channels, stride, .. } = l.images[i];
            Source { at: values[i].at(image * channels * stride), channels, stride }
        })
    };
    (0..n * blocks * parts).into_par_iter().with_max_len(1).for_each(|i| {
        let (image, block, part) = (i / parts / blocks, i / parts % blocks, i % parts);
        let (from, to) = (block * columns, pixels.min((block + 1) * columns));
        // The task after this one most likely follows on the same thread. What taps gather is not asked for: rows of it lie in
        // several places, which gains nothing.
        let after = ((i + 1) / parts).min(n * blocks - 1);
        let wanted = l.table.identity && after != i / parts;
        let next = sources(after / blocks).map(|source| {
            let [from, to] = [0, 1].map(|end| pixels.min((after % blocks + end) * columns));
            let rows = if wanted { source.channels } else { 0 };
            Fetch { at: source.at.wrapping_add(from), rows, rs: source.stride, len: to - from }
        });
        with(depth * (to - from).next_multiple_of(PANEL), |panels| {
            // Written and read through one pointer.
            let panels = panels.as_mut_ptr();
            let at = image * l.m * pixels + from;
            let block = Block {
                table: l.table,
                sources: sources(image),
                from,
                to,
                panels,
                product: Product {
                    m: l.m,
                    n: to - from,
                    k: depth,
                    a: Left::Packed(a.at(0)),
                    groups: (groups * part / parts, groups * (part + 1) / parts),
                    b: panels,
                    c: y.at(at),
                    cs: pixels,
                    row_bias: bias.at(0),
                    column_bias: std::ptr::null(),
                    add: add.map_or(std::ptr::null(), |add| add.at(at).cast_const()),
                    is_long: false,
                },
                next,
            };
            // SAFETY: `convolve` checked the lengths; the table's runs lie within a channel; tasks write disjoint
            // columns and rows of the output.
            unsafe { block_isa(isa, &block) }
        })
    });
}
