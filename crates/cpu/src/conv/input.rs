//! Input gradient of the general algorithm.
//!
//! Pixels of the input whose row and column leave the same remainders divided by the stride see the same taps: such a
//! phase of the gradient is a convolution of `dy` with a step of 1. A task computes all phases of an image, then puts them
//! in their places while its cache holds them.

use super::lowered::{Images, Lowered};
use super::product::{Block, block_columns, block_isa, convolve, pack};
use super::sizes::Conv2d;
use super::taps::{Grid, Source, Table, Tap};
use crate::gemm::{Fetch, Left, Matrix, PANEL, Product, group_count, group_rows, packed_a_len};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use rayon::prelude::*;

/// Rows (or columns) of `len` that leave the remainder `phase`.
fn phase_len(len: usize, stride: usize, phase: usize) -> usize {
    (len + stride - 1 - phase) / stride
}

/// The pixels whose row and column leave the same remainders.
struct Phase {
    /// The taps that they see, and where these read `dy`.
    used: Vec<usize>,
    table: Table,
}

impl Phase {
    fn new(s: &Conv2d, row: usize, column: usize) -> Self {
        let (oh, ow) = s.output_size();
        let [top, left, _, _] = s.padding;
        let (height, width) = (phase_len(s.h, s.stride, row), phase_len(s.w, s.stride, column));
        let grid = Grid { rows: oh, columns: ow, step: 1, height, width };
        let stride = s.stride as isize;
        let (mut taps, mut used) = (Vec::new(), Vec::new());
        for i in 0..s.side * s.side {
            let y = (row + top) as isize - (i / s.side) as isize;
            let x = (column + left) as isize - (i % s.side) as isize;
            if y.rem_euclid(stride) == 0 && x.rem_euclid(stride) == 0 {
                taps.push(Tap { dy: y / stride, dx: x / stride });
                used.push(i);
            }
        }
        Self { used, table: Table::new(&grid, &taps) }
    }

    /// Rows of the lowered matrix.
    fn depth(&self, s: &Conv2d) -> usize {
        s.k * self.used.len()
    }

    /// Runs `f` with the matrix `[c, k taps]` of the taps used.
    fn with_matrix(&self, s: &Conv2d, weight: &[f32], f: impl FnOnce(Matrix)) {
        if s.side == 1 && !self.used.is_empty() {
            return f(Matrix::rows(weight, s.c).transposed());
        }
        let depth = self.depth(s);
        with(s.c * depth, |matrix| {
            exchange_channels(s, weight, &self.used, matrix);
            f(Matrix::rows(matrix, depth));
        })
    }
}

/// The `used` taps of `weight: [k][c][tap]` as `[c][k][used]`.
fn exchange_channels(s: &Conv2d, weight: &[f32], used: &[usize], matrix: &mut [f32]) {
    /// Input channels of a task: neighbours in `weight`, so that whole lines of it are used.
    const CHANNELS: usize = 16;
    let (area, row) = (s.side * s.side, s.k * used.len());
    if row == 0 {
        return;
    }
    matrix.par_chunks_mut(CHANNELS * row).enumerate().for_each(|(i, rows)| {
        for (k, weight) in weight.chunks_exact(s.c * area).enumerate() {
            let weight = weight[i * CHANNELS * area..].chunks_exact(area);
            for (row, weight) in rows.chunks_exact_mut(row).zip(weight) {
                for (out, &tap) in row[k * used.len()..].iter_mut().zip(used) {
                    *out = weight[tap];
                }
            }
        }
    });
}

/// Computes `dx: [n, c, h, w]` from `dy: [n, k, h', w']`, plus `add`.
pub(super) fn backward_input(isa: Isa, s: &Conv2d, dy: &[f32], weight: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    let (oh, ow) = s.output_size();
    assert!(dy.len() == s.output_len() && weight.len() == s.weight_len() && dx.len() == s.input_len());
    assert!(add.is_none_or(|add| add.len() == dx.len()));
    if s.stride == 1 {
        let phase = Phase::new(s, 0, 0);
        let images = [Images { values: dy, n: s.n, channels: s.k, stride: oh * ow }, Images::NONE];
        return phase.with_matrix(s, weight, |matrix| {
            convolve(isa, &Lowered { images, table: &phase.table, m: s.c, matrix, bias: None, add }, dx);
        });
    }
    if dx.is_empty() {
        return;
    }
    let phases: Vec<Phase> = (0..s.stride * s.stride).map(|i| Phase::new(s, i / s.stride, i % s.stride)).collect();
    let packed = phases.iter().map(|phase| packed_a_len(s.c, phase.depth(s))).sum();
    with(packed, |packed| {
        let mut rest = &mut *packed;
        for phase in &phases {
            let depth = phase.depth(s);
            let (a, after) = rest.split_at_mut(packed_a_len(s.c, depth));
            phase.with_matrix(s, weight, |matrix| pack(isa, &matrix, s.c, depth, a));
            rest = after;
        }
        images(isa, s, &phases, packed, dy, add, dx);
    });
}

/// Every image, or some of its channels, by itself.
fn images(isa: Isa, s: &Conv2d, phases: &[Phase], packed: &[f32], dy: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    let (oh, ow) = s.output_size();
    let groups = group_count(s.c, isa.gemm_rows());
    // Small batches are cut by channels, too, so that there is work for all threads.
    let parts = (2 * rayon::current_num_threads()).div_ceil(s.n).min(groups);
    let len = s.c * s.h * s.w;
    let (packed, dy, dx) = (Shared::read(packed), Shared::read(dy), Shared::new(dx));
    let add = add.map(Shared::read);
    (0..s.n * parts).into_par_iter().with_max_len(1).for_each(|i| {
        let (image, part) = (i / parts, i % parts);
        let rows = (groups * part / parts, groups * (part + 1) / parts);
        let dy = dy.at(image * s.k * oh * ow);
        with(len, |planes| {
            // SAFETY: the lengths were checked; an image is as long as its phases together.
            unsafe { convolve_phases(isa, s, phases, packed.at(0), dy, rows, planes.as_mut_ptr()) };
            let places = Places {
                s,
                channels: [group_rows(s.c, groups, rows.0).0, group_rows(s.c, groups, rows.1 - 1).1],
                planes: planes.as_ptr(),
                add: add.map_or(std::ptr::null(), |add| add.at(image * len).cast_const()),
                dx: dx.at(image * len),
            };
            // SAFETY: as above; tasks write disjoint channels.
            unsafe { place(isa, &places) }
        });
    });
}

/// Groups of the channels of all phases of an image, from its `dy: [k, h', w']` and the packed matrices.
///
/// # Safety
/// The lengths must fit.
unsafe fn convolve_phases(
    isa: Isa,
    s: &Conv2d,
    phases: &[Phase],
    mut packed: *const f32,
    dy: *const f32,
    groups: (usize, usize),
    mut planes: *mut f32,
) {
    let (oh, ow) = s.output_size();
    let sources = [Source { at: dy, channels: s.k, stride: oh * ow }, Source::NONE];
    for phase in phases {
        let (depth, pixels) = (phase.depth(s), phase.table.pixels);
        let columns = block_columns(depth);
        for from in (0..pixels).step_by(columns) {
            let to = pixels.min(from + columns);
            with(depth * (to - from).next_multiple_of(PANEL), |panels| {
                // Written and read through one pointer.
                let panels = panels.as_mut_ptr();
                let (a, sizes) = (Left::Packed(packed), [s.c, to - from, depth]);
                let product = Product::whole(isa, sizes, a, panels, planes.wrapping_add(from), pixels);
                let block = Block {
                    table: &phase.table,
                    sources,
                    from,
                    to,
                    panels,
                    product: Product { groups, ..product },
                    next: [Fetch::NOTHING; 2],
                };
                // SAFETY: the caller's contract; the table's runs lie within a channel.
                unsafe { block_isa(isa, &block) }
            });
        }
        packed = packed.wrapping_add(packed_a_len(s.c, depth));
        planes = planes.wrapping_add(s.c * pixels);
    }
}

/// What puts the phases of an image in their places.
struct Places<'a> {
    s: &'a Conv2d,
    /// Channels, from and up to.
    channels: [usize; 2],
    /// The phases, one after the other, each `[c, pixels]`.
    planes: *const f32,
    /// Null, or what is added, `[c, h, w]`.
    add: *const f32,
    /// `[c, h, w]`
    dx: *mut f32,
}

/// Row by row of the gradient.
#[inline(always)]
unsafe fn place_generic<S: Simd>(t: &Places) {
    unsafe {
        let Conv2d { c: channels, h, w, stride, .. } = *t.s;
        let mut planes = t.planes;
        for row in 0..stride {
            let height = phase_len(h, stride, row);
            for c in t.channels[0]..t.channels[1] {
                for y in 0..height {
                    let at = (c * h + y * stride + row) * w;
                    let (dx, add) = (t.dx.add(at), if t.add.is_null() { t.add } else { t.add.add(at) });
                    let mut phase = planes;
                    if stride == 2 {
                        let widths = [phase_len(w, 2, 0), phase_len(w, 2, 1)];
                        let odd = phase.add(channels * height * widths[0]);
                        let row = c * height + y;
                        pairs::<S>([phase.add(row * widths[0]), odd.add(row * widths[1])], w, add, dx);
                        continue;
                    }
                    for column in 0..stride {
                        let width = phase_len(w, stride, column);
                        for x in 0..width {
                            let value = *phase.add((c * height + y) * width + x);
                            let i = x * stride + column;
                            *dx.add(i) = if add.is_null() { value } else { value + *add.add(i) };
                        }
                        phase = phase.add(channels * height * width);
                    }
                }
            }
            planes = planes.add(channels * height * w);
        }
    }
}
isa_entry!(
    /// [`place_generic`].
    place [] = place_generic(Places)
);

/// A row of `w` values, the even columns and the odd ones at `phases`.
#[inline(always)]
unsafe fn pairs<S: Simd>(phases: [*const f32; 2], w: usize, add: *const f32, dx: *mut f32) {
    unsafe {
        for x in (0..w).step_by(2 * L) {
            let left = w - x;
            let even = S::load_n(phases[0].add(x / 2), left.div_ceil(2).min(L));
            let odd = S::load_n(phases[1].add(x / 2), (left / 2).min(L));
            let values = S::interleave(even, odd);
            for v in 0..2 {
                let n = left.saturating_sub(v * L).min(L);
                if n > 0 {
                    let at = x + v * L;
                    let value = if add.is_null() { values[v] } else { S::add(values[v], S::load_n(add.add(at), n)) };
                    S::store_n(dx.add(at), n, value);
                }
            }
        }
    }
}
