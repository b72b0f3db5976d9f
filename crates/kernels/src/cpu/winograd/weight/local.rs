//! Sums that fit into a core's L2 cache: a task has its own and goes through small blocks of tiles.

use super::super::geometry::{Geometry, plane_stride};
use super::super::tile::Tile;
use super::super::transform::{Ahead, Transform, prefetch_isa, transform_isa};
use super::{Operands, Sums, multiply};
use crate::cpu::scratch::with;
use crate::cpu::simd::L;

/// Largest sums in bytes that are kept so (measured).
pub(super) const BYTES: usize = 700 * 1024;
/// Transformed inputs and gradients of a block of tiles beside them.
const BLOCK_BYTES: usize = 440 * 1024;
/// Tiles of such a block.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 8..=96;
/// Tiles that a part of the sum should have: adding the parts then costs little beside them.
const PART_TILES: usize = 256;
/// Parts of the sum, and so threads that can work on it.
const PARTS: std::ops::RangeInclusive<usize> = 2..=16;
/// Channels of the next block's inputs and gradients that are asked for during the products (measured: weight gradients of the
/// default network take about 5 % less time than without, with 64 no less than with 32).
const CHANNELS_AHEAD: usize = 32;

/// Parts of the tiles.
pub(super) fn parts(geo: &Geometry) -> usize {
    let parts = (geo.rows * geo.tw / PART_TILES).max(1);
    (1 << parts.ilog2()).clamp(*PARTS.start(), *PARTS.end()).min(geo.rows)
}

/// Adds up the products of some rows of tiles, to what `part` holds if it has `begun`.
///
/// # Safety
/// The operands must be readable, and nobody else may touch the sums of `part` meanwhile.
pub(super) unsafe fn sum_locally<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    part: usize,
    (from, to): (usize, usize),
    begun: bool,
) {
    let geo = o.geo;
    let tile_bytes = W::X * (o.cbs + o.kbs) * L * size_of::<f32>();
    let tiles = (BLOCK_BYTES / tile_bytes).clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end());
    let blocks = (to - from).div_ceil((tiles / geo.tw).max(1));
    let block = |i: usize| (from + (to - from) * i / blocks, from + (to - from) * (i + 1) / blocks);
    let max_rows = (to - from).div_ceil(blocks);
    let px_len = geo.pixel_scratch::<W>();
    let panel = max_rows * geo.tw * L;
    let (vs, ms) = (plane_stride(o.cbs * panel), plane_stride(o.kbs * panel));
    with(px_len + W::X * (vs + ms), |scratch| {
        let (px, rest) = scratch.split_at_mut(px_len);
        let (v, m) = rest.split_at_mut(W::X * vs);
        for i in 0..blocks {
            let (r0, r1) = block(i);
            let input = Transform {
                geo,
                src: o.x.at(0),
                ch: o.s.c,
                r0,
                r1,
                dst: v.as_mut_ptr(),
                panel,
                xs: vs,
                grad: false,
                px: px.as_mut_ptr(),
            };
            let gradient = Transform { src: o.dy.at(0), ch: o.s.k, dst: m.as_mut_ptr(), xs: ms, grad: true, ..input };
            let next = (i + 1 < blocks).then(|| {
                let (r0, r1) = block(i + 1);
                [input, gradient].map(|t| Transform { r0, r1, ..t })
            });
            // SAFETY: the caller's contract; the scratch is cut for `max_rows` rows of tiles, of which a block has no more.
            unsafe {
                transform_isa::<W>(o.isa, &input);
                transform_isa::<W>(o.isa, &gradient);
                for x in 0..W::X {
                    for transform in next.into_iter().flatten() {
                        let ahead = transform.ch.min(CHANNELS_AHEAD);
                        let channels = (ahead * x / W::X, ahead * (x + 1) / W::X);
                        prefetch_isa::<W>(o.isa, &Ahead { transform, channels });
                    }
                    let np = (r1 - r0) * geo.tw;
                    let (a, b) = (m.as_ptr().add(x * ms), v.as_ptr().add(x * vs));
                    multiply(o, sums, part, x, [a, b], panel, np, begun || i > 0);
                }
            }
        }
    });
}
