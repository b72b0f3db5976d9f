//! Matrix products of packed operands: `C = A · B`, optionally plus a bias and what was there.
//!
//! `A` is cut into groups of rows, as many as the registers hold accumulators for, and `B` into panels of 32 columns;
//! both are packed so that the inner loop reads memory in order. The depth is summed in registers in order of
//! `k`, great depths part by part, so that every value of `C` is independent of how rows and columns are cut and shared out.

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
    /// Whether `A` has few rows beside a `B` that may be larger than the caches.
    pub(super) is_long: bool,
}

impl Product {
    /// All rows, with nothing added: `C = A · B` of `m` × `n` with depth `k`.
    pub(super) fn whole(isa: Isa, [m, n, k]: [usize; 3], a: Left, b: *const f32, c: *mut f32, cs: usize) -> Self {
        let null = std::ptr::null();
        let groups = (0, group_count(m, isa.gemm_rows()));
        Self { m, n, k, a, groups, b, c, cs, row_bias: null, column_bias: null, add: null, is_long: false }
    }

    /// The same for a `B` that may be larger than the caches: what of it is in them is used for all rows. A great depth is summed part by
    /// part, which gives other bits than [`Self::whole`], the same for every number of rows.
    pub(super) fn long(self) -> Self {
        debug_assert!(
            !matches!(self.a, Left::Runs { run, .. } if !PART.is_multiple_of(run)),
            "parts begin where a run does"
        );
        Self { is_long: true, ..self }
    }

    /// Added to what is there.
    pub(super) fn accumulated(self) -> Self {
        Self { add: self.c, ..self }
    }

    /// Rows `r0..r1` and the panel at column `j`, of `depth` of the depth from `from` on. What is there is added to from the second part on.
    #[inline(always)]
    unsafe fn tile(&self, (r0, r1): (usize, usize), j: usize, (from, depth): (usize, usize)) -> Micro {
        const WHOLE: usize = usize::MAX;
        unsafe {
            let (a, rs, cs, run, jump) = match self.a {
                Left::Packed(at) => (at.add(r0 * self.k + from * (r1 - r0)), 1, r1 - r0, WHOLE, 0),
                Left::InPlace { at, rs, cs } => (at.add(r0 * rs + from * cs), rs, cs, WHOLE, 0),
                // Parts begin where a run does.
                Left::Runs { at, rs, run, jump } => (at.add(r0 * rs + from + from / run * jump), rs, 1, run, jump),
            };
            let at = r0 * self.cs + j;
            let (row_bias, column_bias, add) = if from == 0 {
                (self.row_bias, self.column_bias, self.add)
            } else {
                (std::ptr::null(), std::ptr::null(), self.c.cast_const())
            };
            Micro {
                k: depth,
                a,
                rs,
                cs,
                run,
                jump,
                b: self.b.add(j * self.k + from * PANEL),
                width: (self.n - j).min(PANEL),
                c: self.c.add(at),
                c_rs: self.cs,
                row_factor: std::ptr::null(),
                ahead: std::ptr::null(),
                ahead_end: std::ptr::null(),
                row_bias: if row_bias.is_null() { row_bias } else { row_bias.add(r0) },
                column_bias: if column_bias.is_null() { column_bias } else { column_bias.add(j) },
                add: if add.is_null() { add } else { add.add(at) },
            }
        }
    }
}

/// In what order the tiles of a product are computed.
#[derive(Clone, Copy)]
struct Order {
    m: usize,
    /// Groups of rows, all and those to compute.
    groups: usize,
    some: (usize, usize),
    panels: usize,
    k: usize,
    /// Of the depth at a time.
    depth: usize,
    /// Whether all groups of rows come before the next panel.
    panel_by_panel: bool,
}

/// A tile: rows from and up to, its first column, and a part of the depth.
struct Place {
    r0: usize,
    r1: usize,
    j: usize,
    from: usize,
    depth: usize,
}

/// Depth from which a product is summed part by part, and that of a part: a panel is then half of an L1 cache, and stays there for all groups
/// of rows. Whole runs of 32.
const DEEP: usize = 1024;
const PART: usize = 128;
/// Floats of all panels from which each is used for all rows before the next one is read: more than an L2 cache holds beside other things.
const MANY: usize = 48 * 1024;

impl Order {
    #[inline(always)]
    fn of<S: Simd>(p: &Product) -> Self {
        let groups = group_count(p.m, S::ROWS);
        let panels = p.n.div_ceil(PANEL);
        let is_deep = p.is_long && p.k >= DEEP;
        Self {
            m: p.m,
            groups,
            some: p.groups,
            panels,
            k: p.k,
            depth: if is_deep { PART } else { p.k.max(1) },
            panel_by_panel: is_deep || p.is_long && panels * PANEL * p.k >= MANY,
        }
    }

    /// How many there are.
    #[inline(always)]
    fn tiles(&self) -> usize {
        (self.some.1 - self.some.0) * self.panels * self.k.div_ceil(self.depth).max(1)
    }

    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let groups = self.some.1 - self.some.0;
        let (part, tile) = (tile / (groups * self.panels), tile % (groups * self.panels));
        let (group, panel) =
            if self.panel_by_panel { (tile % groups, tile / groups) } else { (tile / self.panels, tile % self.panels) };
        let (r0, r1) = group_rows(self.m, self.groups, self.some.0 + group);
        let from = part * self.depth;
        Place { r0, r1, j: panel * PANEL, from, depth: (self.k - from).min(self.depth) }
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
        let order = Order::of::<S>(p);
        let tiles = order.tiles();
        for tile in 0..tiles {
            for fetch in next {
                fetch.part::<S>(tile, tiles);
            }
            let Place { r0, r1, j, from, depth } = order.place(tile);
            micro::panel::<S, false>(r1 - r0, p.tile((r0, r1), j, (from, depth)));
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
        // Where nothing is to be asked for, what is there: to ask for what is nowhere costs a walk through the page tables every time.
        let next = if *len == 0 { p.b } else { *next };
        let order = Order::of::<S>(p);
        let tiles = order.tiles();
        for tile in 0..tiles {
            let (first, end) = group_rows(*len, tiles, tile);
            let Place { r0, r1, j, from, depth } = order.place(tile);
            let mut micro = p.tile((r0, r1), j, (from, depth));
            micro.c = p.c.add(r0 * p.cs + j / PANEL * t.c_panel);
            if from > 0 {
                micro.add = micro.c;
            }
            (micro.ahead, micro.ahead_end) = (next.wrapping_add(first), next.wrapping_add(end));
            if !t.row_factor.is_null() {
                micro.row_factor = t.row_factor.add(r0);
            }
            micro::panel::<S, true>(r1 - r0, micro);
        }
    }
}
isa_entry!(
    /// A [`Placed`] product.
    pub(super) multiply_placed [] = multiply_placed_generic(Placed)
);
