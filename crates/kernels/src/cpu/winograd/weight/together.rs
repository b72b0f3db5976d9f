//! Large sums: big blocks of tiles are transformed by all threads, then the products are shared out by point.

use super::super::geometry::plane_stride;
use super::super::tile::Tile;
use super::super::transform::{Transform, transform_isa};
use super::{Operands, Sums, multiply};
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::L;
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
pub(super) unsafe fn sum_together<W: Tile>(o: &Operands<W>, sums: &Sums, begun: bool) {
    let geo = o.geo;
    let tile_bytes = W::X * (o.cbs + o.kbs) * L * size_of::<f32>();
    let tiles = (BLOCK_BYTES / tile_bytes).max(BLOCK_TILES);
    let blocks = geo.blocks(tiles, 1);
    let panel = geo.rows.div_ceil(blocks) * geo.tw * L;
    let (vs, ms) = (plane_stride(o.cbs * panel), plane_stride(o.kbs * panel));
    with(W::X * (vs + ms), |scratch| {
        let (v, m) = scratch.split_at_mut(W::X * vs);
        let (v, m) = (Shared::new(v), Shared::new(m));
        for i in 0..blocks {
            let (r0, r1) = geo.block(i, blocks);
            let chunk = (TRANSFORM_TILES / geo.tw).max(1);
            let tasks = 2 * (r1 - r0).div_ceil(chunk);
            (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
                let from = r0 + task / 2 * chunk;
                let to = (from + chunk).min(r1);
                let offset = (from - r0) * geo.tw * L;
                let (grad, src, ch, dst, xs) = match task % 2 {
                    0 => (false, o.x.at(0), o.s.c, v.at(offset), vs),
                    _ => (true, o.dy.at(0), o.s.k, m.at(offset), ms),
                };
                with(geo.pixel_scratch::<W>(), |px| {
                    let transform =
                        Transform { geo, src, ch, r0: from, r1: to, dst, panel, xs, grad, px: px.as_mut_ptr() };
                    // SAFETY: the operands are good for the images; tasks write the tiles of their own rows.
                    unsafe { transform_isa::<W>(o.isa, &transform) }
                })
            });
            (0..W::X).into_par_iter().with_max_len(1).for_each(|x| {
                let np = (r1 - r0) * geo.tw;
                let operands = [m.at(x * ms).cast_const(), v.at(x * vs).cast_const()];
                // SAFETY: plane `x` of the sums is this task's own.
                unsafe { multiply(o, sums, 0, x, operands, panel, np, begun || i > 0) }
            });
        }
    });
}
