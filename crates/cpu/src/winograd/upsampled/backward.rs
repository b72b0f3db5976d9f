//! All gradients: a block of tiles of the output gradient is transformed once for both.
//!
//! `dx` is a sum over the phases and the output channels, `dU = Σ (Bᵀ dy B) (A x Aᵀ)` one over all tiles, cut into parts by the sizes
//! alone, so that it does not depend on the number of threads.

use super::UpsampleConv3x3;
use super::forward::{NAME, Tiles, tiles_of_block};
use super::phases::N;
use super::tile::{GradientTaps, Input, InputGradient, Output, point};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::simd::L;
use crate::sizes::{check_len, check_option};
use crate::winograd::domain::{Domain, Source};
use crate::winograd::filter::{filter_transform, u_len};
use crate::winograd::geometry::Geometry;
use crate::winograd::transform::transform_isa;
use crate::winograd::weight::{Sums, is_local, parts_of, sum_up};
use rayon::prelude::*;

/// Both transforms of a block of tiles where a thread has sums of its own: what stays in the L2 cache beside them.
const LOCAL_BYTES: usize = 440 * 1024;
/// Tiles of such a block.
const LOCAL_TILES: std::ops::RangeInclusive<usize> = 8..=96;
/// The same where all threads add to the same sums: what stays in the L3 cache.
const SHARED_BYTES: usize = 8 << 20;
/// Tiles of such a block, at least.
const SHARED_TILES: usize = 32;

/// Panics unless input, output gradient, weight and what is added fit the sizes.
pub(crate) fn check(s: &UpsampleConv3x3, [x, dy, w]: [&[f32]; 3], add: Option<&[f32]>) {
    let lens =
        [("x", x.len(), s.input_len()), ("dy", dy.len(), s.output_len()), ("the weight", w.len(), s.weight_len())];
    lens.iter().for_each(|&(name, len, expected)| check_len(NAME, name, len, expected));
    check_option(NAME, "what is added", add, x.len());
}

#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub(in crate::winograd) fn backward(
    isa: Isa,
    s: &UpsampleConv3x3,
    x: &[f32],
    dy: &[f32],
    w: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
    [dw, db]: [&mut [f32]; 2],
) {
    check(s, [x, dy, w], add);
    check_len(NAME, "dx", dx.len(), x.len());
    check_len(NAME, "dw", dw.len(), w.len());
    check_len(NAME, "db", db.len(), s.k);
    if x.is_empty() || dy.is_empty() {
        match add {
            Some(add) => dx.copy_from_slice(add),
            None => dx.fill(0.0),
        }
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let low = s.low();
    let geo = [Geometry::new::<Output>(&s.high()), Geometry::new::<Input>(&low)];
    let parts = parts_of::<GradientTaps>(&low, &geo[1]);
    with(u_len(N * N, s.c, s.k), |u| {
        filter_transform::<GradientTaps>(isa, w, [s.k, s.c], true, u);
        let (u, dy) = (Shared::read(u), Shared::read(dy));
        let tiles = Tiles {
            isa,
            geo,
            channels: [s.k, s.c],
            u,
            bias: Shared::read_option(None),
            add: Shared::read_option(add),
            y: Shared::new(dx),
        };
        let x = Shared::read(x);
        sum_up::<GradientTaps>(isa, &low, parts, dw, db, |sums| {
            let pass = Gradients { isa, tiles, x, dy, sums };
            if is_local::<GradientTaps>(&low) {
                // SAFETY: every part has rows and sums of its own.
                (0..parts).into_par_iter().with_max_len(1).for_each(|part| unsafe { pass.local(part, parts) });
            } else {
                pass.together();
            }
        });
    });
}

/// Operands and results.
struct Gradients<'a> {
    isa: Isa,
    tiles: Tiles,
    x: Shared,
    dy: Shared,
    sums: &'a Sums,
}

impl Gradients<'_> {
    fn tile_bytes(&self) -> usize {
        let [k, c] = self.tiles.channels;
        Domain::tile_bytes::<Output>(k) + Domain::tile_bytes::<Input>(c)
    }

    /// Runs `f` with room for `rows` rows of tiles of the output gradient and the input.
    fn with_domains(&self, rows: usize, f: impl FnOnce([Domain; 2])) {
        let ([k, c], [of_dy, of_x]) = (self.tiles.channels, &self.tiles.geo);
        let v_len = Domain::floats::<Output>(of_dy, rows, k);
        with(v_len + Domain::floats::<Input>(of_x, rows, c), |scratch| {
            let (v, p) = scratch.split_at_mut(v_len);
            f([Domain::new::<Output>(of_dy, rows, k, true, v), Domain::new::<Input>(of_x, rows, c, false, p)]);
        });
    }

    /// Transforms the rows of tiles `rows` of both to the domains, whose first row is `first`, and computes the input gradient.
    ///
    /// # Safety
    /// Nobody else may touch these rows meanwhile.
    unsafe fn transform(&self, [v, p]: [Domain; 2], first: usize, rows: (usize, usize)) {
        // SAFETY: the caller's contract; the domains have room for the rows.
        unsafe { self.tiles.run::<InputGradient>(Source { at: self.dy, first }, rows, Some(v)) };
        with(self.tiles.geo[1].pixel_scratch::<Input>(), |px| {
            let transform = p.transform(Source { at: self.x, first }, rows, true, Shared::new(px));
            // SAFETY: as above.
            unsafe { transform_isa::<Input>(self.isa, &transform) }
        });
    }

    /// Adds the products of `np` tiles to product `x` of `part`.
    ///
    /// # Safety
    /// They must be transformed, and nobody else may touch this product meanwhile.
    unsafe fn multiply(&self, [v, p]: [Domain; 2], (part, x): (usize, usize), np: usize, accumulate: bool) {
        let [k, c] = self.tiles.channels;
        let panels = [(v.tiles(x, 0), v.panel), (p.tiles(point(x), 0), p.panel)];
        // SAFETY: the caller's contract.
        unsafe { self.sums.multiply(self.isa, [k, c.div_ceil(L)], (part, x), panels, np, accumulate) }
    }

    /// A part of the tiles, in this thread.
    ///
    /// # Safety
    /// Nobody else may touch this part meanwhile.
    unsafe fn local(&self, part: usize, parts: usize) {
        let geo = &self.tiles.geo[0];
        let (from, to) = geo.block(part, parts);
        let tiles = (LOCAL_BYTES / self.tile_bytes()).clamp(*LOCAL_TILES.start(), *LOCAL_TILES.end());
        let blocks = (to - from).div_ceil((tiles / geo.tw).max(1));
        self.with_domains((to - from).div_ceil(blocks), |domains| {
            for i in 0..blocks {
                let rows = (from + (to - from) * i / blocks, from + (to - from) * (i + 1) / blocks);
                let count = rows.1 - rows.0;
                // SAFETY: the caller's contract.
                unsafe {
                    self.transform(domains, rows.0, rows);
                    self.sums.add_pixels(part, &domains[0], (0, count));
                    for x in 0..N * N {
                        self.multiply(domains, (part, x), count * geo.tw, i > 0);
                    }
                }
            }
        });
    }

    /// All tiles, with all threads.
    fn together(&self) {
        let geo = &self.tiles.geo[0];
        let tiles = (SHARED_BYTES / self.tile_bytes()).max(SHARED_TILES);
        let blocks = geo.blocks(tiles, 1);
        let per_task = tiles_of_block(Domain::tile_bytes::<Output>(self.tiles.channels[0]));
        self.with_domains(geo.rows.div_ceil(blocks), |domains| {
            for i in 0..blocks {
                let (r0, r1) = geo.block(i, blocks);
                let part = Geometry { rows: r1 - r0, ..*geo };
                // Their number may depend on the number of threads: every tile is transformed by itself.
                let tasks = part.blocks(per_task, rayon::current_num_threads());
                (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
                    let (from, to) = part.block(task, tasks);
                    // SAFETY: tasks have rows of their own.
                    unsafe { self.transform(domains, r0, (r0 + from, r0 + to)) }
                });
                // SAFETY: these rows are transformed.
                unsafe { self.sums.add_pixels(0, &domains[0], (0, r1 - r0)) };
                (0..N * N).into_par_iter().with_max_len(1).for_each(|x| {
                    // SAFETY: the sums of a product are one task's own.
                    unsafe { self.multiply(domains, (0, x), (r1 - r0) * geo.tw, i > 0) }
                });
            }
        });
    }
}
