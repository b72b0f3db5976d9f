//! The weight gradient: `dU = Σ (Bᵀ dy B) (A x Aᵀ)` over all tiles, then back.
//!
//! The filter slides over the output gradient, which comes out turned by half; the other way round, over the input, would do as well,
//! but so the transformed output gradient is that of the input gradient.
//!
//! The sums are cut into parts by the sizes alone, never by the number of threads, so that the result does not depend
//! on it.

mod at_once;
mod local;
mod together;

use super::domain::{Domain, Source};
use super::finish::{FinishTask, finish_isa};
use super::geometry::{Conv3x3, Geometry, NAME, plane_stride};
use super::tile::{FromProducts, Taps, Tile};
use crate::elementwise::sum_images_on;
use crate::gemm::{Reduce, reduce};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use crate::sizes::check_len;
pub(super) use local::sum_locally;
use rayon::prelude::*;
pub(super) use together::sum_together;

struct WeightTask {
    k: usize,
    cbs: usize,
    g: Reduce,
}
#[inline(always)]
unsafe fn weight_task<S: Simd>(t: &WeightTask) {
    unsafe { reduce::<S>(t.k, t.cbs, t.g) }
}
isa_entry!(
    /// [`weight_task`].
    weight_isa [] = weight_task(WeightTask)
);

/// The sums of all tasks: `dU`, `[part][x][k][c]`, and the bias sums, `[part][k]`.
pub(super) struct Sums {
    du: Shared,
    /// Floats of a part, of a plane, of a row.
    du_len: usize,
    xs: usize,
    cs: usize,
    db: Shared,
    db_len: usize,
    parts: usize,
}

impl Sums {
    /// Adds the pixels of some rows of tiles to the bias sums of `part`.
    ///
    /// # Safety
    /// The rows must be transformed, and nobody else may touch the sums of `part` meanwhile.
    pub(super) unsafe fn add_pixels(&self, part: usize, v: &Domain, rows: (usize, usize)) {
        // SAFETY: the caller's contract.
        unsafe { v.add_sums(rows, std::slice::from_raw_parts_mut(self.db.at(part * self.db_len), self.db_len)) }
    }

    /// Adds the products of `np` tiles of plane `x` to the sums of `part`, from `k` channels of the output gradient and `cbs` panels
    /// of input channels.
    ///
    /// # Safety
    /// `a` and `b` must be panels of output gradient and input, the next of each so many floats on; nobody else may touch plane `x` of
    /// `part` meanwhile.
    pub(super) unsafe fn multiply(
        &self,
        isa: Isa,
        [k, cbs]: [usize; 2],
        (part, x): (usize, usize),
        [(a, a_panel), (b, b_panel)]: [(*const f32, usize); 2],
        np: usize,
        accumulate: bool,
    ) {
        let c = self.du.at(part * self.du_len + x * self.xs);
        let g = Reduce { a, a_panel, b, b_panel, p: np, c, cs: self.cs, accumulate };
        // SAFETY: the caller's contract; `dU` has room for `k` rounded up to 16 rows.
        unsafe { weight_isa(isa, &WeightTask { k, cbs, g }) }
    }
}

/// Operands of [`backward_weight`] and the layout that both ways share.
pub(super) struct Operands<W: Tile> {
    isa: Isa,
    s: Conv3x3,
    geo: Geometry,
    x: Shared,
    dy: Shared,
    /// `dy` transformed already.
    v: Option<Domain>,
    tile: std::marker::PhantomData<W>,
}

/// Whether the sums of a convolution are small enough for every thread to have its own.
pub(super) fn is_local<W: Taps>(s: &Conv3x3) -> bool {
    Layout::new::<W>(s).du_len * size_of::<f32>() <= local::BYTES
}

/// Parts of the sums: one where all threads work on the same ones.
pub(super) fn parts<W: Tile>(s: &Conv3x3) -> usize {
    parts_of::<W>(s, &Geometry::new::<W>(s))
}

/// [`parts`] of the tiles of `geo`.
pub(super) fn parts_of<W: Taps>(s: &Conv3x3, geo: &Geometry) -> usize {
    if is_local::<W>(s) { local::parts(geo) } else { 1 }
}

/// Sizes of the sums.
struct Layout {
    /// Floats of a row, of a plane, of all, and of the bias sums.
    cs: usize,
    xs: usize,
    du_len: usize,
    db_len: usize,
}

impl Layout {
    fn new<W: Taps>(s: &Conv3x3) -> Self {
        let [cs, db_len] = [s.c, s.k].map(|channels| channels.next_multiple_of(L));
        let xs = plane_stride(db_len * cs);
        Self { cs, xs, du_len: W::X * xs, db_len }
    }
}

impl<W: Tile> Operands<W> {
    /// Those of the images of `s`; `v` is `dy`, if it is transformed already.
    pub(super) fn new(isa: Isa, s: &Conv3x3, x: &[f32], dy: &[f32], v: Option<Domain>) -> Self {
        check_len(NAME, "the input", x.len(), s.input_len());
        check_len(NAME, "dy", dy.len(), s.output_len());
        let geo = Geometry::new::<W>(s);
        let [x, dy] = [x, dy].map(Shared::read);
        Self { isa, s: *s, geo, x, dy, v, tile: std::marker::PhantomData }
    }

    /// Rows of tiles.
    pub(super) fn rows(&self) -> usize {
        self.geo.rows
    }

    /// Bytes that a tile takes, once transformed, beside what is transformed already.
    fn tile_bytes(&self) -> usize {
        let dy = if self.v.is_some() { 0 } else { Domain::tile_bytes::<W>(self.s.k) };
        Domain::tile_bytes::<W>(self.s.c) + dy
    }

    /// Runs `f` with room for the pixels of a strip and for `rows` rows of tiles of the input and of the output gradient; for the latter none
    /// where it is transformed already.
    fn with_domains(&self, rows: usize, f: impl FnOnce(&mut [f32], Domain, Option<Domain>)) {
        let Self { geo, s, .. } = self;
        let px_len = geo.pixel_scratch::<W>();
        let p_len = Domain::floats::<W>(geo, rows, s.c);
        let v_len = if self.v.is_some() { 0 } else { Domain::floats::<W>(geo, rows, s.k) };
        with(px_len + p_len + v_len, |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (p, v) = rest.split_at_mut(p_len);
            let v = self.v.is_none().then(|| Domain::new::<W>(geo, rows, s.k, true, v));
            f(px, Domain::new::<W>(geo, rows, s.c, false, p), v);
        });
    }

    /// The input from row of tiles `first` on, and the output gradient.
    fn sources(&self, first: usize) -> [Source; 2] {
        [self.x, self.dy].map(|at| Source { at, first })
    }
}

/// `dw = Σ x dy` over images and pixels, `db = Σ dy`.
pub(super) fn backward_weight<W: Tile>(isa: Isa, s: &Conv3x3, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    let operands = Operands::<W>::new(isa, s, x, dy, None);
    check_len(NAME, "dw", dw.len(), s.weight_len());
    check_len(NAME, "db", db.len(), s.k);
    if x.is_empty() || dy.is_empty() {
        dw.fill(0.0);
        return sum_images_on(isa, dy, s.n, s.k, db);
    }
    sum_all(&operands, dw, db);
}

/// [`backward_weight`] of the operands.
pub(super) fn sum_all<W: Tile>(o: &Operands<W>, dw: &mut [f32], db: &mut [f32]) {
    if at_once::pays(o) {
        return at_once::backward_weight(o, dw, db);
    }
    let parts = parts::<W>(&o.s);
    sum_up::<W>(o.isa, &o.s, parts, dw, db, |sums| {
        // SAFETY: every task has a part of the sums.
        unsafe {
            if is_local::<W>(&o.s) {
                (0..parts).into_par_iter().with_max_len(1).for_each(|part| {
                    sum_locally(o, sums, part, o.geo.block(part, parts), false);
                });
            } else {
                sum_together(o, sums, false);
            }
        }
    });
}

/// Has `sum` fill the sums of all parts, then transforms them back.
pub(super) fn sum_up<W: FromProducts>(
    isa: Isa,
    s: &Conv3x3,
    parts: usize,
    dw: &mut [f32],
    db: &mut [f32],
    sum: impl FnOnce(&Sums),
) {
    check_len(NAME, "dw", dw.len(), s.weight_len());
    check_len(NAME, "db", db.len(), s.k);
    if s.input_len() == 0 || s.output_len() == 0 {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let Layout { cs, xs, du_len, db_len } = Layout::new::<W>(s);
    with(parts * (du_len + db_len), |sums| {
        let (du, db_sums) = sums.split_at_mut(parts * du_len);
        db_sums.fill(0.0);
        let sums = Sums { du: Shared::new(du), du_len, xs, cs, db: Shared::new(db_sums), db_len, parts };
        sum(&sums);
        finish::<W>(isa, s, &sums, dw);
        for (k, d) in db.iter_mut().enumerate() {
            *d = (0..parts).map(|part| db_sums[part * db_len + k]).sum();
        }
    });
}

/// Adds the product of `np` tiles of plane `x` to the sums of `part`.
///
/// # Safety
/// `v` and `p` must be panels of output gradient and input, the next of each so many floats on; nobody else may touch plane `x` of `part`
/// meanwhile.
unsafe fn multiply<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    (part, x): (usize, usize),
    panels: [(*const f32, usize); 2],
    np: usize,
    accumulate: bool,
) {
    // SAFETY: the caller's contract.
    unsafe { sums.multiply(o.isa, [o.s.k, o.s.c.div_ceil(L)], (part, x), panels, np, accumulate) }
}

/// Sums the parts and transforms them back.
fn finish<W: FromProducts>(isa: Isa, s: &Conv3x3, sums: &Sums, dw: &mut [f32]) {
    let dw = Shared::new(dw);
    (0..s.k).into_par_iter().with_min_len(4).for_each(|k| {
        let task = FinishTask {
            du: sums.du.at(k * sums.cs),
            parts: sums.parts,
            stride: sums.du_len,
            xs: sums.xs,
            c: s.c,
            dw: dw.at(k * 9 * s.c),
        };
        // SAFETY: all sums are written; every task writes the `9 c` weights of its own output channel.
        unsafe { finish_isa::<W>(isa, &task) }
    });
}
