//! Weight gradient of a lowered convolution: `dw[k][c, tap] = Σ dy[k][pixel] · x[c, tap][pixel]`.
//!
//! A task computes some columns of `dw` over all images in order, so that the sums do not depend on who computes what.

use super::product::Images;
use super::taps::{Table, gather};
use crate::cpu::gemm::{Reduce, reduce};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::pixels::load_pixels;
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// Vectors of pixels lowered at a time: with 32 columns 32 KiB.
const CHUNK: usize = 16;
/// Blocks of 16 columns of a task, at most.
const BLOCKS: usize = 2;

/// `dy` of one image and 16 channels to pixels of 16 channels.
struct Pixels {
    src: *const f32,
    plane: usize,
    channels: usize,
    dst: *mut f32,
}

#[inline(always)]
unsafe fn pixels<S: Simd>(p: &Pixels) {
    unsafe { load_pixels::<S>(p.src, p.plane, p.channels, 0, p.plane, p.plane, p.dst, 0) }
}
isa_entry!(
    /// [`pixels`].
    pixels_isa [] = pixels(Pixels)
);

struct Task<'a> {
    table: &'a Table,
    src: *const f32,
    n: usize,
    channels: usize,
    stride: usize,
    /// `dy` as pixels of 16 channels, `[m / 16][n pixels][16]`, from the task's first row on.
    dy: *const f32,
    /// Rows of the task.
    m: usize,
    /// Columns of the task, from and up to, at most 32 of them.
    from: usize,
    to: usize,
    /// Scratch for the lowered pixels, `[2][CHUNK 16][16]`, and for the sums, `[m rounded up to 16][32]`.
    lowered: *mut f32,
    sums: *mut f32,
    /// The task's first row of `dw`, rows `depth` apart.
    dw: *mut f32,
    depth: usize,
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (taps, pixels) = (t.table.taps, t.table.pixels);
        let blocks = (t.to - t.from).div_ceil(L);
        let panel = CHUNK * L * L;
        for image in 0..t.n {
            let src = t.src.add(image * t.channels * t.stride);
            for v0 in (0..t.table.vectors()).step_by(CHUNK) {
                let v1 = (v0 + CHUNK).min(t.table.vectors());
                for block in 0..blocks {
                    let k0 = t.from + block * L;
                    let panel = t.lowered.add(block * panel);
                    // Row by row first, so that memory is read in order; then 16 × 16 blocks are turned in the cache.
                    for i in 0..L {
                        let (c, tap) = ((k0 + i) / taps, (k0 + i) % taps);
                        let src = src.wrapping_add(c * t.stride);
                        // What the next channel will be read from.
                        let near = v0 * L * t.stride / pixels;
                        S::prefetch(src.wrapping_add(t.stride + near), (v1 - v0) * L * t.stride / pixels / taps);
                        for v in v0..v1 {
                            let value = if k0 + i < t.to { gather::<S>(t.table.runs(v, tap), src) } else { S::zero() };
                            S::store(panel.add(((v - v0) * L + i) * L), value);
                        }
                    }
                    for v in 0..v1 - v0 {
                        let at = panel.add(v * L * L);
                        let mut rows = [S::zero(); L];
                        for i in 0..L {
                            rows[i] = S::load(at.add(i * L));
                        }
                        S::transpose(&mut rows);
                        for i in 0..L {
                            S::store(at.add(i * L), rows[i]);
                        }
                    }
                }
                reduce::<S>(
                    t.m,
                    blocks,
                    Reduce {
                        a: t.dy.add((image * pixels + v0 * L) * L),
                        a_panel: t.n * pixels * L,
                        b: t.lowered,
                        b_panel: panel,
                        p: pixels.min(v1 * L) - v0 * L,
                        c: t.sums,
                        cs: BLOCKS * L,
                        accumulate: image + v0 > 0,
                    },
                );
            }
        }
        for r in 0..t.m {
            for j in (t.from..t.to).step_by(L) {
                let v = S::load(t.sums.add(r * BLOCKS * L + j - t.from));
                S::store_n(t.dw.add(r * t.depth + j), (t.to - j).min(L), v);
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// Computes `dw: [m, channels taps]` from `dy: [n, m, pixels]`.
pub(super) fn backward_weight(images: Images, table: &Table, m: usize, dy: &[f32], dw: &mut [f32]) {
    let Images { values, n, channels, stride } = images;
    let (pixels, depth) = (table.pixels, channels * table.taps);
    assert!(values.len() == n * channels * stride && dy.len() == n * m * pixels && dw.len() == m * depth);
    if dy.is_empty() || dw.is_empty() {
        dw.fill(0.0);
        return;
    }
    let isa = Isa::current();
    let panels = m.div_ceil(L);
    let panel = n * pixels * L;
    with(panels * panel, |transposed| {
        let out = Shared::new(transposed);
        let dy = Shared::read(dy);
        (0..n * panels).into_par_iter().with_max_len(1).for_each(|i| {
            let (image, p) = (i / panels, i % panels);
            let task = Pixels {
                src: dy.at((image * m + p * L) * pixels),
                plane: pixels,
                channels: (m - p * L).min(L),
                dst: out.at(p * panel + image * pixels * L),
            };
            // SAFETY: the lengths were checked; every task writes its own image and panel.
            unsafe { pixels_isa(isa, &task) }
        });
        run(isa, images, table, m, out, dw);
    });
}

fn run(isa: Isa, images: Images, table: &Table, m: usize, dy: Shared, dw: &mut [f32]) {
    let Images { values, n, channels, stride } = images;
    let (pixels, depth) = (table.pixels, channels * table.taps);
    // Few columns: they are cut finer, and then the rows are shared out as well, though each share lowers the same pixels.
    let tasks = 2 * rayon::current_num_threads();
    let width = if depth.div_ceil(BLOCKS * L) < tasks { L } else { BLOCKS * L };
    let columns = depth.div_ceil(width);
    let panels = m.div_ceil(L);
    let shares = tasks.div_ceil(columns).min(panels);
    let (values, dw) = (Shared::read(values), Shared::new(dw));
    let lowered_len = BLOCKS * CHUNK * L * L;
    (0..columns * shares).into_par_iter().with_max_len(1).for_each(|i| {
        let (column, share) = (i / shares, i % shares);
        let (p0, p1) = (panels * share / shares, panels * (share + 1) / shares);
        let (r0, r1) = (p0 * L, m.min(p1 * L));
        with(lowered_len + (p1 - p0) * L * BLOCKS * L, |scratch| {
            let (lowered, sums) = scratch.split_at_mut(lowered_len);
            let task = Task {
                table,
                src: values.at(0),
                n,
                channels,
                stride,
                dy: dy.at(p0 * n * pixels * L),
                m: r1 - r0,
                from: column * width,
                to: depth.min((column + 1) * width),
                lowered: lowered.as_mut_ptr(),
                sums: sums.as_mut_ptr(),
                dw: dw.at(r0 * depth),
                depth,
            };
            // SAFETY: `backward_weight` checked the lengths; the table's runs lie within a channel; tasks write
            // disjoint rows and columns of `dw`.
            unsafe { task_isa(isa, &task) }
        })
    });
}
