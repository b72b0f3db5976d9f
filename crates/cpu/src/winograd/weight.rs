//! The weight gradient: `dU = Σ (Bᵀ dy B) (A x Aᵀ)` over all tiles, then back.
//!
//! The filter slides over the output gradient, which comes out turned by half; the other way round, over the input, would do as well,
//! but so the transformed output gradient is that of the input gradient.
//!
//! The sums are cut into parts by the sizes alone, never by the number of threads, so that the result does not depend
//! on it.

mod at_once;
mod local;
mod operands;
mod sums;
mod together;

use super::finish::{FinishTask, finish_isa};
use super::geometry::{Conv3x3, Geometry, NAME};
use super::tile::{FromProducts, Taps, Tile};
use crate::elementwise::sum_images_on;
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::sizes::check_len;
pub(super) use local::sum_locally;
pub(super) use operands::Operands;
use rayon::prelude::*;
use sums::Layout;
pub(super) use sums::Sums;
pub(super) use together::sum_together;

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
    if !is_local::<W>(&o.s) && at_once::pays(o) {
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
