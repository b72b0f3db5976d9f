//! Images to the Winograd domain, a range of rows of tiles at a time.

use super::geometry::{Geometry, Segment};
use super::tile::{Tile, grad_tile, input_tile};
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

/// Transforms all channels of a range of rows of tiles.
///
/// # Safety
/// The pointers of `t` must be valid for what their fields say.
#[inline(always)]
pub(super) unsafe fn transform_rows<S: Simd, W: Tile>(t: &Transform) {
    unsafe {
        let (g, px) = (&t.geo, t.px);
        let halo = if t.grad { 0 } else { 1 };
        let cols = g.tw * W::M + 2 * halo;
        let plane = g.h * g.w;
        px.write_bytes(0, g.pixel_scratch::<W>(t.r1 - t.r0)); // zero padding; only valid pixels are overwritten
        for cb in 0..t.ch.div_ceil(L) {
            let nch = (t.ch - cb * L).min(L);
            let mut seg = px;
            for Segment { image, ty0, ty1, tile } in g.segments(t.r0, t.r1) {
                let src = t.src.add((image * t.ch + cb * L) * plane);
                let top = ty0 * W::M; // scratch row 0 is image row top - halo
                let (lo, hi) = (top.saturating_sub(halo), (ty1 * W::M + halo).min(g.h));
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
                            grad_tile::<S, W>(s, cols * L, dst, t.xs);
                        } else {
                            input_tile::<S, W>(s, cols * L, dst, t.xs);
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
