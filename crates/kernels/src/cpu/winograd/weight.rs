//! The weight gradient: `dU = Σ (A dy Aᵀ) (Bᵀ x B)` over all tiles, then back.
//!
//! The sums are cut into parts by the sizes alone, never by the number of threads, so that the result does not depend
//! on it.

use super::finish::{FinishTask, finish_isa};
use super::geometry::{Conv3x3, Geometry, plane_stride};
use super::tile::Tile;
use super::transform::{Transform, transform_isa};
use crate::cpu::gemm::{Reduce, reduce};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::{Shared, with};
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// Largest `dU` in bytes that a thread keeps in its L2 cache while it goes through its tiles (measured).
const LOCAL_BYTES: usize = 700 * 1024;
/// Transformed inputs and gradients of a block of tiles beside it.
const LOCAL_BLOCK_BYTES: usize = 320 * 1024;
/// Tiles of such a block.
const LOCAL_BLOCK_TILES: std::ops::RangeInclusive<usize> = 8..=96;
/// Tiles that a part of the sum should have: adding the parts then costs little beside them.
const PART_TILES: usize = 512;
/// Parts of the sum, and so threads that can work on it.
const PARTS: std::ops::RangeInclusive<usize> = 4..=16;
/// Transformed inputs and gradients of a block where `dU` is large: they stay in the L3 cache.
const SHARED_BLOCK_BYTES: usize = 6000 * 1024;
/// Tiles of a block where `dU` is large, at least.
const SHARED_BLOCK_TILES: usize = 32;
/// Tiles that one task transforms there.
const TRANSFORM_TILES: usize = 16;

struct WeightTask {
    k: usize,
    cbs: usize,
    g: Reduce,
    /// Bias sums to add the column sums of A to (only for xi = (1, 1)), or null.
    db: *mut f32,
}
#[inline(always)]
unsafe fn weight_task<S: Simd>(t: &WeightTask) {
    unsafe {
        reduce::<S>(t.k, t.cbs, t.g);
        if !t.db.is_null() {
            for kb in 0..t.k.div_ceil(L) {
                let mut s = S::load(t.db.add(kb * L));
                for p in 0..t.g.p {
                    s = S::add(s, S::load(t.g.a.add(kb * t.g.a_panel + p * L)));
                }
                S::store(t.db.add(kb * L), s);
            }
        }
    }
}
isa_entry!(
    /// [`weight_task`].
    weight_isa [] = weight_task(WeightTask)
);

/// The sums of all tasks: `dU`, `[part][x][k][c]`, and the bias sums, `[part][k]`.
struct Sums {
    du: Shared,
    /// Floats of a part, of a plane, of a row.
    du_len: usize,
    xs: usize,
    cs: usize,
    db: Shared,
    db_len: usize,
    parts: usize,
}

/// Operands of [`backward_weight`] and the layout that both ways share.
struct Operands<'a, W: Tile> {
    isa: Isa,
    s: &'a Conv3x3,
    geo: Geometry,
    x: Shared,
    dy: Shared,
    /// Panels of 16 input and output channels.
    cbs: usize,
    kbs: usize,
    tile: std::marker::PhantomData<W>,
}

/// `dw = Σ x dy` over images and pixels, `db = Σ dy`.
pub(super) fn backward_weight<W: Tile>(s: &Conv3x3, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    assert!(x.len() == s.input_len() && dy.len() == s.output_len());
    assert!(dw.len() == s.weight_len() && db.len() == s.k);
    if x.is_empty() || dy.is_empty() {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let geo = Geometry::new::<W>(s);
    let (cbs, kbs) = (s.c.div_ceil(L), s.k.div_ceil(L));
    let cs = cbs * L;
    let xs = plane_stride(kbs * L * cs);
    let (du_len, db_len) = (W::X * xs, kbs * L);
    let local = du_len * size_of::<f32>() <= LOCAL_BYTES;
    let parts = match local {
        true => (geo.rows * geo.tw / PART_TILES).next_power_of_two().clamp(*PARTS.start(), *PARTS.end()).min(geo.rows),
        false => 1,
    };
    with(parts * (du_len + db_len), |sums| {
        let (du, db_sums) = sums.split_at_mut(parts * du_len);
        db_sums.fill(0.0);
        let operands = Operands::<W> {
            isa: Isa::current(),
            s,
            geo,
            x: Shared::read(x),
            dy: Shared::read(dy),
            cbs,
            kbs,
            tile: std::marker::PhantomData,
        };
        let sums = Sums { du: Shared::new(du), du_len, xs, cs, db: Shared::new(db_sums), db_len, parts };
        if local {
            sum_locally(&operands, &sums);
        } else {
            sum_together(&operands, &sums);
        }
        finish::<W>(operands.isa, s, &sums, dw);
        for (k, d) in db.iter_mut().enumerate() {
            *d = (0..parts).map(|part| db_sums[part * db_len + k]).sum();
        }
    });
}

/// Small `dU`: every part has its own and goes through small blocks of tiles, all within the L2 cache.
fn sum_locally<W: Tile>(o: &Operands<W>, sums: &Sums) {
    let (geo, parts) = (o.geo, sums.parts);
    let tile_bytes = W::X * (o.cbs + o.kbs) * L * size_of::<f32>();
    let tiles = (LOCAL_BLOCK_BYTES / tile_bytes).clamp(*LOCAL_BLOCK_TILES.start(), *LOCAL_BLOCK_TILES.end());
    let blocks = geo.blocks(tiles, 1).next_multiple_of(parts).min(geo.rows);
    let max_rows = geo.rows.div_ceil(blocks);
    let px_len = geo.pixel_scratch::<W>(max_rows);
    let panel = max_rows * geo.tw * L;
    let (vs, ms) = (plane_stride(o.cbs * panel), plane_stride(o.kbs * panel));
    (0..parts).into_par_iter().with_max_len(1).for_each(|part| {
        with(px_len + W::X * (vs + ms), |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (v, m) = rest.split_at_mut(W::X * vs);
            let first = blocks * part / parts;
            // Never empty: there are at least as many blocks as parts.
            for i in first..blocks * (part + 1) / parts {
                let (r0, r1) = geo.block(i, blocks);
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
                let gradient =
                    Transform { src: o.dy.at(0), ch: o.s.k, dst: m.as_mut_ptr(), xs: ms, grad: true, ..input };
                // SAFETY: `backward_weight` checked the lengths of the operands; the scratch is cut for `max_rows`
                // rows of tiles, of which a block has no more; the sums of `part` are this task's own.
                unsafe {
                    transform_isa::<W>(o.isa, &input);
                    transform_isa::<W>(o.isa, &gradient);
                    for x in 0..W::X {
                        let np = (r1 - r0) * geo.tw;
                        let (a, b) = (m.as_ptr().add(x * ms), v.as_ptr().add(x * vs));
                        multiply(o, sums, part, x, [a, b], panel, np, i != first);
                    }
                }
            }
        })
    })
}

/// Large `dU`: big blocks of tiles are transformed by all threads, then the products are shared out by plane.
fn sum_together<W: Tile>(o: &Operands<W>, sums: &Sums) {
    let geo = o.geo;
    let tile_bytes = W::X * (o.cbs + o.kbs) * L * size_of::<f32>();
    let tiles = (SHARED_BLOCK_BYTES / tile_bytes).max(SHARED_BLOCK_TILES);
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
                with(geo.pixel_scratch::<W>(chunk), |px| {
                    let transform =
                        Transform { geo, src, ch, r0: from, r1: to, dst, panel, xs, grad, px: px.as_mut_ptr() };
                    // SAFETY: as in `sum_locally`; tasks write the tiles of their own rows.
                    unsafe { transform_isa::<W>(o.isa, &transform) }
                })
            });
            (0..W::X).into_par_iter().with_max_len(1).for_each(|x| {
                let np = (r1 - r0) * geo.tw;
                let operands = [m.at(x * ms).cast_const(), v.at(x * vs).cast_const()];
                // SAFETY: plane `x` of the sums is this task's own.
                unsafe { multiply(o, sums, 0, x, operands, panel, np, i != 0) }
            });
        }
    });
}

/// Adds the product of `np` tiles of plane `x` to the sums of `part`.
///
/// # Safety
/// `a` and `b` must be panels of the gradient and the input; nobody else may touch plane `x` of `part` meanwhile.
#[allow(clippy::too_many_arguments)] // one micro-kernel call, spelled out
unsafe fn multiply<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    part: usize,
    x: usize,
    [a, b]: [*const f32; 2],
    panel: usize,
    np: usize,
    accumulate: bool,
) {
    // Plane (1, 1) of the transformed gradient holds the sums of its tiles.
    let db = match x == W::T + 1 {
        true => sums.db.at(part * sums.db_len),
        false => std::ptr::null_mut(),
    };
    let g = Reduce {
        a,
        a_panel: panel,
        b,
        b_panel: panel,
        p: np,
        c: sums.du.at(part * sums.du_len + x * sums.xs),
        cs: sums.cs,
        accumulate,
    };
    let task = WeightTask { k: o.s.k, cbs: o.cbs, g, db };
    // SAFETY: the caller's contract; `dU` has room for `k` rounded up to 16 rows.
    unsafe { weight_isa(o.isa, &task) }
}

/// Sums the parts and transforms them back.
fn finish<W: Tile>(isa: Isa, s: &Conv3x3, sums: &Sums, dw: &mut [f32]) {
    let dw = Shared::new(dw);
    (0..s.k).into_par_iter().with_min_len(4).for_each(|k| {
        let task = FinishTask {
            du: sums.du.at(0),
            parts: sums.parts,
            stride: sums.du_len,
            xs: sums.xs,
            cs: sums.cs,
            c: s.c,
            dw: dw.at(0),
            k,
        };
        // SAFETY: all sums are written; every task writes the `9 c` weights of its own output channel.
        unsafe { finish_isa::<W>(isa, &task) }
    });
}
