//! All gradients of a 1×1 convolution with a small weight in one pass over the pixels: `dx[c] = Σ w[k][c] dy[k]`,
//! `dw[k][c] = Σ dy[k][pixel] · x[c][pixel]` and `db[k] = Σ dy[k][pixel]`.
//!
//! Every tensor is read or written once, a chunk of pixels at a time, which a cache holds from the first product to the
//! last. Tasks take runs of chunks and leave a partial sum of `dw` each; their number follows from the sizes alone: the
//! result does not depend on the threads.

mod sums;
mod task;

use super::chunks::Chunks;
use super::inplace;
use super::product::pack;
use crate::elementwise::add_parts;
use crate::gemm::{Matrix, PANEL, Turn, packed_a_len, turn};
use crate::isa::Isa;
use crate::panel::PanelMut;
use crate::scratch::{Shared, with};
use crate::simd::L;
use rayon::prelude::*;
use task::{Side, Task, task_isa};

/// Pixels of a chunk, at most.
const CHUNK: usize = 208;
/// Tasks, if there are so many chunks.
const TASKS: usize = 16;

/// A 1×1 convolution of the channels of one or two tensors, and what is known of its gradients.
pub(super) struct Gradients<'a> {
    pub(super) n: usize,
    /// Pixels of an image.
    pub(super) pixels: usize,
    /// Channels of either input, and of the output.
    pub(super) c: [usize; 2],
    pub(super) k: usize,
    pub(super) x: [&'a [f32]; 2],
    pub(super) dy: &'a [f32],
    /// `[k, c[0] + c[1]]`
    pub(super) weight: &'a [f32],
    /// What is added to the gradients of the inputs.
    pub(super) add: [Option<&'a [f32]>; 2],
}

/// Computes the gradients `dx`, `dw: [k, c[0] + c[1]]` and, if wanted, `db: [k]`; false, without effect, where that would
/// not pay.
pub(super) fn gradients(isa: Isa, g: &Gradients, dx: [&mut [f32]; 2], dw: &mut [f32], db: Option<&mut [f32]>) -> bool {
    let Gradients { n, pixels, c, k, .. } = *g;
    let c_all = c[0] + c[1];
    assert!(g.dy.len() == n * k * pixels && g.weight.len() == k * c_all && dw.len() == k * c_all);
    assert!((0..2).all(|i| g.x[i].len() == n * c[i] * pixels && dx[i].len() == g.x[i].len()));
    assert!((0..2).all(|i| g.add[i].is_none_or(|add| add.len() == dx[i].len())));
    assert!(db.as_ref().is_none_or(|db| db.len() == k));
    if n * k * c_all * pixels == 0 || !inplace::pays(k * c_all, pixels) {
        return false;
    }
    let chunks = Chunks { n, pixels, limit: CHUNK };
    let tasks = chunks.count().min(TASKS);
    let sides = Sides::new(g, dx);
    let (m, cs) = sides.size();
    // The products of a task, then its sums of `dy`.
    let partial = m * cs + k;
    with(packed_a_len(k * c_all, 1) + tasks * partial, |scratch| {
        let (packed, sums) = scratch.split_at_mut(k * c_all);
        let weight = pack_weight(isa, g, packed);
        let shared = Shared::new(sums);
        (0..tasks).into_par_iter().with_max_len(1).for_each(|i| {
            let range = (chunks.count() * i / tasks, chunks.count() * (i + 1) / tasks);
            let sums = PanelMut::of(shared, i * partial, partial, cs);
            // SAFETY: the lengths were checked; the sums are the task's own, and tasks write disjoint pixels of `dx`.
            unsafe { sides.run(isa, chunks, range, weight, sums, db.is_some()) };
        });
        let total = add_parts(sums, partial);
        if let Some(db) = db {
            db.copy_from_slice(&total[m * cs..]);
        }
        sides.finish(isa, total, [k, c_all], dw);
    });
    true
}

/// The weight's columns for either input, packed one after the other.
fn pack_weight(isa: Isa, g: &Gradients, packed: &mut [f32]) -> [Shared; 2] {
    let (k, c) = (g.k, g.c);
    let (first, second) = packed.split_at_mut(k * c[0]);
    for (i, packed) in [&mut *first, &mut *second].into_iter().enumerate() {
        let values = g.weight.get(i * c[0]..).unwrap_or(&[]);
        pack(isa, &Matrix { values, rs: 1, cs: c[0] + c[1] }, c[i], k, packed);
    }
    [Shared::read(first), Shared::read(second)]
}

/// Operands and results, and which of them are the rows and the columns of the product that is `dw`.
struct Sides {
    dy: Side,
    dx: [Side; 2],
    add: [Option<Shared>; 2],
    rows: [Side; 2],
    columns: Side,
    turned: bool,
}

impl Sides {
    fn new(g: &Gradients, [dx0, dx1]: [&mut [f32]; 2]) -> Self {
        let (c, k) = (g.c, g.k);
        // The side with fewer channels is turned, if it is in one tensor.
        let turned = k <= c[0] + c[1] || c[0] * c[1] > 0;
        let side = |values: &[f32], channels: usize| Side { values: Shared::read(values), channels };
        let (dy, x) = (side(g.dy, k), [side(g.x[0], c[0]), side(g.x[1], c[1])]);
        let dx = [Side { values: Shared::new(dx0), channels: c[0] }, Side { values: Shared::new(dx1), channels: c[1] }];
        let none = Side { values: Shared::read(&[]), channels: 0 };
        let alone = if c[0] > 0 { x[0] } else { x[1] };
        let (rows, columns) = if turned { (x, dy) } else { ([dy, none], alone) };
        Self { dy, dx, add: g.add.map(|add| add.map(Shared::read)), rows, columns, turned }
    }

    /// Rows of the product, and its columns in whole panels.
    fn size(&self) -> (usize, usize) {
        (self.rows[0].channels + self.rows[1].channels, self.columns.channels.next_multiple_of(PANEL))
    }

    /// Computes the gradients of chunks `from..to`, with `summed` also the sums of `dy`.
    ///
    /// # Safety
    /// The lengths must fit, and nobody else may touch `sums` and these pixels of `dx`.
    unsafe fn run(
        &self,
        isa: Isa,
        chunks: Chunks,
        (from, to): (usize, usize),
        weight: [Shared; 2],
        sums: PanelMut,
        summed: bool,
    ) {
        let ((m, cs), k) = (self.size(), self.dy.channels);
        debug_assert!(sums.len() == m * cs + k, "{} sums of {m} × {cs} and {k}", sums.len());
        let channels = sums.skip(m * cs).rows_of(1);
        // SAFETY: the caller's contract.
        unsafe { channels.slice() }.fill(0.0);
        with(cs * (CHUNK.max(L) + L), |panels| {
            let task = Task {
                chunks,
                from,
                to,
                dy: self.dy,
                dx: self.dx,
                add: self.add,
                weight,
                rows: self.rows,
                columns: self.columns,
                panels: panels.as_mut_ptr(),
                products: sums.at(0),
                sums: if summed { channels.at(0) } else { std::ptr::null_mut() },
                turned: self.turned,
            };
            // SAFETY: the caller's contract; chunks have at most CHUNK pixels, and the panels room for 16 more.
            unsafe { task_isa(isa, &task) }
        });
    }

    /// The sums of all tasks to `dw: [k, c]`.
    fn finish(&self, isa: Isa, total: &[f32], [k, c]: [usize; 2], dw: &mut [f32]) {
        let (_, cs) = self.size();
        if self.turned {
            assert!(total.len() >= c * cs && dw.len() == k * c);
            let (src, dst) = (total.as_ptr(), dw.as_mut_ptr());
            // SAFETY: the sums are `c` × `cs`, at least as many columns as are read; `dw` is `k` × `c`.
            unsafe { turn(isa, &Turn { src, src_rs: cs, rows: c, columns: k, dst, dst_rs: c }) };
        } else {
            for (row, total) in dw.chunks_exact_mut(c).zip(total.chunks_exact(cs)) {
                row.copy_from_slice(&total[..c]);
            }
        }
    }
}
