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
    /// Whether they hold anything yet.
    begun: bool,
}

/// Operands of [`backward_weight`] and the layout that both ways share.
struct Operands<'a, W: Tile> {
    isa: Isa,
    s: &'a Conv3x3,
    geo: Geometry,
    x: Shared,
    dy: Shared,
    /// Panels of 16 input and output channels.
    cbs: usize,
    kbs: usize,
    tile: std::marker::PhantomData<W>,
}

/// `dw = Σ x dy` over images and pixels, `db = Σ dy`.
pub(super) fn backward_weight<W: Tile>(s: &Conv3x3, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    assert!(x.len() == s.input_len() && dy.len() == s.output_len());
    // SAFETY: the slices hold all images.
    unsafe { backward_weight_chunks::<W>(s, 1, |_| [x, dy].map(Shared::read), dw, db) }
}

/// [`backward_weight`] of `chunks` parts of the images, one after the other: `operands` are `x` and `dy` of a range of images.
///
/// # Safety
/// What `operands` returns must be readable for its images until it is called again.
pub(super) unsafe fn backward_weight_chunks<W: Tile>(
    s: &Conv3x3,
    chunks: usize,
    mut operands: impl FnMut(Range<usize>) -> [Shared; 2],
    dw: &mut [f32],
    db: &mut [f32],
) {
    assert!(dw.len() == s.weight_len() && db.len() == s.k);
    if s.input_len() == 0 || s.output_len() == 0 {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let (cbs, kbs) = (s.c.div_ceil(L), s.k.div_ceil(L));
    let cs = cbs * L;
    let xs = plane_stride(kbs * L * cs);
    let (du_len, db_len) = (W::X * xs, kbs * L);
    let is_local = du_len * size_of::<f32>() <= local::BYTES;
    let smallest = Geometry::new::<W>(&Conv3x3 { n: s.n / chunks, ..*s });
    let parts = if is_local { local::parts(&Geometry::new::<W>(s)).min(smallest.rows) } else { 1 };
    with(parts * (du_len + db_len), |sums| {
        let (du, db_sums) = sums.split_at_mut(parts * du_len);
        db_sums.fill(0.0);
        let isa = Isa::current();
        let mut sums =
            Sums { du: Shared::new(du), du_len, xs, cs, db: Shared::new(db_sums), db_len, parts, begun: false };
        for i in 0..chunks {
            let images = s.n * i / chunks..s.n * (i + 1) / chunks;
            let s = &Conv3x3 { n: images.len(), ..*s };
            let [x, dy] = operands(images);
            let geo = Geometry::new::<W>(s);
            let operands = Operands::<W> { isa, s, geo, x, dy, cbs, kbs, tile: std::marker::PhantomData };
            if is_local {
                sum_locally(&operands, &sums);
            } else {
                sum_together(&operands, &sums);
            }
            sums.begun = true;
        }
        finish::<W>(isa, s, &sums, dw);
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
