//! Scores: products of queries with all pixels.

use super::super::AttentionBlock;
use super::few::{FEW, Few, few};
use super::panels::{Next, Panels, run};
use crate::gemm::PANEL;
use crate::isa::Isa;
use crate::panel::{Panel, PanelMut};

/// The normalised image, channels in panels of pixels and pixels in panels of channels.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) columns: Panel,
    pub(super) rows: Panel,
}

impl Keys {
    /// The products of `m` rows with all pixels, to rows of at least whole vectors; the last few pixels are computed by themselves.
    ///
    /// # Safety
    /// The image and `m` rows must be there, and nobody else may touch the results.
    pub(super) unsafe fn products(
        &self,
        isa: Isa,
        s: &AttentionBlock,
        left: Panels,
        m: usize,
        to: PanelMut,
        next: Next,
    ) {
        debug_assert!(to.stride() >= s.wide_pixels());
        // SAFETY: the caller's contract.
        unsafe { self.products_with(isa, s, left, m, [0, s.pixels], to, next) }
    }

    /// The same with some pixels, from a whole panel on and up to another one or the last pixel.
    ///
    /// # Safety
    /// As for [`Self::products`].
    #[allow(clippy::too_many_arguments)] // two operands and where their product goes
    pub(super) unsafe fn products_with(
        &self,
        isa: Isa,
        s: &AttentionBlock,
        left: Panels,
        m: usize,
        [first, end]: [usize; 2],
        to: PanelMut,
        next: Next,
    ) {
        let rest = (end - first) % PANEL;
        let rest = if rest <= FEW { rest } else { 0 };
        let whole = end - first - rest;
        debug_assert!(first.is_multiple_of(PANEL) && (end.is_multiple_of(PANEL) || end == s.pixels));
        if whole > 0 {
            let product = to.product(isa, [m, whole, s.c], left.left(m, s.c), self.columns.skip(first * s.c));
            // SAFETY: the caller's contract; the panels checked the sizes in debug builds.
            unsafe { run(isa, product.long(), next) };
        }
        if rest > 0 {
            let (right, to) = (self.rows.rows_of(PANEL).from(first + whole), to.skip(whole));
            debug_assert!(to.holds(m, rest) && right.rows_of(s.pixels * PANEL).holds(s.wide_channels() / PANEL, rest));
            let products = Few {
                left: left.at(),
                left_panel: left.panel(),
                right: right.at(0),
                right_panel: s.pixels * PANEL,
                channels: s.wide_channels(),
                rows: m,
                few: rest,
                to: to.at(0),
                rs: to.stride(),
            };
            // SAFETY: the caller's contract; `right` has the last `rest` pixels of every panel of channels.
            unsafe { few(isa, &products) };
        }
    }
}
