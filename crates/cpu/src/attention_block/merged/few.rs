//! Products of which the other side has few rows.

use crate::gemm::PANEL;
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// Rows times a few others.
pub(super) struct Few {
    /// Panels of 32 channels, so far apart.
    pub(super) left: *const f32,
    pub(super) left_panel: usize,
    pub(super) right: *const f32,
    pub(super) right_panel: usize,
    /// A multiple of 32.
    pub(super) channels: usize,
    /// Rows of `left`.
    pub(super) rows: usize,
    /// Rows of `right`, at least one.
    pub(super) few: usize,
    /// `[rows][few]`, rows `rs` apart.
    pub(super) to: *mut f32,
    pub(super) rs: usize,
}

/// Rows of [`Few`] on the right, at most.
pub(super) const FEW: usize = 4;

#[inline(always)]
unsafe fn few_products<S: Simd>(t: &Few) {
    unsafe {
        for r in 0..t.rows {
            let mut sums = [S::zero(); FEW];
            for panel in 0..t.channels / PANEL {
                let left = t.left.add(panel * t.left_panel + r * PANEL);
                let right = t.right.add(panel * t.right_panel);
                for half in 0..2 {
                    let x = S::load(left.add(half * L));
                    for i in 0..FEW {
                        let row = i.min(t.few - 1);
                        sums[i] = S::fma(x, S::load(right.add(row * PANEL + half * L)), sums[i]);
                    }
                }
            }
            for i in 0..FEW {
                if i < t.few {
                    *t.to.add(r * t.rs + i) = S::hsum(sums[i]);
                }
            }
        }
    }
}
isa_entry!(
    /// Sums over channels: of so few columns a product would take the time of many.
    pub(super) few [] = few_products(Few)
);
