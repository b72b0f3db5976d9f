//! `y = Aᵀ [ U · V ] A`, a block of tiles at a time: transform, multiply, transform back.

use super::domain::{Domain, Source};
use super::filter::{filter_transform, u_block, u_len, u_vecs};
use super::geometry::{Conv3x3, Geometry, Segment, plane_stride};
use super::micro;
use super::tile::{Tile, output_tile};
use super::transform::{Transform, transform_rows};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::pixels::store_pixels;
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// Bytes of the transformed input of a block: what stays in the L2 cache beside the filters of one pass (measured).
const BLOCK_BYTES: usize = 440 * 1024;
/// Tiles of a block: enough rows for the micro-kernel, few enough for all threads.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 16..=96;

struct BlockArgs {
    tr: Transform,
    /// Output channels.
    out: usize,
    /// Transformed filters.
    u: *const f32,
    /// Null, or one value an output channel.
    bias: *const f32,
    /// Null, or what is added to the output, in its shape.
    res: *const f32,
    /// Output planes of the whole batch.
    y: *mut f32,
    /// Scratch for the products of a block, `[tile][x][32]`.
    m: *mut f32,
}

#[inline(always)]
unsafe fn forward_block<S: Simd, W: Tile>(b: &BlockArgs) {
    unsafe {
        let t = &b.tr;
        let g = &t.geo;
        transform_rows::<S, W>(t);
        let tiles = (t.r1 - t.r0) * g.tw;
        let (plane, strip) = (g.h * g.w, g.strip::<W>());
        for kb in 0..b.out.div_ceil(2 * L) {
            let nv = u_vecs(b.out, kb);
            let us = plane_stride(t.ch * nv * L);
            let ub = b.u.add(kb * u_block(W::X, t.ch));
            let ms = nv * L;
            for Segment { image, ty0, ty1, .. } in g.segments(t.r0, t.r1) {
                for k in kb * 2 * L..b.out.min(kb * 2 * L + ms) {
                    let at = (image * b.out + k) * plane + ty0 * W::M * g.w;
                    S::prefetch(b.y.wrapping_add(at), ((ty1 - ty0) * W::M * g.w).min(plane)); // for the stores
                }
            }
            for x in 0..W::X {
                micro::forward::<S>(
                    tiles,
                    nv,
                    micro::Forward {
                        a: t.dst.add(x * t.xs),
                        a_cb: t.panel,
                        b: ub.add(x * us),
                        bs: nv * L,
                        c: b.m.add(x * ms),
                        cs: W::X * ms,
                        cin: t.ch,
                    },
                );
            }
            for v in 0..nv {
                let k0 = kb * 2 * L + v * L;
                let nk = (b.out - k0).min(L);
                for Segment { image, ty0, ty1, tile } in g.segments(t.r0, t.r1) {
                    let bias = if b.bias.is_null() { S::zero() } else { S::load_n(b.bias.add(k0), nk) };
                    let mut m = b.m.add(tile * W::X * ms + v * L);
                    let o = (image * b.out + k0) * plane;
                    let res = if b.res.is_null() { b.res } else { b.res.add(o) };
                    let mut top = ty0;
                    while top < ty1 {
                        let end = (top + strip).min(ty1);
                        let (lo, hi) = (top * W::M, (end * W::M).min(g.h));
                        for ty in top..end {
                            for tx in 0..g.tw {
                                let (r, c) = (ty * W::M, tx * W::M);
                                let d = t.px.add(((r - lo) * g.w + c) * L);
                                output_tile::<S, W>(m, ms, bias, d, g.w * L, (g.h - r).min(W::M), (g.w - c).min(W::M));
                                m = m.add(W::X * ms);
                            }
                        }
                        store_pixels::<S>(t.px, b.y.add(o), res, plane, nk, lo * g.w, hi * g.w);
                        top = end;
                    }
                }
            }
        }
    }
}
isa_entry!(
    /// [`forward_block`].
    forward_block_isa [W: Tile] = forward_block(BlockArgs)
);

/// What is added to a convolution's result.
#[derive(Clone, Copy, Default)]
pub(super) struct Epilogue<'a> {
    /// `[k]`
    pub(super) bias: Option<&'a [f32]>,
    /// In the shape of the output.
    pub(super) residual: Option<&'a [f32]>,
}

/// How a convolution is computed.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    /// Where the transformed input is kept.
    pub(super) keep: Option<Domain>,
    /// Whether other threads have work of their own, so that there need not be a block for each.
    pub(super) alone: bool,
}

/// `y = conv(x, w)` plus the epilogue; with `rotate`, `w: [c, k, 3, 3]` is the filter of the convolution whose input
/// gradient `y` is. `s` are the sizes of the convolution that is computed.
pub(super) fn convolve<W: Tile>(
    s: &Conv3x3,
    x: &[f32],
    w: &[f32],
    rotate: bool,
    add: Epilogue,
    how: How,
    y: &mut [f32],
) {
    assert!(w.len() == s.weight_len());
    with(u_len(W::X, s.k, s.c), |u| {
        let (k, c) = if rotate { (s.c, s.k) } else { (s.k, s.c) };
        filter_transform::<W>(w, k, c, rotate, u);
        convolve_transformed::<W>(s, x, u, add, how, y);
    })
}

/// [`convolve`] with filters that are transformed already.
pub(super) fn convolve_transformed<W: Tile>(s: &Conv3x3, x: &[f32], u: &[f32], add: Epilogue, how: How, y: &mut [f32]) {
    assert!(x.len() == s.input_len() && y.len() == s.output_len() && u.len() >= u_len(W::X, s.k, s.c));
    assert!(add.bias.is_none_or(|b| b.len() == s.k));
    assert!(add.residual.is_none_or(|r| r.len() == y.len()));
    if y.is_empty() {
        return;
    }
    let isa = Isa::current();
    let geo = Geometry::new::<W>(s);
    let tiles = (BLOCK_BYTES / Domain::tile_bytes::<W>(s.c)).clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end());
    // The number of blocks may depend on the number of threads: every output is computed by itself.
    let threads = if how.alone { 1 } else { rayon::current_num_threads() };
    let blocks = geo.blocks(tiles, threads);
    let px_len = geo.pixel_scratch::<W>();
    let (x, u, y) = (Shared::read(x), Shared::read(u), Shared::new(y));
    let (bias, res) = (Shared::read_option(add.bias), Shared::read_option(add.residual));
    (0..blocks).into_par_iter().with_max_len(1).for_each(|i| {
        let (r0, r1) = geo.block(i, blocks);
        let v_len = if how.keep.is_some() { 0 } else { Domain::floats::<W>(&geo, r1 - r0, s.c) };
        with(px_len + v_len + W::X * (r1 - r0) * geo.tw * 2 * L, |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (v, m) = rest.split_at_mut(v_len);
            let (domain, first) = match how.keep {
                Some(domain) => (domain, 0),
                None => (Domain::new::<W>(&geo, r1 - r0, s.c, false, v), r0),
            };
            let args = BlockArgs {
                tr: domain.transform(Source { at: x, first }, (r0, r1), false, px),
                out: s.k,
                u: u.at(0),
                bias: bias.at(0),
                res: res.at(0),
                y: y.at(0),
                m: m.as_mut_ptr(),
            };
            // SAFETY: the lengths of all slices were checked; the scratch is cut as `forward_block` uses it, a domain that is kept has
            // room for all rows; blocks write the output rows of their own tiles.
            unsafe { forward_block_isa::<W>(isa, &args) }
        })
    });
}
