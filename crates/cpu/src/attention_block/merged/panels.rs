//! Pixels as rows, in panels of channels.

use crate::gemm::{Left, PANEL, Placed, Product, group_rows, multiply_placed};
use crate::isa::Isa;
use crate::panel::{Panel, PanelMut};
use std::ptr::{null, null_mut};

/// Pixels as rows: panels of 32 channels, so many floats apart.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    /// The rows of the first panel, 32 floats apart, and what lies behind.
    rows: PanelMut,
    panel: usize,
}

impl Panels {
    /// Panels in all of `memory`, `panel` floats apart.
    pub(super) fn new(memory: PanelMut, panel: usize) -> Self {
        Self { rows: memory.rows_of(PANEL), panel }
    }

    /// From row `r` on.
    pub(super) fn rows_from(self, r: usize) -> Self {
        Self { rows: self.rows.from(r), ..self }
    }

    /// From panel `i` on.
    pub(super) fn panels_from(self, i: usize) -> Self {
        Self { rows: self.rows.skip(i * self.panel), ..self }
    }

    /// The first row of the first panel.
    pub(super) fn at(self) -> *mut f32 {
        self.rows.at(0)
    }

    /// Floats from one panel to the next.
    pub(super) fn panel(self) -> usize {
        self.panel
    }

    /// Panels of `m` rows from here on.
    fn hold(self, m: usize, panels: usize) -> bool {
        self.rows.rows_of(self.panel).holds(panels, m * PANEL)
    }

    /// `m` rows of `k` channels as the left operand of a product.
    pub(super) fn left(self, m: usize, k: usize) -> Left {
        debug_assert!(self.hold(m, k.div_ceil(PANEL)), "{m} rows of {k} channels of {:?}", self.rows);
        Left::Runs { at: self.at(), rs: PANEL, run: PANEL, jump: self.panel - PANEL }
    }

    /// `A B` to here, with whole panels of columns, from panels `[n / 32][k][32]` of `b`; meanwhile asks for `next`.
    pub(super) fn product(self, isa: Isa, [m, n, k]: [usize; 3], a: Left, b: Panel, next: Next) -> Placed {
        debug_assert!(n.is_multiple_of(PANEL) && self.hold(m, n / PANEL), "{m} × {n} of {:?}", self.rows);
        debug_assert!(b.len() >= k * n, "{k} × {n} in panels of {b:?}");
        let product = Product::whole(isa, [m, n, k], a, b.at(0), self.at(), PANEL);
        Placed { product, c_panel: self.panel, row_factor: null_mut(), next }
    }

    /// The same of few rows with all pixels: [`Product::long`].
    pub(super) fn long_product(self, isa: Isa, sizes: [usize; 3], a: Left, b: Panel, next: Next) -> Placed {
        let placed = self.product(isa, sizes, a, b, next);
        Placed { product: placed.product.long(), ..placed }
    }
}

/// A product whose rows are whole, which meanwhile asks for something.
///
/// # Safety
/// As for [`multiply_placed`].
pub(super) unsafe fn run(isa: Isa, product: Product, next: Next) {
    // SAFETY: the caller's contract.
    unsafe { multiply_placed(isa, &Placed { product, c_panel: PANEL, row_factor: null_mut(), next }) }
}

/// Floats to ask for.
pub(super) type Next = (*const f32, usize);

pub(super) const NOTHING: Next = (null(), 0);

/// Part `part` of `parts` of `len` floats that will be read or written; nothing where `at` is null.
pub(super) fn ahead(at: *const f32, len: usize, [part, parts]: [usize; 2]) -> Next {
    if at.is_null() || parts == 0 {
        return NOTHING;
    }
    let (from, to) = group_rows(len, parts, part);
    (at.wrapping_add(from), to - from)
}
