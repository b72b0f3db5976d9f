//! A convolution as a matrix product: `y[k][pixel] = Σ w[k][c, tap] · x[c, tap][pixel]`. The right-hand matrix is never
//! stored; every task lowers the pixels that it is about to multiply, and they stay in its cache.

use super::taps::{Table, gather_channels};
use crate::cpu::gemm::{Left, PANEL, PackA, Product, group_count, multiply_generic, pack_a, packed_a_len};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// Bytes of lowered pixels of a task: half of an L2 cache of 1 MiB or less.
const BLOCK_BYTES: usize = 384 * 1024;
/// Channels that are asked for ahead of the one being lowered.
const AHEAD: usize = 2;

/// Images as a convolution reads them.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub(super) values: &'a [f32],
    pub(super) n: usize,
    pub(super) channels: usize,
    /// Floats from one channel to the next (`channels` times that from one image to the next).
    pub(super) stride: usize,
}

/// What is multiplied, and what is added to it.
pub(super) struct Lowered<'a> {
    pub(super) images: Images<'a>,
    pub(super) table: &'a Table,
    /// Output channels.
    pub(super) m: usize,
    /// `[m, channels taps]`
    pub(super) matrix: &'a [f32],
    /// `[m]`
    pub(super) bias: Option<&'a [f32]>,
    /// In the shape of the output.
    pub(super) add: Option<&'a [f32]>,
}

struct Task<'a> {
    table: &'a Table,
    src: *const f32,
    channels: usize,
    stride: usize,
    /// Columns of the block, from and up to; `from` is a multiple of 32.
    from: usize,
    to: usize,
    /// Scratch for the block.
    panels: *mut f32,
    product: Product,
}

/// The pixels themselves, channel by channel, so that memory is read in order.
#[inline(always)]
unsafe fn copy<S: Simd>(t: &Task, depth: usize) {
    unsafe {
        for c in 0..t.channels {
            let src = t.src.add(c * t.stride + t.from);
            S::prefetch(src.wrapping_add(AHEAD * t.stride), t.to - t.from);
            let row = t.panels.add(c * PANEL);
            for column in (0..t.to - t.from).step_by(L) {
                let m = t.to - t.from - column;
                let dst = row.add(column / PANEL * depth * PANEL + column % PANEL);
                S::store(dst, if m >= L { S::load(src.add(column)) } else { S::load_n(src.add(column), m) });
            }
        }
    }
}

/// The pixels that the taps read, all channels of a tap one after the other: they read the same runs.
#[inline(always)]
unsafe fn gather<S: Simd>(t: &Task, depth: usize) {
    unsafe {
        let taps = t.table.taps;
        for column in (0..t.to - t.from).step_by(L) {
            let dst = t.panels.add(column / PANEL * depth * PANEL + column % PANEL);
            for tap in 0..taps {
                let runs = t.table.runs((t.from + column) / L, tap);
                gather_channels::<S>(runs, t.src, t.channels, t.stride, dst.add(tap * PANEL), taps * PANEL);
            }
        }
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let depth = t.channels * t.table.taps;
        if t.table.identity {
            copy::<S>(t, depth);
        } else {
            gather::<S>(t, depth);
        }
        multiply_generic::<S>(&t.product);
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// Computes `y: [n, m, pixels]`.
pub(super) fn convolve(l: &Lowered, y: &mut [f32]) {
    let Images { values, n, channels, stride } = l.images;
    let pixels = l.table.pixels;
    let depth = channels * l.table.taps;
    assert!(values.len() == n * channels * stride && l.matrix.len() == l.m * depth);
    assert!(y.len() == n * l.m * pixels);
    assert!(l.bias.is_none_or(|b| b.len() == l.m) && l.add.is_none_or(|a| a.len() == y.len()));
    if y.is_empty() {
        return;
    }
    let isa = Isa::current();
    with(packed_a_len(l.m, depth), |a| {
        let pack =
            PackA { src: l.matrix.as_ptr(), rs: depth, cs: 1, m: l.m, k: depth, factor: 1.0, dst: a.as_mut_ptr() };
        // SAFETY: the matrix is `m` × `depth`, and so is the scratch.
        unsafe { pack_a(isa, &pack) };
        run(isa, l, a, y);
    })
}

fn run(isa: Isa, l: &Lowered, a: &[f32], y: &mut [f32]) {
    let Images { values, n, channels, stride } = l.images;
    let pixels = l.table.pixels;
    let depth = channels * l.table.taps;
    let fit = BLOCK_BYTES / (depth.max(1) * size_of::<f32>());
    // Small batches are cut finer, so that there is work for all threads. Every value is computed by itself, so this, and
    // sharing out the rows as well, may depend on their number.
    let threads = rayon::current_num_threads();
    let share = (n * pixels).div_ceil(4 * threads).next_multiple_of(PANEL);
    let columns = (fit / PANEL * PANEL).min(share).max(PANEL);
    let blocks = pixels.div_ceil(columns);
    let groups = group_count(l.m, isa.gemm_rows());
    let parts = (2 * threads).div_ceil(n * blocks).min(groups);
    let (values, y, a) = (Shared::read(values), Shared::new(y), Shared::read(a));
    let (bias, add) = (Shared::read_option(l.bias), l.add.map(Shared::read));
    (0..n * blocks * parts).into_par_iter().with_max_len(1).for_each(|i| {
        let (image, block, part) = (i / parts / blocks, i / parts % blocks, i % parts);
        let (from, to) = (block * columns, pixels.min((block + 1) * columns));
        with(depth * (to - from).next_multiple_of(PANEL), |panels| {
            let at = image * l.m * pixels + from;
            let task = Task {
                table: l.table,
                src: values.at(image * channels * stride),
                channels,
                stride,
                from,
                to,
                panels: panels.as_mut_ptr(),
                product: Product {
                    m: l.m,
                    n: to - from,
                    k: depth,
                    a: Left::Packed(a.at(0)),
                    groups: (groups * part / parts, groups * (part + 1) / parts),
                    b: panels.as_ptr(),
                    c: y.at(at),
                    cs: pixels,
                    row_bias: bias.at(0),
                    column_bias: std::ptr::null(),
                    add: add.map_or(std::ptr::null(), |add| add.at(at).cast_const()),
                },
            };
            // SAFETY: `convolve` checked the lengths; the table's runs lie within a channel; tasks write disjoint
            // columns and rows of the output.
            unsafe { task_isa(isa, &task) }
        })
    });
}
