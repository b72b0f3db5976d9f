//! A block of tiles: transform, multiply, transform back.

use super::phases::N;
use super::tile::{Pass, Sums};
use crate::isa::isa_entry;
use crate::pixels::store_pixels;
use crate::simd::{L, Simd};
use crate::winograd::filter::{u_block, u_vecs};
use crate::winograd::geometry::{Geometry, Segment, plane_stride};
use crate::winograd::micro;
use crate::winograd::tile::Patch;
use crate::winograd::transform::{Transform, transform_rows};

pub(super) struct Block {
    pub(super) transform: Transform,
    /// Tiles of the result: as many as of what is transformed.
    pub(super) geo: Geometry,
    /// Output channels.
    pub(super) out: usize,
    /// Transformed filters.
    pub(super) u: *const f32,
    /// Null, or one value an output channel.
    pub(super) bias: *const f32,
    /// Null, or what is added to the output, in its shape.
    pub(super) add: *const f32,
    /// Output planes of the whole batch.
    pub(super) y: *mut f32,
    /// Scratch for the sums of a block, `[tile][x][32]`.
    pub(super) m: *mut f32,
}

#[inline(always)]
unsafe fn block<S: Simd, P: Pass>(b: &Block) {
    unsafe {
        let t = &b.transform;
        transform_rows::<S, P::From>(t);
        for kb in 0..b.out.div_ceil(2 * L) {
            multiply::<S, P>(b, kb);
            let nv = u_vecs(b.out, kb);
            for v in 0..nv {
                store::<S, P>(b, kb * 2 * L + v * L, b.m.add(v * L), nv * L);
            }
        }
    }
}
isa_entry!(
    /// [`block`].
    pub(super) block_isa [P: Pass] = block(Block)
);

/// The sums of 32 output channels.
#[inline(always)]
unsafe fn multiply<S: Simd, P: Pass>(b: &Block, kb: usize) {
    unsafe {
        let (t, g) = (&b.transform, &b.geo);
        let nv = u_vecs(b.out, kb);
        let ms = nv * L;
        let (rows, plane) = (P::To::M * g.w, g.h * g.w);
        for Segment { image, ty0, ty1, .. } in g.segments(t.r0, t.r1) {
            for k in kb * 2 * L..b.out.min(kb * 2 * L + ms) {
                let at = (image * b.out + k) * plane + ty0 * rows;
                S::prefetch(b.y.wrapping_add(at), ((ty1 - ty0) * rows).min(plane)); // for the stores
            }
        }
        let us = plane_stride(t.ch * ms);
        let u = b.u.add(kb * u_block(N * N, t.ch));
        for i in 0..N {
            for j in 0..N {
                let (x, sum, first) = P::product(i, j);
                micro::forward::<S, false>(
                    (t.r1 - t.r0) * g.tw,
                    nv,
                    micro::Forward {
                        a: t.dst.add(x * t.xs),
                        a_cb: t.panel,
                        b: u.add((i * N + j) * us),
                        bs: ms,
                        c: b.m.add(sum * ms),
                        cs: P::SUMS * ms,
                        cin: t.ch,
                        accumulate: !first,
                        next: 0,
                    },
                );
            }
        }
    }
}

/// The results of the 16 output channels from `k0` on, whose sums at `m` are `ms` apart.
#[inline(always)]
unsafe fn store<S: Simd, P: Pass>(b: &Block, k0: usize, m: *const f32, ms: usize) {
    unsafe {
        let (t, g, side) = (&b.transform, &b.geo, P::To::M);
        let (plane, strip, tile_sums) = (g.h * g.w, g.strip::<P::To>(), P::SUMS * ms);
        let nk = (b.out - k0).min(L);
        let bias = if b.bias.is_null() { S::zero() } else { S::load_n(b.bias.add(k0), nk) };
        for Segment { image, ty0, ty1, tile } in g.segments(t.r0, t.r1) {
            let mut m = m.add(tile * tile_sums);
            let o = (image * b.out + k0) * plane;
            let add = if b.add.is_null() { b.add } else { b.add.add(o) };
            let mut top = ty0;
            while top < ty1 {
                let end = (top + strip).min(ty1);
                let (lo, hi) = (top * side, (end * side).min(g.h));
                for ty in top..end {
                    for tx in 0..g.tw {
                        let (r, c) = (ty * side, tx * side);
                        let dst = t.px.add(((r - lo) * g.w + c) * L);
                        let limits = (g.h - r, g.w - c);
                        P::results::<S>(&Sums { src: m, xs: ms, bias, dst, rs: g.w * L, limits });
                        m = m.add(tile_sums);
                    }
                }
                store_pixels::<S>(t.px, b.y.add(o), add, plane, nk, lo * g.w, hi * g.w);
                top = end;
            }
        }
    }
}
