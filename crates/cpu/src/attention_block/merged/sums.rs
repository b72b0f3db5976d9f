//! Sums of the gradients of biases.

use crate::gemm::PANEL;
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// A matrix whose rows or columns are summed.
pub(super) struct Sums {
    pub(super) values: *const f32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Distance of rows.
    pub(super) rs: usize,
    /// What the sums are added to.
    pub(super) sums: *mut f32,
}

#[inline(always)]
unsafe fn sums_of_rows<S: Simd>(t: &Sums) {
    unsafe {
        for r in 0..t.rows {
            let row = t.values.add(r * t.rs);
            let mut acc = [S::zero(); 2];
            for i in (0..t.columns).step_by(PANEL) {
                for half in 0..2 {
                    let n = t.columns.saturating_sub(i + half * L).min(L);
                    acc[half] = S::add(acc[half], S::load_n(row.wrapping_add(i + half * L), n));
                }
            }
            *t.sums.add(r) += S::hsum(S::add(acc[0], acc[1]));
        }
    }
}
isa_entry!(
    /// Adds the sum of every row.
    pub(super) row_sums [] = sums_of_rows(Sums)
);

#[inline(always)]
unsafe fn sums_of_columns<S: Simd>(t: &Sums) {
    unsafe {
        for j in (0..t.columns).step_by(L) {
            let n = (t.columns - j).min(L);
            let mut acc = [S::zero(); 4];
            let whole = t.rows / 4 * 4;
            for r in (0..whole).step_by(4) {
                for i in 0..4 {
                    acc[i] = S::add(acc[i], S::load_n(t.values.add((r + i) * t.rs + j), n));
                }
            }
            for r in whole..t.rows {
                acc[0] = S::add(acc[0], S::load_n(t.values.add(r * t.rs + j), n));
            }
            let sum = S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3]));
            S::store_n(t.sums.add(j), n, S::add(S::load_n(t.sums.add(j), n), sum));
        }
    }
}
isa_entry!(
    /// Adds the sum of every column.
    pub(super) column_sums [] = sums_of_columns(Sums)
);
