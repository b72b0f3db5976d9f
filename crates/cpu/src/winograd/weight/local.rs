//! Sums that fit into a core's L2 cache: a task has its own and goes through small blocks of tiles.

use super::super::geometry::Geometry;
use super::super::tile::Tile;
use super::super::transform::{Ahead, prefetch_isa, transform_isa};
use super::operands::{Operands, multiply};
use super::sums::Sums;
use crate::scratch::Shared;

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
pub(in super::super) unsafe fn sum_locally<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    part: usize,
    (from, to): (usize, usize),
    begun: bool,
) {
    let geo = o.geo;
    let tiles = (BLOCK_BYTES / o.tile_bytes()).clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end());
    let blocks = (to - from).div_ceil((tiles / geo.tw).max(1));
    let block = |i: usize| (from + (to - from) * i / blocks, from + (to - from) * (i + 1) / blocks);
    o.with_domains((to - from).div_ceil(blocks), |px, p, v| {
        // One pointer for both transforms, as they write there in turn.
        let px = Shared::new(px);
        for i in 0..blocks {
            let (r0, r1) = block(i);
            let transforms = |(r0, r1): (usize, usize)| {
                let [x, dy] = o.sources(r0);
                [Some(p.transform(x, (r0, r1), true, px)), v.map(|v| v.transform(dy, (r0, r1), false, px))]
            };
            let next = (i + 1 < blocks).then(|| transforms(block(i + 1)));
            // What is transformed already has the rows of all blocks.
            let (v, row) = v.map_or_else(|| (o.v.expect("one of them is there"), r0), |v| (v, 0));
            // SAFETY: the caller's contract; the domains have room for the rows of a block.
            unsafe {
                for transform in transforms((r0, r1)).iter().flatten() {
                    transform_isa::<W>(o.isa, transform);
                }
                sums.add_pixels(part, &v, (row, row + r1 - r0));
                for x in 0..W::X {
                    for transform in next.into_iter().flatten().flatten() {
                        let ahead = transform.ch.min(CHANNELS_AHEAD);
                        let channels = (ahead * x / W::X, ahead * (x + 1) / W::X);
                        prefetch_isa::<W>(o.isa, &Ahead { transform, channels });
                    }
                    let panels = [(v.tiles(x, row), v.panel), (p.tiles(x, 0), p.panel)];
                    multiply(o, sums, (part, x), panels, (r1 - r0) * geo.tw, begun || i > 0);
                }
            }
        }
    });
}
