//! Large sums of few tiles: those of some channels are transformed back at once. Stored for all channels they would be four times the
//! weight, and nothing would be added to them.

use super::super::finish::{FinishTask, finish_isa};
use super::super::geometry::plane_stride;
use super::super::tile::Tile;
use super::operands::Operands;
use super::sums::{WeightTask, weight_isa};
use super::together::transform;
use crate::gemm::Reduce;
use crate::scratch::{Shared, with};
use crate::simd::L;
use rayon::prelude::*;

/// Most tiles: every task reads those of all inputs (measured).
const TILES: usize = 96;
/// Output channels of a task, and input channels of whose sums it transforms back at a time: 148 KiB.
const ROWS: usize = 32;
const COLUMNS: usize = 2 * L;

/// Whether tiles are so few, where sums are large.
pub(super) fn pays<W: Tile>(o: &Operands<W>) -> bool {
    let tiles = o.geo.rows * o.geo.tw;
    tiles > 0 && tiles <= TILES
}

/// `dw = Σ x dy` over images and pixels, `db = Σ dy`.
pub(super) fn backward_weight<W: Tile>(o: &Operands<W>, dw: &mut [f32], db: &mut [f32]) {
    assert!(dw.len() == o.s.weight_len() && db.len() == o.s.k);
    let rows = o.rows();
    o.with_domains(rows, |_, p, v| {
        transform(o, (0, rows), p, v);
        let v = v.or(o.v).expect("one of them is there");
        with(o.s.k.next_multiple_of(L), |totals| {
            totals.fill(0.0);
            // SAFETY: all rows are transformed.
            unsafe { v.add_sums((0, rows), totals) };
            db.copy_from_slice(&totals[..o.s.k]);
        });
        let (c, xs, dw) = (o.s.c, plane_stride(ROWS * COLUMNS), Shared::new(dw));
        (0..o.s.k.div_ceil(ROWS)).into_par_iter().with_max_len(1).for_each(|task| {
            let from = task * ROWS;
            let count = (o.s.k - from).min(ROWS);
            with(W::X * xs, |sums| {
                let sums = Shared::new(sums);
                for c0 in (0..c).step_by(COLUMNS) {
                    let channels = (c - c0).min(COLUMNS);
                    for x in 0..W::X {
                        let g = Reduce {
                            a: v.tiles(x, 0).wrapping_add(from / L * v.panel),
                            a_panel: v.panel,
                            b: p.tiles(x, 0).wrapping_add(c0 / L * p.panel),
                            b_panel: p.panel,
                            p: rows * o.geo.tw,
                            c: sums.at(x * xs),
                            cs: COLUMNS,
                            accumulate: false,
                        };
                        // SAFETY: the domains hold all channels, rounded up to 16, and so do the sums those of a task.
                        unsafe { weight_isa(o.isa, &WeightTask { k: count, cbs: channels.div_ceil(L), g }) }
                    }
                    for k in 0..count {
                        let (du, dw) = (sums.at(k * COLUMNS), dw.at(((from + k) * c + c0) * 9));
                        // SAFETY: the sums of these channels are written; tasks have output channels of their own.
                        unsafe { finish_isa::<W>(o.isa, &FinishTask { du, parts: 1, stride: 0, xs, c: channels, dw }) }
                    }
                }
            });
        });
    });
}
