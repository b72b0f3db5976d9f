//! Large sums: big blocks of tiles are transformed by all threads, then the products are shared out by point.

use super::super::domain::Domain;
use super::super::tile::Tile;
use super::super::transform::transform_isa;
use super::operands::{Operands, multiply};
use super::sums::Sums;
use crate::scratch::{Shared, with};
use rayon::prelude::*;

/// Transformed inputs and gradients of a block: they stay in the L3 cache.
const BLOCK_BYTES: usize = 6000 * 1024;
/// Tiles of a block, at least.
const BLOCK_TILES: usize = 32;
/// Tiles that one task transforms.
const TRANSFORM_TILES: usize = 16;

/// Adds up the products of all tiles, to what the sums hold if they have `begun`.
///
/// # Safety
/// The operands must be readable, and nobody else may touch the sums meanwhile.
pub(in super::super) unsafe fn sum_together<W: Tile>(o: &Operands<W>, sums: &Sums, begun: bool) {
    let geo = o.geo;
    let tiles = (BLOCK_BYTES / o.tile_bytes()).max(BLOCK_TILES);
    let blocks = geo.blocks(tiles, 1);
    o.with_domains(geo.rows.div_ceil(blocks), |_, p, v| {
        for i in 0..blocks {
            let (r0, r1) = geo.block(i, blocks);
            transform(o, (r0, r1), p, v);
            // What is transformed already has the rows of all blocks.
            let (v, row) = v.map_or_else(|| (o.v.expect("one of them is there"), r0), |v| (v, 0));
            // SAFETY: these rows are transformed.
            unsafe { sums.add_pixels(0, &v, (row, row + r1 - r0)) };
            (0..W::X).into_par_iter().with_max_len(1).for_each(|x| {
                let panels = [(v.tiles(x, row), v.panel), (p.tiles(x, 0), p.panel)];
                // SAFETY: plane `x` of the sums is this task's own.
                unsafe { multiply(o, sums, (0, x), panels, (r1 - r0) * geo.tw, begun || i > 0) }
            });
        }
    });
}

/// Transforms the rows of tiles `r0..r1` of the input to `p` and of the output gradient to `v`, if it is there, whose first row is `r0`.
pub(super) fn transform<W: Tile>(o: &Operands<W>, (r0, r1): (usize, usize), p: Domain, v: Option<Domain>) {
    let geo = o.geo;
    let chunk = (TRANSFORM_TILES / geo.tw).max(1);
    let sides = if v.is_some() { 2 } else { 1 };
    let tasks = sides * (r1 - r0).div_ceil(chunk);
    (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
        let from = r0 + task / sides * chunk;
        let rows = (from, (from + chunk).min(r1));
        with(geo.pixel_scratch::<W>(), |px| {
            let ([x, dy], px) = (o.sources(r0), Shared::new(px));
            let transform = match v {
                Some(v) if task % 2 == 1 => v.transform(dy, rows, false, px),
                _ => p.transform(x, rows, true, px),
            };
            // SAFETY: the operands are good for the images; tasks write the tiles of their own rows.
            unsafe { transform_isa::<W>(o.isa, &transform) }
        })
    });
}
