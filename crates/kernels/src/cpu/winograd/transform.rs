//! Images to the Winograd domain, a range of rows of tiles at a time.

use super::geometry::{Geometry, Segment};
use super::tile::{Tile, input_tile};
use crate::cpu::isa::isa_entry;
use crate::cpu::pixels::load_pixels;
use crate::cpu::simd::{L, Simd};

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
    /// `A y Aᵀ` of the output gradient instead of `Bᵀ d B` of the input.
    pub(super) grad: bool,
    /// Scratch of [`Geometry::pixel_scratch`] floats.
    pub(super) px: *mut f32,
}

impl Transform {
    /// Pixels around an image that belong to its tiles.
    #[inline(always)]
    fn halo(&self) -> usize {
        if self.grad { 0 } else { 1 }
    }

    /// Rows of pixels, from and up to, that the rows of tiles `ty0..ty1` of an image are made of.
    #[inline(always)]
    fn pixel_rows<W: Tile>(&self, ty0: usize, ty1: usize) -> (usize, usize) {
        ((ty0 * W::M).saturating_sub(self.halo()), (ty1 * W::M + self.halo()).min(self.geo.h))
    }
}

/// Zeros what no pixel will be loaded to.
#[inline(always)]
unsafe fn clear_padding<S: Simd, W: Tile>(t: &Transform) {
    unsafe {
        let (g, halo) = (&t.geo, t.halo());
        let cols = g.tw * W::M + 2 * halo;
        let mut row = t.px;
        for Segment { ty0, ty1, .. } in g.segments(t.r0, t.r1) {
            let (lo, hi) = t.pixel_rows::<W>(ty0, ty1);
            let above = lo + halo - ty0 * W::M;
            for r in 0..(ty1 - ty0) * W::M + 2 * halo {
                let inside = (above..above + hi - lo).contains(&r);
                let (left, right) = if inside { (halo, halo + g.w) } else { (cols, cols) };
                for col in (0..left).chain(right..cols) {
                    S::store(row.add(col * L), S::zero());
                }
                row = row.add(cols * L);
            }
        }
    }
}

/// Transforms all channels of a range of rows of tiles.
///
/// # Safety
/// The pointers of `t` must be valid for what their fields say.
#[inline(always)]
pub(super) unsafe fn transform_rows<S: Simd, W: Tile>(t: &Transform) {
    unsafe {
        let (g, halo) = (&t.geo, t.halo());
        let cols = g.tw * W::M + 2 * halo;
        let plane = g.h * g.w;
        clear_padding::<S, W>(t);
        for cb in 0..t.ch.div_ceil(L) {
            let nch = (t.ch - cb * L).min(L);
            let mut seg = t.px;
            for Segment { image, ty0, ty1, tile } in g.segments(t.r0, t.r1) {
                let src = t.src.add((image * t.ch + cb * L) * plane);
                let top = ty0 * W::M; // scratch row 0 is image row top - halo
                let (lo, hi) = t.pixel_rows::<W>(ty0, ty1);
                let at = seg.add(((lo + halo - top) * cols + halo) * L);
                for ch in L..(t.ch - cb * L).min(2 * L) {
                    S::prefetch(src.wrapping_add(ch * plane + lo * g.w), (hi - lo) * g.w); // next channel block
                }
                load_pixels::<S>(src, plane, nch, lo * g.w, hi * g.w, g.w, at, cols * L);
                let mut dst = t.dst.add(cb * t.panel + tile * L);
                for ty in 0..ty1 - ty0 {
                    for tx in 0..g.tw {
                        let s = seg.add((ty * W::M * cols + tx * W::M) * L);
                        if t.grad {
                            input_tile::<S, W, true>(s, cols * L, dst, t.xs);
                        } else {
                            input_tile::<S, W, false>(s, cols * L, dst, t.xs);
                        }
                        dst = dst.add(L);
                    }
                }
                seg = seg.add(((ty1 - ty0) * W::M + 2 * halo) * cols * L);
            }
        }
    }
}
isa_entry!(
    /// [`transform_rows`].
    pub(super) transform_isa [W: Tile] = transform_rows(Transform)
);

/// A part of what a transform will read.
pub(super) struct Ahead {
    pub(super) transform: Transform,
    /// Channels, from and up to.
    pub(super) channels: (usize, usize),
}

/// Asks for the pixels of some channels.
#[inline(always)]
unsafe fn prefetch_rows<S: Simd, W: Tile>(a: &Ahead) {
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
    pub(super) prefetch_isa [W: Tile] = prefetch_rows(Ahead)
);
