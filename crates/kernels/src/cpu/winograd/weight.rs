//! The weight gradient: `dU = Σ (A dy Aᵀ) (Bᵀ x B)` over all tiles, then back.
//!
//! The sums are cut into parts by the sizes alone, never by the number of threads, so that the result does not depend
//! on it.

mod local;
mod together;

use super::finish::{FinishTask, finish_isa};
use super::geometry::{Conv3x3, Geometry, plane_stride};
use super::tile::Tile;
use crate::cpu::gemm::{Reduce, reduce};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use local::sum_locally;
use rayon::prelude::*;
use std::ops::Range;
use together::sum_together;

struct WeightTask {
    k: usize,
    cbs: usize,
    g: Reduce,
    /// Bias sums to add the column sums of A to (only for xi = (1, 1)), or null.
    db: *mut f32,
}
#[inline(always)]
unsafe fn weight_task<S: Simd>(t: &WeightTask) {
    unsafe {
        reduce::<S>(t.k, t.cbs, t.g);
        if !t.db.is_null() {
            for kb in 0..t.k.div_ceil(L) {
                let mut s = S::load(t.db.add(kb * L));
                for p in 0..t.g.p {
                    s = S::add(s, S::load(t.g.a.add(kb * t.g.a_panel + p * L)));
                }
                S::store(t.db.add(kb * L), s);
            }
        }
    }
}
isa_entry!(
    /// [`weight_task`].
    weight_isa [] = weight_task(WeightTask)
);

/// The sums of all tasks: `dU`, `[part][x][k][c]`, and the bias sums, `[part][k]`.
struct Sums {
    du: Shared,
    /// Floats of a part, of a plane, of a row.
    du_len: usize,
    xs: usize,
    cs: usize,
    db: Shared,
    db_len: usize,
    parts: usize,
}

/// Operands of [`backward_weight`] and the layout that both ways share.
struct Operands<W: Tile> {
    isa: Isa,
    s: Conv3x3,
    geo: Geometry,
    x: Shared,
    dy: Shared,
    /// Panels of 16 input and output channels.
    cbs: usize,
    kbs: usize,
    tile: std::marker::PhantomData<W>,
}

/// The input and the output gradient of some images.
pub(in crate::cpu) type Pair = [Shared; 2];

/// Whether the sums of a convolution are small enough for every thread to have its own.
pub(super) fn is_local<W: Tile>(s: &Conv3x3) -> bool {
    Layout::new::<W>(s).du_len * size_of::<f32>() <= local::BYTES
}

/// Sizes of the sums.
struct Layout {
    /// Panels of 16 input and output channels.
    cbs: usize,
    kbs: usize,
    /// Floats of a row, of a plane, of all, and of the bias sums.
    cs: usize,
    xs: usize,
    du_len: usize,
    db_len: usize,
}

impl Layout {
    fn new<W: Tile>(s: &Conv3x3) -> Self {
        let (cbs, kbs) = (s.c.div_ceil(L), s.k.div_ceil(L));
        let cs = cbs * L;
        let xs = plane_stride(kbs * L * cs);
        Self { cbs, kbs, cs, xs, du_len: W::X * xs, db_len: kbs * L }
    }
}

impl<W: Tile> Operands<W> {
    fn new(s: &Conv3x3, [x, dy]: Pair) -> Self {
        let Layout { cbs, kbs, .. } = Layout::new::<W>(s);
        let geo = Geometry::new::<W>(s);
        Self { isa: Isa::current(), s: *s, geo, x, dy, cbs, kbs, tile: std::marker::PhantomData }
    }
}

/// `dw = Σ x dy` over images and pixels, `db = Σ dy`.
pub(super) fn backward_weight<W: Tile>(s: &Conv3x3, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    assert!(x.len() == s.input_len() && dy.len() == s.output_len());
    let pair = [x, dy].map(Shared::read);
    let geo = Geometry::new::<W>(s);
    let parts = if is_local::<W>(s) { local::parts(&geo) } else { 1 };
    sum_up::<W>(s, parts, dw, db, |sums| {
        let operands = Operands::<W>::new(s, pair);
        // SAFETY: the slices hold all images; every task has a part of the sums.
        unsafe {
            if is_local::<W>(s) {
                (0..parts).into_par_iter().with_max_len(1).for_each(|part| {
                    sum_locally(&operands, sums, part, geo.block(part, parts), false);
                });
            } else {
                sum_together(&operands, sums, false);
            }
        }
    });
}

/// [`backward_weight`] of the images in chunks of at most `images`: `operands` passes `x` and `dy` of a range of them on. Where sums are
/// local ([`is_local`]), threads go through chunks of their own.
///
/// # Safety
/// What `operands` passes on must be readable for its images meanwhile.
pub(super) unsafe fn backward_weight_chunks<W: Tile>(
    s: &Conv3x3,
    images: usize,
    operands: impl Fn(Range<usize>, &mut dyn FnMut(Pair)) + Sync,
    dw: &mut [f32],
    db: &mut [f32],
) {
    let is_local = is_local::<W>(s);
    let parts = if is_local { local::parts(&Geometry::new::<W>(s)).min(s.n) } else { 1 };
    sum_up::<W>(s, parts, dw, db, |sums| {
        let sum_part = |part: usize| {
            let (first, last) = (s.n * part / parts, s.n * (part + 1) / parts);
            let chunks = (last - first).div_ceil(images);
            for i in 0..chunks {
                let cut = |i: usize| first + (last - first) * i / chunks;
                let range = cut(i)..cut(i + 1);
                let s = Conv3x3 { n: range.len(), ..*s };
                operands(range, &mut |pair| {
                    let operands = Operands::<W>::new(&s, pair);
                    // SAFETY: the caller's contract; every task has a part of the sums.
                    unsafe {
                        if is_local {
                            sum_locally(&operands, sums, part, (0, operands.geo.rows), i > 0);
                        } else {
                            sum_together(&operands, sums, i > 0);
                        }
                    }
                });
            }
        };
        if is_local {
            (0..parts).into_par_iter().with_max_len(1).for_each(sum_part);
        } else {
            sum_part(0);
        }
    });
}

/// Has `sum` fill the sums of all parts, then transforms them back.
fn sum_up<W: Tile>(s: &Conv3x3, parts: usize, dw: &mut [f32], db: &mut [f32], sum: impl FnOnce(&Sums)) {
    assert!(dw.len() == s.weight_len() && db.len() == s.k);
    if s.input_len() == 0 || s.output_len() == 0 {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let Layout { cs, xs, du_len, db_len, .. } = Layout::new::<W>(s);
    with(parts * (du_len + db_len), |sums| {
        let (du, db_sums) = sums.split_at_mut(parts * du_len);
        db_sums.fill(0.0);
        let sums = Sums { du: Shared::new(du), du_len, xs, cs, db: Shared::new(db_sums), db_len, parts };
        sum(&sums);
        finish::<W>(Isa::current(), s, &sums, dw);
        for (k, d) in db.iter_mut().enumerate() {
            *d = (0..parts).map(|part| db_sums[part * db_len + k]).sum();
        }
    });
}

/// Adds the product of `np` tiles of plane `x` to the sums of `part`.
///
/// # Safety
/// `a` and `b` must be panels of the gradient and the input; nobody else may touch plane `x` of `part` meanwhile.
#[allow(clippy::too_many_arguments)] // one micro-kernel call, spelled out
unsafe fn multiply<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    part: usize,
    x: usize,
    [a, b]: [*const f32; 2],
    panel: usize,
    np: usize,
    accumulate: bool,
) {
    // Plane (1, 1) of the transformed gradient holds the sums of its tiles.
    let db = match x == W::T + 1 {
        true => sums.db.at(part * sums.db_len),
        false => std::ptr::null_mut(),
    };
    let g = Reduce {
        a,
        a_panel: panel,
        b,
        b_panel: panel,
        p: np,
        c: sums.du.at(part * sums.du_len + x * sums.xs),
        cs: sums.cs,
        accumulate,
    };
    let task = WeightTask { k: o.s.k, cbs: o.cbs, g, db };
    // SAFETY: the caller's contract; `dU` has room for `k` rounded up to 16 rows.
    unsafe { weight_isa(o.isa, &task) }
}

/// Sums the parts and transforms them back.
fn finish<W: Tile>(isa: Isa, s: &Conv3x3, sums: &Sums, dw: &mut [f32]) {
    let dw = Shared::new(dw);
    (0..s.k).into_par_iter().with_min_len(4).for_each(|k| {
        let task = FinishTask {
            du: sums.du.at(0),
            parts: sums.parts,
            stride: sums.du_len,
            xs: sums.xs,
            cs: sums.cs,
            c: s.c,
            dw: dw.at(0),
            k,
        };
        // SAFETY: all sums are written; every task writes the `9 c` weights of its own output channel.
        unsafe { finish_isa::<W>(isa, &task) }
    });
}
