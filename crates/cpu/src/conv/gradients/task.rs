//! What is done with a chunk of pixels while a cache holds it.

use super::sums::{Sums, some_rows};
use crate::conv::ahead::{Ahead, STEP};
use crate::conv::chunks::{Chunk, Chunks};
use crate::conv::inplace::InPlace;
use crate::conv::taps::Source;
use crate::gemm::{Fetch, PANEL, group_count, group_rows};
use crate::isa::isa_entry;
use crate::pixels::turn_pixels;
use crate::scratch::Shared;
use crate::simd::{L, Simd};

/// Some channels of every image, `[n, channels, pixels]`.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) values: Shared,
    pub(super) channels: usize,
}

/// Some chunks.
pub(super) struct Task {
    pub(super) chunks: Chunks,
    /// Chunks of the task, from and up to.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) dy: Side,
    pub(super) dx: [Side; 2],
    pub(super) add: [Option<Shared>; 2],
    /// The weight's columns for either input, packed.
    pub(super) weight: [Shared; 2],
    /// The sides of the product that is `dw`: the rows, which are read in place, and the columns, which are turned.
    pub(super) rows: [Side; 2],
    pub(super) columns: Side,
    /// Scratch for the turned columns of a chunk, `[columns / 32][pixel][32]`, with room for 16 pixels more than there are.
    pub(super) panels: *mut f32,
    /// The partial sum, `[rows][columns rounded up to 32]`.
    pub(super) products: *mut f32,
    /// Null, or the sums of the channels of `dy`.
    pub(super) sums: *mut f32,
    /// Whether it is `dy` that is turned.
    pub(super) turned: bool,
}

impl Task {
    /// The first pixel of a chunk in the first channel of its first image.
    fn at(&self, side: &Side, chunk: &Chunk) -> *mut f32 {
        side.values.at(chunk.image * side.channels * self.chunks.pixels + chunk.from)
    }

    fn fetch(&self, side: &Side, chunk: &Chunk) -> Fetch {
        self.chunks.fetch(chunk, side.values, [side.channels, self.chunks.pixels], (0, side.channels))
    }

    /// The gradient of input `i`, in one image of a chunk.
    #[inline(always)]
    unsafe fn input<S: Simd>(&self, i: usize, chunk: &Chunk, image: usize) -> InPlace {
        let (side, pixels) = (self.dx[i], self.chunks.pixels);
        let at = |values: Shared| self.at(&Side { values, ..side }, chunk).wrapping_add(image * side.channels * pixels);
        let dy = self.at(&self.dy, chunk).wrapping_add(image * self.dy.channels * pixels);
        InPlace {
            a: self.weight[i].at(0),
            m: side.channels,
            groups: (0, group_count(side.channels, S::ROWS)),
            sources: [Source { at: dy, channels: self.dy.channels, stride: pixels }, Source::NONE],
            n: chunk.to - chunk.from,
            c: at(side.values),
            cs: pixels,
            bias: std::ptr::null(),
            add: self.add[i].map_or(std::ptr::null(), |add| at(add).cast_const()),
        }
    }

    /// The columns of a chunk to panels, and their sums.
    #[inline(always)]
    unsafe fn turn<S: Simd>(&self, chunk: &Chunk) {
        unsafe {
            let (n, run) = (self.columns.channels, chunk.to - chunk.from);
            for column in (0..n.next_multiple_of(PANEL)).step_by(L) {
                let panel = self.panels.add(column / PANEL * chunk.len() * PANEL + column % PANEL);
                let mut sums = S::zero();
                for image in 0..chunk.images {
                    let src = self.at(&self.columns, chunk).wrapping_add((image * n + column) * self.chunks.pixels);
                    // What is past the last pixel is written over by those that come next, or not read.
                    let (channels, panel) = (n.saturating_sub(column).min(L), panel.add(image * run * PANEL));
                    sums = turn_pixels::<S>(src, self.chunks.pixels, channels, run, panel, PANEL, sums);
                }
                if self.turned && !self.sums.is_null() && column < n {
                    let (at, m) = (self.sums.add(column), (n - column).min(L));
                    S::store_n(at, m, S::add(S::load_n(at, m), sums));
                }
            }
        }
    }

    /// The sums of the rows of a chunk.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, chunk: &Chunk) {
        unsafe {
            let (side, run) = (&self.rows[0], chunk.to - chunk.from);
            for r in 0..side.channels {
                let mut sums = S::zero();
                for image in 0..chunk.images {
                    let row = self.at(side, chunk).add((image * side.channels + r) * self.chunks.pixels);
                    for p in (0..run).step_by(L) {
                        sums = S::add(sums, S::load_n(row.add(p), (run - p).min(L)));
                    }
                }
                *self.sums.add(r) += S::hsum(sums);
            }
        }
    }

    /// The products of a chunk, a panel after the other, as the nearest cache holds one.
    #[inline(always)]
    unsafe fn products<S: Simd>(&self, chunk: &Chunk, first: bool, ahead: &mut Ahead, lines: usize) {
        unsafe {
            let cs = self.columns.channels.next_multiple_of(PANEL);
            let step = if S::WIDE { PANEL } else { L };
            for column in (0..cs).step_by(step) {
                let panel = self.panels.add(column / PANEL * chunk.len() * PANEL + column % PANEL);
                let mut products = self.products.add(column);
                for side in &self.rows {
                    let groups = group_count(side.channels, S::ROWS);
                    for i in 0..groups {
                        let (r0, r1) = group_rows(side.channels, groups, i);
                        let sums = Sums {
                            rows: self.at(side, chunk).add(r0 * self.chunks.pixels),
                            rs: self.chunks.pixels,
                            run: chunk.to - chunk.from,
                            images: chunk.images,
                            image: side.channels * self.chunks.pixels,
                            panel,
                            out: products,
                            cs,
                            first,
                        };
                        if S::WIDE {
                            some_rows::<S, 2>(r1 - r0, &sums, ahead, lines);
                        } else {
                            some_rows::<S, 1>(r1 - r0, &sums, ahead, lines);
                        }
                        products = products.add((r1 - r0) * cs);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        for i in t.from..t.to {
            // The task after this one most likely begins where this one ends.
            let (chunk, next) = (t.chunks.get(i), t.chunks.get((i + 1).min(t.chunks.count() - 1)));
            let [x0, x1] = if t.turned { t.rows } else { [t.columns, t.rows[1]] };
            let mut ahead = Ahead::new([t.dy, t.dx[0], t.dx[1], x0, x1].map(|side| t.fetch(&side, &next)));
            // As many questions as both products ask.
            let groups = |side: &Side| group_count(side.channels, S::ROWS);
            let inputs = (groups(&t.dx[0]) + groups(&t.dx[1])) * t.input::<S>(0, &chunk, 0).questions::<S>();
            let columns = t.columns.channels.div_ceil(if S::WIDE { PANEL } else { L });
            let pixels = (chunk.to - chunk.from).div_ceil(STEP);
            let products = (groups(&t.rows[0]) + groups(&t.rows[1])) * columns * pixels;
            let lines = ahead.lines().div_ceil(chunk.images * (inputs + products));
            for i in [0, 1] {
                for image in 0..chunk.images {
                    t.input::<S>(i, &chunk, image).multiply::<S>(&mut ahead, lines);
                }
            }
            t.turn::<S>(&chunk);
            if !t.turned && !t.sums.is_null() {
                t.sum::<S>(&chunk);
            }
            t.products::<S>(&chunk, i == t.from, &mut ahead, lines);
        }
    }
}
isa_entry!(
    /// [`task`].
    pub(super) task_isa [] = task(Task)
);
