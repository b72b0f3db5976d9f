//! Matrix products of packed operands: `C = A · B`, optionally plus a bias and what was there.
//!
//! `A` is cut into groups of rows, as many as the registers hold accumulators for, and `B` into panels of 32 columns;
//! both are packed so that the inner loop reads memory in order. The whole depth is summed in registers in order of
//! `k`, so that every value of `C` is independent of how rows and columns are cut and shared out.

mod driver;
mod micro;
mod pack;
mod panel;

pub(super) use driver::gemm_on;
pub use driver::{Matrix, gemm};
pub(super) use micro::{Reduce, reduce, store_sums};
pub(super) use pack::{Fetch, PackA, PackB, Turn, TurnAdd, fetch, pack_a, pack_b, packed_a_len, turn, turn_add};
pub(super) use panel::PANEL;

use micro::Micro;

use super::isa::{Isa, isa_entry};
use super::simd::Simd;

/// The left operand of a product.
#[derive(Clone, Copy)]
pub(super) enum Left {
    /// [`pack_a`] of it.
    Packed(*const f32),
    /// The matrix itself, element `(i, j)` at `i rs + j cs`, where `rs` or `cs` is 1.
    InPlace { at: *const f32, rs: usize, cs: usize },
    /// A matrix whose columns are 1 apart, and after every `run` of them `jump` floats are skipped; rows `rs` apart.
    Runs { at: *const f32, rs: usize, run: usize, jump: usize },
}

/// One product, `B` packed.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// Rows of `A`.
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) a: Left,
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

impl Product {
    /// All rows, with nothing added: `C = A · B` of `m` × `n` with depth `k`.
    pub(super) fn whole(isa: Isa, [m, n, k]: [usize; 3], a: Left, b: *const f32, c: *mut f32, cs: usize) -> Self {
        let null = std::ptr::null();
        let groups = (0, group_count(m, isa.gemm_rows()));
        Self { m, n, k, a, groups, b, c, cs, row_bias: null, column_bias: null, add: null }
    }

    /// Added to what is there.
    pub(super) fn accumulated(self) -> Self {
        Self { add: self.c, ..self }
    }

    /// Rows `r0..r1` and the panel at column `j`.
    #[inline(always)]
    unsafe fn tile(&self, r0: usize, r1: usize, j: usize) -> Micro {
        const WHOLE: usize = usize::MAX;
        unsafe {
            let (a, rs, cs, run, jump) = match self.a {
                Left::Packed(at) => (at.add(r0 * self.k), 1, r1 - r0, WHOLE, 0),
                Left::InPlace { at, rs, cs } => (at.add(r0 * rs), rs, cs, WHOLE, 0),
                Left::Runs { at, rs, run, jump } => (at.add(r0 * rs), rs, 1, run, jump),
            };
            let at = r0 * self.cs + j;
            Micro {
                k: self.k,
                a,
                rs,
                cs,
                run,
                jump,
                b: self.b.add(j * self.k),
                width: (self.n - j).min(PANEL),
                c: self.c.add(at),
                c_rs: self.cs,
                row_factor: std::ptr::null(),
                ahead: std::ptr::null(),
                ahead_end: std::ptr::null(),
                row_bias: if self.row_bias.is_null() { self.row_bias } else { self.row_bias.add(r0) },
                column_bias: if self.column_bias.is_null() { self.column_bias } else { self.column_bias.add(j) },
                add: if self.add.is_null() { self.add } else { self.add.add(at) },
            }
        }
    }
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
pub(super) unsafe fn multiply_generic<S: Simd>(p: &Product) {
    unsafe { multiply_ahead::<S>(p, &[]) }
}
isa_entry!(
    /// [`multiply_generic`].
    pub(super) multiply [] = multiply_generic(Product)
);

/// [`multiply_generic`], and meanwhile asks for what is read next: a little with every panel, as a processor that has asked
/// for some twenty lines waits for them.
#[inline(always)]
pub(super) unsafe fn multiply_ahead<S: Simd>(p: &Product, next: &[Fetch]) {
    unsafe {
        let groups = group_count(p.m, S::ROWS);
        let tiles = (p.groups.1 - p.groups.0) * p.n.div_ceil(PANEL);
        let mut tile = 0;
        for i in p.groups.0..p.groups.1 {
            let (r0, r1) = group_rows(p.m, groups, i);
            for j in (0..p.n).step_by(PANEL) {
                for fetch in next {
                    fetch.part::<S>(tile, tiles);
                }
                tile += 1;
                micro::panel::<S, false>(r1 - r0, p.tile(r0, r1, j));
            }
        }
    }
}

/// A product, and what to ask for meanwhile.
pub(super) struct Ahead {
    pub(super) product: Product,
    pub(super) next: [Fetch; 2],
}

#[inline(always)]
unsafe fn multiply_ahead_generic<S: Simd>(a: &Ahead) {
    unsafe { multiply_ahead::<S>(&a.product, &a.next) }
}
isa_entry!(
    /// [`multiply_ahead`].
    pub(super) multiply_ahead_isa [] = multiply_ahead_generic(Ahead)
);

/// A product whose result goes where another one reads it, and what to ask for meanwhile.
pub(super) struct Placed {
    /// What it adds to is laid out in rows.
    pub(super) product: Product,
    /// Distance of the panels of 32 columns of `C`; [`PANEL`] where its rows are whole.
    pub(super) c_panel: usize,
    /// Null, or what each row of `A · B` is multiplied by, before anything is added.
    pub(super) row_factor: *const f32,
    /// What will be read or written soon, floats that need not be there. A line is asked for with every step, at most.
    pub(super) next: (*const f32, usize),
}

#[inline(always)]
unsafe fn multiply_placed_generic<S: Simd>(t: &Placed) {
    unsafe {
        let Placed { product: p, next: (next, len), .. } = t;
        let groups = group_count(p.m, S::ROWS);
        let tiles = (p.groups.1 - p.groups.0) * p.n.div_ceil(PANEL);
        let mut tile = 0;
        for i in p.groups.0..p.groups.1 {
            let (r0, r1) = group_rows(p.m, groups, i);
            for j in (0..p.n).step_by(PANEL) {
                let (from, to) = group_rows(*len, tiles, tile);
                tile += 1;
                let mut micro = p.tile(r0, r1, j);
                micro.c = p.c.add(r0 * p.cs + j / PANEL * t.c_panel);
                (micro.ahead, micro.ahead_end) = (next.wrapping_add(from), next.wrapping_add(to));
                if !t.row_factor.is_null() {
                    micro.row_factor = t.row_factor.add(r0);
                }
                micro::panel::<S, true>(r1 - r0, micro);
            }
        }
    }
}
isa_entry!(
    /// A [`Placed`] product.
    pub(super) multiply_placed [] = multiply_placed_generic(Placed)
);
