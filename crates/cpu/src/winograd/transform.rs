//! Images to the Winograd domain, a range of rows of tiles at a time.

use super::geometry::{Geometry, Segment};
use super::tile::Patch;
use crate::isa::isa_entry;
use crate::pixels::load_rows;
use crate::simd::{L, Simd};

/// What to transform, and where to.
#[derive(Clone, Copy)]
pub(super) struct Transform {
    pub(super) geo: Geometry,
    /// Planes of the whole batch, `[n, ch, h, w]`.
    pub(super) src: *const f32,
    pub(super) ch: usize,
    /// Rows of tiles, from and up to.
    pub(super) r0: usize,
    pub(super) r1: usize,
    /// Tile 0 of the range; panels of 16 channels are `panel` floats apart, the products' planes `xs`.
    pub(super) dst: *mut f32,
    pub(super) panel: usize,
    pub(super) xs: usize,
    /// `A d Aᵀ` of the pixels that are a tile's own instead of `Bᵀ d B` of these and those around them.
    pub(super) own: bool,
    /// Null, or where the sums of the pixels of every row of tiles go, `[row of tiles][ch / 16][16]`.
    pub(super) sums: *mut f32,
    /// Scratch of [`Geometry::pixel_scratch`] floats.
    pub(super) px: *mut f32,
}

impl Transform {
    /// Pixels around an image that belong to its tiles.
    #[inline(always)]
    fn halo(&self) -> usize {
        if self.own { 0 } else { 1 }
    }

    /// Rows of pixels, from and up to, that the rows of tiles `ty0..ty1` of an image are made of.
    #[inline(always)]
    fn pixel_rows<W: Patch>(&self, ty0: usize, ty1: usize) -> (usize, usize) {
        ((ty0 * W::M).saturating_sub(self.halo()), (ty1 * W::M + self.halo()).min(self.geo.h))
    }
}

/// Pixels in scratch, 16 channels each: those of a strip of tiles of one image with what is around them, row by row.
struct Pixels {
    at: *mut f32,
    /// Pixels of a row.
    cols: usize,
    /// Rows of a strip's own, and those that two strips share, one after the other.
    own: usize,
    shared: usize,
}

impl Pixels {
    #[inline(always)]
    unsafe fn row(&self, row: usize) -> *mut f32 {
        unsafe { self.at.add(row * self.cols * L) }
    }

    #[inline(always)]
    unsafe fn clear<S: Simd>(&self, row: usize, from: usize, to: usize) {
        unsafe {
            for col in from..to {
                S::store(self.row(row).add(col * L), S::zero());
            }
        }
    }

    /// The sums of the `w` pixels from column `col` on of the rows of a tile.
    #[inline(always)]
    unsafe fn sum<S: Simd, W: Patch>(&self, row: usize, col: usize, w: usize) -> S::V {
        unsafe {
            let mut sums = [S::zero(); 4];
            for col in col..col + w {
                for i in 0..W::M {
                    sums[i] = S::add(sums[i], S::load(self.row(row + i).add(col * L)));
                }
            }
            S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]))
        }
    }

    /// The last rows to the top.
    #[inline(always)]
    unsafe fn keep<S: Simd>(&self) {
        unsafe {
            for i in 0..self.shared * self.cols {
                S::store(self.at.add(i * L), S::load(self.row(self.own).add(i * L)));
            }
        }
    }
}

/// Loads 16 channels, of which there are `nch`, of the pixels of the rows of tiles `ty0..ty1`; without those of the strip before, which
/// is full, if this is not the `first` of its image.
#[inline(always)]
unsafe fn load_strip<S: Simd, W: Patch>(
    t: &Transform,
    px: &Pixels,
    src: *const f32,
    nch: usize,
    next: usize,
    (ty0, ty1): (usize, usize),
    first: bool,
) {
    unsafe {
        let (g, halo) = (&t.geo, t.halo());
        let plane = g.h * g.w;
        let (mut lo, hi) = t.pixel_rows::<W>(ty0, ty1);
        // The first row of scratch that is filled.
        let mut row = lo + halo - ty0 * W::M;
        if first {
            if row > 0 {
                px.clear::<S>(0, 0, px.cols);
            }
        } else {
            px.keep::<S>();
            (lo, row) = ((ty0 * W::M + halo).min(hi), px.shared);
        }
        for ch in L..L + next {
            S::prefetch(src.wrapping_add(ch * plane + lo * g.w), (hi - lo) * g.w); // next channel block
        }
        let at = px.row(row).add(halo * L);
        load_rows::<S>(src, plane, nch, (lo, hi), g.w, at, px.cols * L);
        for below in row + hi - lo..(ty1 - ty0) * W::M + px.shared {
            px.clear::<S>(below, 0, px.cols);
        }
    }
}

/// Transforms all channels of a range of rows of tiles, strip by strip: the pixels of a strip stay in the L1 cache.
///
/// # Safety
/// The pointers of `t` must be valid for what their fields say.
#[inline(always)]
pub(super) unsafe fn transform_rows<S: Simd, W: Patch>(t: &Transform) {
    unsafe {
        let (g, halo) = (&t.geo, t.halo());
        let strip = g.strip::<W>();
        let px = Pixels { at: t.px, cols: g.tw * W::M + 2 * halo, own: strip * W::M, shared: 2 * halo };
        // What no pixel is loaded to.
        for row in 0..px.own + px.shared {
            px.clear::<S>(row, 0, halo);
            px.clear::<S>(row, halo + g.w, px.cols);
        }
        let panels = t.ch.div_ceil(L);
        for cb in 0..panels {
            let nch = (t.ch - cb * L).min(L);
            let next = (t.ch - cb * L - nch).min(L);
            for Segment { image, ty0, ty1, tile } in g.segments(t.r0, t.r1) {
                let src = t.src.add((image * t.ch + cb * L) * g.h * g.w);
                let mut dst = t.dst.add(cb * t.panel + tile * L);
                let mut top = ty0;
                while top < ty1 {
                    let end = (top + strip).min(ty1);
                    load_strip::<S, W>(t, &px, src, nch, next, (top, end), top == ty0);
                    for ty in 0..end - top {
                        if !t.sums.is_null() {
                            let row = tile / g.tw + top - ty0 + ty;
                            let sum = px.sum::<S, W>(ty * W::M + halo, halo, g.w);
                            S::store(t.sums.add((row * panels + cb) * L), sum);
                        }
                        for tx in 0..g.tw {
                            let s = px.row(ty * W::M).add(tx * W::M * L);
                            if t.own {
                                W::points::<S, true>(s, px.cols * L, dst, t.xs);
                            } else {
                                W::points::<S, false>(s, px.cols * L, dst, t.xs);
                            }
                            dst = dst.add(L);
                        }
                    }
                    top = end;
                }
            }
        }
    }
}
isa_entry!(
    /// [`transform_rows`].
    pub(super) transform_isa [W: Patch] = transform_rows(Transform)
);

/// A part of what a transform will read.
pub(super) struct Ahead {
    pub(super) transform: Transform,
    /// Channels, from and up to.
    pub(super) channels: (usize, usize),
}

/// Asks for the pixels of some channels.
#[inline(always)]
unsafe fn prefetch_rows<S: Simd, W: Patch>(a: &Ahead) {
    unsafe {
        let t = &a.transform;
        let g = &t.geo;
        for Segment { image, ty0, ty1, .. } in g.segments(t.r0, t.r1) {
            let (lo, hi) = t.pixel_rows::<W>(ty0, ty1);
            for ch in a.channels.0..a.channels.1 {
                let at = ((image * t.ch + ch) * g.h + lo) * g.w;
                S::prefetch(t.src.wrapping_add(at), (hi - lo) * g.w);
            }
        }
    }
}
isa_entry!(
    /// [`prefetch_rows`].
    pub(super) prefetch_isa [W: Patch] = prefetch_rows(Ahead)
);
