//! Where the sums of the weight gradient are, and the products that are added to them.

use crate::gemm::{Reduce, reduce};
use crate::isa::{Isa, isa_entry};
use crate::scratch::Shared;
use crate::simd::{L, Simd};
use crate::winograd::domain::Domain;
use crate::winograd::geometry::{Conv3x3, plane_stride};
use crate::winograd::tile::Taps;

pub(super) struct WeightTask {
    pub(super) k: usize,
    pub(super) cbs: usize,
    pub(super) g: Reduce,
}
#[inline(always)]
unsafe fn weight_task<S: Simd>(t: &WeightTask) {
    unsafe { reduce::<S>(t.k, t.cbs, t.g) }
}
isa_entry!(
    /// [`weight_task`].
    pub(super) weight_isa [] = weight_task(WeightTask)
);

/// The sums of all tasks: `dU`, `[part][x][k][c]`, and the bias sums, `[part][k]`.
pub(in crate::winograd) struct Sums {
    pub(super) du: Shared,
    /// Floats of a part, of a plane, of a row.
    pub(super) du_len: usize,
    pub(super) xs: usize,
    pub(super) cs: usize,
    pub(super) db: Shared,
    pub(super) db_len: usize,
    pub(super) parts: usize,
}

impl Sums {
    /// Adds the pixels of some rows of tiles to the bias sums of `part`.
    ///
    /// # Safety
    /// The rows must be transformed, and nobody else may touch the sums of `part` meanwhile.
    pub(in crate::winograd) unsafe fn add_pixels(&self, part: usize, v: &Domain, rows: (usize, usize)) {
        // SAFETY: the caller's contract.
        unsafe { v.add_sums(rows, std::slice::from_raw_parts_mut(self.db.at(part * self.db_len), self.db_len)) }
    }

    /// Adds the products of `np` tiles of plane `x` to the sums of `part`, from `k` channels of the output gradient and `cbs` panels
    /// of input channels.
    ///
    /// # Safety
    /// `a` and `b` must be panels of output gradient and input, the next of each so many floats on; nobody else may touch plane `x` of
    /// `part` meanwhile.
    pub(in crate::winograd) unsafe fn multiply(
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

/// Sizes of the sums.
pub(super) struct Layout {
    /// Floats of a row, of a plane, of all, and of the bias sums.
    pub(super) cs: usize,
    pub(super) xs: usize,
    pub(super) du_len: usize,
    pub(super) db_len: usize,
}

impl Layout {
    pub(super) fn new<W: Taps>(s: &Conv3x3) -> Self {
        let [cs, db_len] = [s.c, s.k].map(|channels| channels.next_multiple_of(L));
        let xs = plane_stride(db_len * cs);
        Self { cs, xs, du_len: W::X * xs, db_len }
    }
}
