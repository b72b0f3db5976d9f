//! Matrix products of packed operands: `C = A · B`, optionally plus a bias and what was there.
//!
//! `A` is cut into groups of rows, as many as the registers hold accumulators for, and `B` into panels of 32 columns;
//! both are packed so that the inner loop reads memory in order. The whole depth is summed in registers in order of
//! `k`, so that every value of `C` is independent of how rows and columns are cut and shared out.

mod driver;
mod micro;
mod pack;

pub use driver::{Matrix, gemm};
pub(super) use micro::{Reduce, reduce};
pub(super) use pack::{PackA, PackB, pack_a, pack_b, packed_a_len};

use micro::Micro;

use super::isa::isa_entry;
use super::simd::{L, Simd};

/// Columns of a panel of `B`.
pub(super) const PANEL: usize = 2 * L;

/// One product of packed operands.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// Rows that `A` was packed with.
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// [`pack_a`] of `A`.
    pub(super) a: *const f32,
    /// Groups of rows to compute, from and up to.
    pub(super) groups: (usize, usize),
    /// Panels `[n / 32][k][32]`, the rest of the last one arbitrary.
    pub(super) b: *const f32,
    /// Row 0 of `C`, rows `cs` floats apart.
    pub(super) c: *mut f32,
    pub(super) cs: usize,
    /// Null, or one value a row of `C`.
    pub(super) row_bias: *const f32,
    /// Null, or one value a column of `C`.
    pub(super) column_bias: *const f32,
    /// Null, or what is added to `C`, laid out like it. May be `C` itself.
    pub(super) add: *const f32,
}

/// Rows of group `i` of `groups` groups of `m` rows, from and up to.
#[inline(always)]
pub(super) fn group_rows(m: usize, groups: usize, i: usize) -> (usize, usize) {
    (m * i / groups, m * (i + 1) / groups)
}

/// Number of groups of at most `rows` rows.
#[inline(always)]
pub(super) fn group_count(m: usize, rows: usize) -> usize {
    m.div_ceil(rows)
}

#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(p: &Product) {
    unsafe {
        let groups = group_count(p.m, S::ROWS);
        for i in p.groups.0..p.groups.1 {
            let (r0, r1) = group_rows(p.m, groups, i);
            let bias = if p.row_bias.is_null() { p.row_bias } else { p.row_bias.add(r0) };
            let mut j = 0;
            while j < p.n {
                let width = (p.n - j).min(PANEL);
                micro::panel::<S>(
                    r1 - r0,
                    Micro {
                        k: p.k,
                        a: p.a.add(r0 * p.k),
                        b: p.b.add(j * p.k),
                        width,
                        c: p.c.add(r0 * p.cs + j),
                        cs: p.cs,
                        row_bias: bias,
                        column_bias: if p.column_bias.is_null() { p.column_bias } else { p.column_bias.add(j) },
                        add: if p.add.is_null() { p.add } else { p.add.add(r0 * p.cs + j) },
                    },
                );
                j += PANEL;
            }
        }
    }
}
isa_entry!(
    /// [`multiply`].
    pub(super) multiply_isa [] = multiply(Product)
);
