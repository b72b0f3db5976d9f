//! Where transformed images lie: `[x][ch / 16][tile][16]`.

use super::geometry::{Geometry, plane_stride};
use super::tile::Patch;
use super::transform::Transform;
use crate::scratch::Shared;
use crate::simd::L;

/// Some rows of tiles of images in the Winograd domain, and the sums of their pixels, `[row of tiles][ch / 16][16]`.
#[derive(Clone, Copy)]
pub(super) struct Domain {
    geo: Geometry,
    ch: usize,
    at: Shared,
    /// Floats of a panel of 16 channels, and of the plane of a point.
    pub(super) panel: usize,
    pub(super) xs: usize,
    sums: Option<Shared>,
}

/// Images `[n, ch, h, w]`, and the first of their rows of tiles that a [`Domain`] holds.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) at: Shared,
    pub(super) first: usize,
}

impl Domain {
    fn plane(geo: &Geometry, rows: usize, ch: usize) -> [usize; 2] {
        let panel = rows * geo.tw * L;
        [panel, plane_stride(ch.div_ceil(L) * panel)]
    }

    /// Floats of `rows` rows of tiles.
    pub(super) fn floats<W: Patch>(geo: &Geometry, rows: usize, ch: usize) -> usize {
        W::X * Self::plane(geo, rows, ch)[1] + rows * ch.next_multiple_of(L)
    }

    /// Bytes of a tile.
    pub(super) fn tile_bytes<W: Patch>(ch: usize) -> usize {
        W::X * ch.next_multiple_of(L) * size_of::<f32>()
    }

    /// `rows` rows of tiles in `scratch`, of at least [`Self::floats`]; pixels are summed if `summed`.
    pub(super) fn new<W: Patch>(geo: &Geometry, rows: usize, ch: usize, summed: bool, scratch: &mut [f32]) -> Self {
        assert!(scratch.len() >= Self::floats::<W>(geo, rows, ch));
        let [panel, xs] = Self::plane(geo, rows, ch);
        let (values, sums) = scratch.split_at_mut(W::X * xs);
        let sums = summed.then(|| Shared::new(sums));
        Self { geo: *geo, ch, at: Shared::new(values), panel, xs, sums }
    }

    /// What transforms the rows of tiles `r0..r1` of all that `src` has, with scratch of [`Geometry::pixel_scratch`].
    pub(super) fn transform(&self, src: Source, (r0, r1): (usize, usize), own: bool, px: Shared) -> Transform {
        let row = r0 - src.first;
        let sums = self.sums.map_or(std::ptr::null_mut(), |sums| sums.at(row * self.ch.next_multiple_of(L)));
        let dst = self.tiles(0, row).cast_mut();
        let Self { geo, ch, panel, xs, .. } = *self;
        Transform { geo, src: src.at.at(0), ch, r0, r1, dst, panel, xs, own, sums, px: px.at(0) }
    }

    /// Point `x` of the tiles from row `row` of these on.
    pub(super) fn tiles(&self, x: usize, row: usize) -> *const f32 {
        self.at.at(x * self.xs + row * self.geo.tw * L)
    }

    /// Adds the sums of the rows of tiles `r0..r1` of these, if there are any, to `totals`, `[ch / 16][16]`.
    ///
    /// # Safety
    /// The rows must be transformed, and nobody may write their sums meanwhile.
    pub(super) unsafe fn add_sums(&self, (r0, r1): (usize, usize), totals: &mut [f32]) {
        let Some(sums) = self.sums else { return };
        let len = self.ch.next_multiple_of(L);
        for row in r0..r1 {
            // SAFETY: the caller's contract; there are as many sums.
            let sums = unsafe { std::slice::from_raw_parts(sums.at(row * len), len) };
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
    }
}
