//! `y = Aᵀ [ U · V ] A`, a block of tiles at a time: transform, multiply, transform back.

use super::domain::{Domain, Source};
use super::filter::{FilterArgs, Weight, filter_block, filter_transform, u_block, u_len, u_vecs};
use super::geometry::{Conv3x3, Geometry, NAME, Segment, plane_stride};
use super::micro;
use super::tile::{Tile, output_tile};
use super::transform::{Transform, transform_isa, transform_rows};
use crate::isa::{Isa, isa_entry};
use crate::pixels::store_pixels;
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd};
use crate::sizes::{check_len, check_option};
use rayon::prelude::*;

/// Bytes of the transformed input of a block: what stays in the L2 cache beside the filters of one pass (measured).
const BLOCK_BYTES: usize = 440 * 1024;
/// Tiles of a block: enough rows for the micro-kernel, few enough for all threads.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 16..=96;

/// Bytes of transformed filters for every tile from which on no thread reads what another has transformed: each transforms filters
/// again for its own block of tiles, or has a share of the output channels, and uses them from its L2 cache. Neither do they go through
/// the L3 cache then nor from core to core (measured with 256 channels on two cores: as fast with 256 tiles, faster with 64 and 16; slower
/// with 1024, or with 128 channels).
const OWN_BYTES_PER_TILE: usize = 32 << 10;
/// The same of all: less can be kept in an L2 cache.
const OWN_BYTES: usize = 1 << 20;
/// Input channels whose filters are transformed at a time then: for 32 output channels half of an L2 cache of 1 MB, for a point what stays
/// in the L1 cache for all tiles (measured: products take 3 % longer with 64 channels, and no less time with 256).
const CHANNELS: usize = 128;
/// Tiles of a block then: many, for what the transform costs, few enough for the L3 cache (measured: no faster with 256).
const OWN_TILES: usize = 128;
/// Tiles for which a task should have its filters. Where threads would have fewer, they have shares of the output channels: it costs
/// less to transform the input for each of them (measured).
const SHARE_TILES: usize = 64;

struct BlockArgs {
    tr: Transform,
    /// Whether that is done.
    is_transformed: bool,
    /// Output channels.
    out: usize,
    /// Blocks of 32 output channels of this task, from and up to.
    k0: usize,
    k1: usize,
    filters: Filters<*const f32, *mut f32>,
    /// Null, or one value an output channel.
    bias: *const f32,
    /// Null, or what is added to the output, in its shape.
    res: *const f32,
    /// Output planes of the whole batch.
    y: *mut f32,
    /// Scratch for the products of a block, `[tile][x][32]`.
    m: *mut f32,
}

/// Where filters come from.
#[derive(Clone, Copy)]
enum Filters<U, Scratch> {
    /// All of them, transformed.
    Transformed(U),
    /// To be transformed, [`CHANNELS`] at a time, into scratch.
    Plain(Weight, Scratch),
}

/// # Safety
/// The pointers of `b` must be valid for what their fields say, and nobody else may touch the output rows of these tiles and channels.
#[inline(always)]
unsafe fn forward_block<S: Simd, W: Tile>(b: &BlockArgs) {
    let t = &b.tr;
    debug_assert!(
        t.r0 <= t.r1 && t.r1 <= t.geo.rows && b.k1 <= b.out.div_ceil(2 * L),
        "tiles and channels of the batch"
    );
    // SAFETY: the caller's contract; the products of 32 channels are there before they are transformed back.
    unsafe {
        if !b.is_transformed {
            transform_rows::<S, W>(t);
        }
        for kb in b.k0..b.k1 {
            prefetch_output::<S, W>(b, kb);
            multiply::<S, W>(b, kb);
            for v in 0..u_vecs(b.out, kb) {
                store::<S, W>(b, kb, v);
            }
        }
    }
}

/// Asks for where the output channels of block `kb` go, for the stores.
///
/// # Safety
/// None but that of `S`: any address may be asked for.
#[inline(always)]
unsafe fn prefetch_output<S: Simd, W: Tile>(b: &BlockArgs, kb: usize) {
    let (t, g) = (&b.tr, &b.tr.geo);
    let plane = g.h * g.w;
    for Segment { image, ty0, ty1, .. } in g.segments(t.r0, t.r1) {
        for k in kb * 2 * L..b.out.min(kb * 2 * L + u_vecs(b.out, kb) * L) {
            let at = (image * b.out + k) * plane + ty0 * W::M * g.w;
            // SAFETY: any address may be asked for.
            unsafe { S::prefetch(b.y.wrapping_add(at), ((ty1 - ty0) * W::M * g.w).min(plane)) };
        }
    }
}

/// The products of all tiles of the block and the output channels of block `kb`, to `b.m`.
///
/// # Safety
/// As for [`forward_block`]; the input must be transformed.
#[inline(always)]
unsafe fn multiply<S: Simd, W: Tile>(b: &BlockArgs, kb: usize) {
    let t = &b.tr;
    let nv = u_vecs(b.out, kb);
    let (tiles, ms) = ((t.r1 - t.r0) * t.geo.tw, nv * L);
    let step = if let Filters::Plain(..) = b.filters { CHANNELS } else { t.ch };
    // SAFETY: the caller's contract; transformed filters have `u_block` floats for every block of output channels, and own ones
    // `W::X` planes of `us`.
    unsafe {
        for c0 in (0..t.ch).step_by(step) {
            let (cin, us) = ((t.ch - c0).min(step), plane_stride(step.min(t.ch) * nv * L));
            let ub = match b.filters {
                Filters::Transformed(u) => u.add(kb * u_block(W::X, t.ch)),
                Filters::Plain(w, u) => {
                    let args = FilterArgs { w, out: b.out, u, xs: us, kb, i0: c0, i1: c0 + cin };
                    filter_block::<S, W>(&args);
                    u.cast_const()
                }
            };
            for x in 0..W::X {
                let product = micro::Forward {
                    a: t.dst.add(x * t.xs + c0 / L * t.panel),
                    a_cb: t.panel,
                    b: ub.add(x * us),
                    bs: nv * L,
                    c: b.m.add(x * ms),
                    cs: W::X * ms,
                    cin,
                    accumulate: c0 > 0,
                    next: t.xs,
                };
                match b.filters {
                    Filters::Transformed(_) => micro::forward::<S, false>(tiles, nv, product),
                    Filters::Plain(..) => micro::forward::<S, true>(tiles, nv, product),
                }
            }
        }
    }
}

/// The outputs of vector `v` of block `kb` from the products in `b.m`, strip by strip.
///
/// # Safety
/// As for [`forward_block`]; the products must be there.
#[inline(always)]
unsafe fn store<S: Simd, W: Tile>(b: &BlockArgs, kb: usize, v: usize) {
    let (t, g) = (&b.tr, &b.tr.geo);
    let (plane, strip, ms) = (g.h * g.w, g.strip::<W>(), u_vecs(b.out, kb) * L);
    let k0 = kb * 2 * L + v * L;
    let nk = (b.out - k0).min(L);
    // SAFETY: the caller's contract; a strip's pixels fit into the scratch that the transform no longer needs.
    unsafe {
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
isa_entry!(
    /// [`forward_block`].
    forward_block_isa [W: Tile] = forward_block(BlockArgs)
);

/// What is added to a convolution's result.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// `[k]`
    pub(crate) bias: Option<&'a [f32]>,
    /// In the shape of the output.
    pub(crate) residual: Option<&'a [f32]>,
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
#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub(super) fn convolve<W: Tile>(
    isa: Isa,
    s: &Conv3x3,
    x: &[f32],
    w: &[f32],
    rotate: bool,
    add: Epilogue,
    how: How,
    y: &mut [f32],
) {
    check_len(NAME, "the weight", w.len(), s.weight_len());
    check(s, x, add, y.len());
    if y.is_empty() {
        return;
    }
    let (k, c) = if rotate { (s.c, s.k) } else { (s.k, s.c) };
    let (len, geo) = (u_len(W::X, s.k, s.c), Geometry::new::<W>(s));
    if len * size_of::<f32>() >= OWN_BYTES.max(geo.rows * geo.tw * OWN_BYTES_PER_TILE) {
        return convolve_blocks::<W>(isa, s, x, Filters::Plain(Weight::new(w, [k, c], rotate), ()), add, how, y);
    }
    with(len, |u| {
        filter_transform::<W>(isa, w, [k, c], rotate, u);
        convolve_transformed::<W>(isa, s, x, u, add, how, y);
    })
}

/// Panics unless the lengths fit, and the output has `y` values.
pub(super) fn check(s: &Conv3x3, x: &[f32], add: Epilogue, y: usize) {
    check_len(NAME, "the input", x.len(), s.input_len());
    check_len(NAME, "the output", y, s.output_len());
    check_option(NAME, "the bias", add.bias, s.k);
    check_option(NAME, "what is added", add.residual, y);
    assert!(s.c > 0 || y == 0, "conv3x3: there must be channels to compute an output from");
}

/// [`convolve`] with filters that are transformed already.
pub(super) fn convolve_transformed<W: Tile>(
    isa: Isa,
    s: &Conv3x3,
    x: &[f32],
    u: &[f32],
    add: Epilogue,
    how: How,
    y: &mut [f32],
) {
    check(s, x, add, y.len());
    if y.is_empty() {
        return;
    }
    assert!(u.len() >= u_len(W::X, s.k, s.c));
    convolve_blocks::<W>(isa, s, x, Filters::Transformed(Shared::read(u)), add, how, y);
}

/// How a convolution is cut into tasks: `blocks` of tiles, `shares` of the output channels. They may depend on the number of `threads`:
/// every output is computed by itself.
fn tasks<W: Tile>(s: &Conv3x3, geo: &Geometry, is_own: bool, threads: usize) -> (usize, usize) {
    if !is_own {
        let tiles = (BLOCK_BYTES / Domain::tile_bytes::<W>(s.c)).clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end());
        return (geo.blocks(tiles, threads), 1);
    }
    let tiles = geo.rows * geo.tw;
    let shares = (SHARE_TILES * threads).div_ceil(tiles).min(threads).min(s.k.div_ceil(2 * L));
    let block = (tiles * shares).div_ceil(threads).min(OWN_TILES);
    (geo.blocks(block, threads.div_ceil(shares)), shares)
}

fn convolve_blocks<W: Tile>(
    isa: Isa,
    s: &Conv3x3,
    x: &[f32],
    filters: Filters<Shared, ()>,
    add: Epilogue,
    how: How,
    y: &mut [f32],
) {
    check(s, x, add, y.len());
    if y.is_empty() {
        return;
    }
    let geo = Geometry::new::<W>(s);
    let is_own = matches!(filters, Filters::Plain(..));
    let threads = if how.alone { 1 } else { rayon::current_num_threads() };
    let (blocks, shares) = tasks::<W>(s, &geo, is_own, threads);
    let kbs = s.k.div_ceil(2 * L);
    let px_len = geo.pixel_scratch::<W>();
    let own_len = if is_own { W::X * plane_stride(CHANNELS.min(s.c) * 2 * L) } else { 0 };
    let (x, y) = (Shared::read(x), Shared::new(y));
    let (bias, res) = (Shared::read_option(add.bias), Shared::read_option(add.residual));
    // What is kept is transformed before, if several tasks need it.
    let transformed = how.keep.filter(|_| shares > 1);
    if let Some(domain) = transformed {
        (0..geo.rows).into_par_iter().for_each(|row| {
            with(px_len, |px| {
                let transform = domain.transform(Source { at: x, first: 0 }, (row, row + 1), false, Shared::new(px));
                // SAFETY: the lengths were checked; the domain has room for all rows, of which every task writes its own.
                unsafe { transform_isa::<W>(isa, &transform) }
            });
        });
    }
    (0..blocks * shares).into_par_iter().with_max_len(1).for_each(|task| {
        let (i, share) = (task / shares, task % shares);
        let (r0, r1) = geo.block(i, blocks);
        let v_len = if how.keep.is_some() { 0 } else { Domain::floats::<W>(&geo, r1 - r0, s.c) };
        with(px_len + own_len + v_len + W::X * (r1 - r0) * geo.tw * 2 * L, |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (own, rest) = rest.split_at_mut(own_len);
            let (v, m) = rest.split_at_mut(v_len);
            let (domain, first) = match how.keep {
                Some(domain) => (domain, 0),
                None => (Domain::new::<W>(&geo, r1 - r0, s.c, false, v), r0),
            };
            let args = BlockArgs {
                tr: domain.transform(Source { at: x, first }, (r0, r1), false, Shared::new(px)),
                is_transformed: transformed.is_some(),
                out: s.k,
                k0: kbs * share / shares,
                k1: kbs * (share + 1) / shares,
                filters: match filters {
                    Filters::Transformed(u) => Filters::Transformed(u.at(0).cast_const()),
                    Filters::Plain(w, ()) => Filters::Plain(w, own.as_mut_ptr()),
                },
                bias: bias.at(0),
                res: res.at(0),
                y: y.at(0),
                m: m.as_mut_ptr(),
            };
            // SAFETY: the lengths of all slices were checked; the scratch is cut as `forward_block` uses it, a domain that is kept has
            // room for all rows; tasks write the output rows of their own tiles, of their own channels.
            unsafe { forward_block_isa::<W>(isa, &args) }
        })
    });
}
