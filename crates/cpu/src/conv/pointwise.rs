//! Gradients of the parameters of a 1×1 convolution: `dw[k][c] = Σ dy[k][pixel] · x[c][pixel]`, over pixels that lie next
//! to each other on both sides, and `db[k] = Σ dy[k][pixel]`.
//!
//! The side with fewer channels is turned into panels `[pixel][32]`, a chunk of pixels at a time; the other is read in
//! place, a broadcast a channel and pixel. Tasks take whole runs of chunks, so that both sides are read once, and leave a
//! partial sum each. Their number follows from the sizes alone: the result does not depend on the threads.

use super::chunks::{Chunk, Chunks};
use crate::gemm::{Fetch, Left, PANEL, Product, Turn, group_count, group_rows, multiply_ahead, turn};
use crate::isa::{Isa, isa_entry};
use crate::panel::PanelMut;
use crate::pixels::turn_pixels;
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use rayon::prelude::*;

/// Pixels of a chunk, at most. With 128 a product alone is a little faster, but within a training step, where images come
/// from memory, longer runs are read faster.
const CHUNK: usize = 256;
/// Floats of a partial sum, at most: with the panels and what is asked for ahead it stays in an L2 cache of 1 MiB.
const PARTIAL: usize = 256 * 256;
/// Tasks, at least, if there are so many chunks.
const TASKS: usize = 8;

/// One side of the product: some channels of `[n, channels, pixels]`.
#[derive(Clone, Copy)]
struct Side {
    values: Shared,
    channels: usize,
    from: usize,
    to: usize,
    /// Where the sums of the channels are wanted.
    sums: Option<Shared>,
}

impl Side {
    fn new(values: &[f32], channels: usize) -> Self {
        Self { values: Shared::read(values), channels, from: 0, to: channels, sums: None }
    }

    fn len(&self) -> usize {
        self.to - self.from
    }
}

struct Task {
    /// The side that is read in place, and the one that is turned.
    rows: Side,
    columns: Side,
    chunks: Chunks,
    /// Chunks of the task, from and up to.
    from: usize,
    to: usize,
    /// Scratch for the panels of a chunk, `[columns / 32][pixel][32]`, with room for 16 pixels more than there are.
    panels: *mut f32,
    /// The partial sum, `[rows][columns rounded up to 32]`.
    products: *mut f32,
}

impl Task {
    /// A channel of the chunk, in its first image.
    #[inline(always)]
    fn at(&self, side: &Side, chunk: &Chunk, channel: usize) -> *const f32 {
        side.values.at((chunk.image * side.channels + side.from + channel) * self.chunks.pixels + chunk.from)
    }

    /// Some channels of a chunk.
    #[inline(always)]
    fn fetch(&self, side: &Side, chunk: &Chunk, (c0, c1): (usize, usize)) -> Fetch {
        let (c0, c1) = (side.from + c0, side.from + c1);
        self.chunks.fetch(chunk, side.values, [side.channels, self.chunks.pixels], (c0, c1))
    }

    /// The columns of a chunk to panels, and their sums.
    #[inline(always)]
    unsafe fn turn<S: Simd>(&self, chunk: &Chunk) {
        unsafe {
            let (n, pixels) = (self.columns.len(), chunk.to - chunk.from);
            for column in (0..n.next_multiple_of(PANEL)).step_by(L) {
                let panel = self.panels.add(column / PANEL * chunk.len() * PANEL + column % PANEL);
                let mut sums = S::zero();
                for image in 0..chunk.images {
                    let src = self.at(&self.columns, chunk, image * self.columns.channels + column);
                    // What is past the last pixel is written over by those that come next, or not read.
                    let (channels, panel) = (n.saturating_sub(column).min(L), panel.add(image * pixels * PANEL));
                    sums = turn_pixels::<S>(src, self.chunks.pixels, channels, pixels, panel, PANEL, sums);
                }
                if let Some(at) = self.columns.sums.filter(|_| column < n) {
                    let (at, m) = (at.at(column), (n - column).min(L));
                    S::store_n(at, m, S::add(S::load_n(at, m), sums));
                }
            }
        }
    }

    /// The sums of some rows of a chunk.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, chunk: &Chunk, (r0, r1): (usize, usize), out: Shared) {
        unsafe {
            let pixels = chunk.to - chunk.from;
            for r in r0..r1 {
                let mut sums = S::zero();
                for image in 0..chunk.images {
                    let row = self.at(&self.rows, chunk, image * self.rows.channels + r);
                    for p in (0..pixels).step_by(L) {
                        sums = S::add(sums, S::load_n(row.add(p), (pixels - p).min(L)));
                    }
                }
                *out.at(r) += S::hsum(sums);
            }
        }
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (m, n) = (t.rows.len(), t.columns.len());
        let cs = n.next_multiple_of(PANEL);
        let groups = group_count(m, S::ROWS);
        for i in t.from..t.to {
            // The task after this one most likely begins where this one ends.
            let (chunk, next) = (t.chunks.get(i), t.chunks.get((i + 1).min(t.chunks.count() - 1)));
            let run = chunk.to - chunk.from;
            t.turn::<S>(&chunk);
            for g in 0..groups {
                let (r0, r1) = group_rows(m, groups, g);
                if let Some(out) = t.rows.sums {
                    t.sum::<S>(&chunk, (r0, r1), out);
                }
                let product = Product {
                    m,
                    n: cs,
                    k: chunk.len(),
                    a: Left::Runs {
                        at: t.at(&t.rows, &chunk, 0),
                        rs: t.chunks.pixels,
                        run,
                        jump: t.rows.channels * t.chunks.pixels - run,
                    },
                    groups: (g, g + 1),
                    b: t.panels,
                    c: t.products,
                    cs,
                    row_bias: std::ptr::null(),
                    column_bias: std::ptr::null(),
                    // Added at the end: the rounding errors of a long sum grow with the number of its addends.
                    add: if i > t.from { t.products } else { std::ptr::null_mut() },
                    is_long: false,
                };
                let (after, row) = if g + 1 < groups { (&chunk, g + 1) } else { (&next, 0) };
                let rows = t.fetch(&t.rows, after, group_rows(m, groups, row));
                let columns = t.fetch(&t.columns, &next, group_rows(n, groups, g));
                multiply_ahead::<S>(&product, &[rows, columns]);
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// How the work is cut: ranges of chunks, each with a partial sum, and blocks of rows.
#[derive(Clone, Copy)]
struct Cut {
    chunks: Chunks,
    ranges: usize,
    blocks: usize,
}

impl Cut {
    /// `None` where there are too few pixels to share out.
    fn new(n: usize, pixels: usize, rows: usize, columns: usize) -> Option<Self> {
        let chunks = Chunks { n, pixels, limit: CHUNK };
        let blocks = (rows * columns.next_multiple_of(PANEL)).div_ceil(PARTIAL).min(rows);
        let ranges = TASKS.div_ceil(blocks).next_power_of_two();
        (ranges <= chunks.count()).then_some(Self { chunks, ranges, blocks })
    }
}

/// Operands, how they are cut, and where the partial sums are: for every range the products, `[rows][columns rounded up to 32]`, then the
/// sums of `dy`, `[m]`.
struct Work {
    isa: Isa,
    cut: Cut,
    dy: Side,
    x: Side,
    /// Whether the rows are channels of `dy`, or else of `x`.
    turned: bool,
    sums: PanelMut,
}

impl Work {
    /// Rows, and the columns that the products have, in whole panels.
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = if self.turned { (&self.dy, &self.x) } else { (&self.x, &self.dy) };
        (rows.len(), columns.len().next_multiple_of(PANEL))
    }

    /// Floats of the sums of a range.
    fn partial(&self) -> usize {
        let (rows, cs) = self.size();
        rows * cs + self.dy.len()
    }

    /// The products of a range.
    fn products(&self, range: usize) -> PanelMut {
        let (rows, cs) = self.size();
        self.sums.skip(range * self.partial()).first(rows * cs).rows_of(cs)
    }

    /// The sums of `dy` of a range.
    fn channels(&self, range: usize) -> PanelMut {
        let (rows, cs) = self.size();
        self.sums.skip(range * self.partial() + rows * cs).first(self.dy.len()).rows_of(1)
    }

    /// Computes the products of one block of rows and one range of chunks, and with `summed` the sums of `dy`.
    ///
    /// # Safety
    /// The lengths must fit, and nobody else may touch these sums.
    unsafe fn run(&self, block: usize, range: usize, summed: bool) {
        let ((rows, cs), Cut { chunks, ranges, blocks }) = (self.size(), self.cut);
        let (from, to) = group_rows(rows, blocks, block);
        let (mut dy, mut x) = (self.dy, self.x);
        let side = if self.turned { &mut dy } else { &mut x };
        (side.from, side.to) = (from, to);
        if summed && (self.turned || block == 0) {
            let sums = self.channels(range).from(dy.from).first(dy.len());
            // SAFETY: the caller's contract: only this task has these channels of the range.
            unsafe { sums.slice() }.fill(0.0);
            dy.sums = Some(Shared::from(sums.at(0)));
        }
        let products = self.products(range).from(from);
        debug_assert!(products.holds(to - from, cs));
        with(cs * (CHUNK + L), |panels| {
            let task = Task {
                rows: if self.turned { dy } else { x },
                columns: if self.turned { x } else { dy },
                chunks,
                from: chunks.count() * range / ranges,
                to: chunks.count() * (range + 1) / ranges,
                panels: panels.as_mut_ptr(),
                products: products.at(0),
            };
            // SAFETY: the caller's contract; chunks have at most CHUNK pixels, and the panels room for 16 more.
            unsafe { task_isa(self.isa, &task) }
        });
    }

    /// Adds up rows `r0..r1` of all ranges, in their order, and puts them in their places in `dw`, whose rows are those of `dy`.
    ///
    /// # Safety
    /// All products must be there, and nobody else may touch these rows.
    unsafe fn finish(&self, (r0, r1): (usize, usize), dw: PanelMut) {
        let (_, cs) = self.size();
        let part = |range: usize| self.products(range).from(r0).first((r1 - r0) * cs);
        // SAFETY: the caller's contract.
        let total = unsafe { part(0).slice() };
        for range in 1..self.cut.ranges {
            // SAFETY: the caller's contract; the ranges do not overlap.
            let others = unsafe { part(range).slice() };
            for (total, value) in total.iter_mut().zip(&*others) {
                *total += value;
            }
        }
        if self.turned {
            let c = self.x.len();
            debug_assert!(dw.from(r0).holds(r1 - r0, c));
            for (row, total) in (r0..r1).zip(total.chunks_exact(cs)) {
                // SAFETY: the caller's contract; a row of `dw` has room for `c` floats, and `total` has as many.
                unsafe { std::ptr::copy_nonoverlapping(total.as_ptr(), dw.at(row), c) };
            }
        } else {
            let (to, columns) = (dw.skip(r0), self.dy.len());
            debug_assert!(to.holds(columns, r1 - r0));
            let turning =
                Turn { src: total.as_ptr(), src_rs: cs, rows: r1 - r0, columns, dst: to.at(0), dst_rs: to.stride() };
            // SAFETY: the caller's contract; the sums have `cs` columns, at least as many as are read.
            unsafe { turn(self.isa, &turning) };
        }
    }
}

/// Computes `dw: [m, c]`, and `db: [m]` if wanted, from `dy: [n, m, pixels]` and `x: [n, c, pixels]`; false, without
/// effect, where that would not pay. `dw` is columns `first..first + c` of rows of `rs` floats.
pub(super) fn backward_weight(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    [n, pixels, m, c]: [usize; 4],
    dw: &mut [f32],
    (first, rs): (usize, usize),
    db: Option<&mut [f32]>,
) -> bool {
    assert!(x.len() == n * c * pixels && dy.len() == n * m * pixels && dw.len() == m * rs && first + c <= rs);
    assert!(db.as_ref().is_none_or(|db| db.len() == m));
    let turned = m >= c;
    let (rows, columns) = if turned { (m, c) } else { (c, m) };
    if x.is_empty() || dy.is_empty() {
        return false;
    }
    let Some(cut) = Cut::new(n, pixels, rows, columns) else {
        return false;
    };
    let (ranges, blocks) = (cut.ranges, cut.blocks);
    let partial = rows * columns.next_multiple_of(PANEL) + m;
    with(ranges * partial, |sums| {
        let (dy, x, sums) = (Side::new(dy, m), Side::new(x, c), PanelMut::new(sums, partial));
        let work = Work { isa, cut, dy, x, turned, sums };
        debug_assert!(work.partial() == partial);
        // The ranges of a block one after the other, as a task asks for what comes after it.
        (0..ranges * blocks).into_par_iter().with_max_len(1).for_each(|i| {
            // SAFETY: the lengths were checked; every task has rows of its own of a range's sums.
            unsafe { work.run(i / ranges, i % ranges, db.is_some()) };
        });
        let dw = PanelMut::new(dw, rs).skip(first);
        (0..rows.div_ceil(L)).into_par_iter().for_each(|i| {
            // SAFETY: all products are there; every task has rows of its own.
            unsafe { work.finish((i * L, rows.min((i + 1) * L)), dw) };
        });
        if let Some(db) = db {
            for (k, db) in db.iter_mut().enumerate() {
                // SAFETY: every range has left its sums, and no task is running.
                *db = (0..ranges).map(|range| unsafe { *work.channels(range).at(k) }).sum();
            }
        }
    });
    true
}
