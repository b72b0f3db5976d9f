//! Gradients of convolutions. Where the sums of a weight gradient stay in the second-level cache, chunk by chunk of the images: what one gradient reads
//! is there for the other.

use super::grid::Grid;
use super::memory::Shared;
use super::normed::Normed;
use super::panel::{self, BLOCK, Outputs, block_len, blocks, panel_len};
use super::weight::{self, Cut};
use super::{Sizes, behind_norm, images_of, memory, part, product, weights};
use crate::images::{ImagesMut, images};
use crate::isa::Isa;
use crate::norm::{Affine, NormInput};
use crate::norm_conv::NormConv;
use crate::scratch;
use rayon::prelude::*;
use std::ops::Range;

/// Floats of the sums of a weight gradient that are small.
const SMALL: usize = 160 << 10;
/// Parts of the images with sums of their own. It follows from the shape alone: the order of the sums is part of the result.
const PARTS: usize = 16;
/// Images from which on parts of them are tasks.
const MANY: usize = 8;
/// Bytes of what is kept of the images of a group. Unit tests have few.
const GROUP_BYTES: usize = if cfg!(test) { 64 << 10 } else { 256 << 20 };

/// Gradients of [`forward`](super::forward) for its inputs, plus `add`, and for its weight, whichever there is room for.
pub(crate) fn backward(
    s: &Sizes,
    x: [&[f32]; 2],
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    dx: Option<[&mut [f32]; 2]>,
    dw: Option<&mut [f32]>,
) {
    let n = s.n;
    let dx = dx.map(|dx| dx.map(|dx| ImagesMut::new(dx, n)));
    match dw {
        Some(dw) if !is_in_parts(s) => {
            by_groups(s, dy, dw, |range, group| {
                if let Some(dx) = dx {
                    let add = add.map(|add| add.map(|add| images(add, n, range)));
                    // SAFETY: every group has images of its own.
                    group.input(weight, add, dx.map(|dx| unsafe { dx.get(range) }));
                }
                group.weight(|grid, to| panel::pack(grid, &grid.all(), images_of(x, n, range), s.c, to));
            });
        }
        dw => by_chunks(s, dy, weight, dw, |range, chunk| {
            if let Some(dx) = dx {
                let add = add.map(|add| add.map(|add| images(add, n, range)));
                // SAFETY: every chunk has images of its own.
                chunk.input(add, dx.map(|dx| unsafe { dx.get(range) }));
            }
            chunk.weight(images_of(x, n, range));
        }),
    }
}

/// Gradients of [`norm_conv`](super::norm_conv) for the weight, and for the result of the norm: `norm_backward` gets that of a range of images, and
/// writes the result itself where there is room for it.
#[allow(clippy::too_many_arguments)] // operands and results of two operations
pub(crate) fn norm_conv_backward(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    norm_backward: impl Fn(&Range<usize>, &[f32], &mut [f32]) + Sync,
    isa: Isa,
) {
    let (sizes, normed) = (behind_norm(s), Normed { isa, s: &s.norm, x, affine });
    let (n, image) = (s.norm.n, s.norm.c * s.norm.hw);
    if is_in_parts(&sizes) {
        return by_chunks(&sizes, dy, weight, Some(dw), |range, chunk| {
            scratch::with(2 * range.len() * image, |values| {
                let (grad, y) = values.split_at_mut(range.len() * image);
                chunk.input([None; 2], [&mut *grad, &mut []]);
                norm_backward(range, grad, y);
                chunk.weight([y, &[]]);
            });
        });
    }
    let groups = n * s.norm.groups;
    scratch::with(2 * groups, |statistics| {
        let (mean, rstd) = statistics.split_at_mut(groups);
        let statistics = [mean, rstd].map(|values| ImagesMut::new(values, n));
        by_groups(&sizes, dy, dw, |range, group| {
            scratch::with(range.len() * image, |grad| {
                group.input(weight, [None; 2], [&mut *grad, &mut []]);
                norm_backward(range, grad, &mut []);
            });
            group.weight(|grid, to| normed.pack(range, grid, to, statistics));
        });
    });
}

/// Whether tasks have images of their own, with sums of the weight gradient for each: where there are enough images for all threads of most
/// machines, and the sums are small. It follows from the shape alone.
fn is_in_parts(s: &Sizes) -> bool {
    s.n >= MANY && blocks([s.k, 0]) * blocks(s.c) * s.taps * 1024 <= SMALL
}
/// Some images whose gradients are computed.
struct Chunk<'a> {
    s: &'a Sizes,
    grid: Grid,
    /// The gradient of their results.
    dy: &'a [u16],
    /// Weights for the gradient of the input, and zeros in place of a bias.
    tiles: &'a [u16],
    zeros: &'a [f32],
    /// Where the sums of the weight gradient are, if it is wanted, and whether there are any yet.
    sums: Option<(*mut f32, bool)>,
}

impl Chunk<'_> {
    /// Gradients for the inputs, plus `add`.
    fn input(&self, add: [Option<&[f32]>; 2], dx: [&mut [f32]; 2]) {
        let (s, grid) = (self.s, &self.grid);
        let outputs = Outputs::new([grid.n, grid.h * grid.w], s.c, add, dx);
        let blocks = [blocks([s.k, 0]), blocks(s.c)];
        product::convolve(
            grid,
            &grid.windows_of(&grid.all()),
            s.taps,
            blocks,
            self.dy,
            self.tiles,
            self.zeros,
            &outputs,
        );
    }

    /// Adds to the gradient for the weight, if it is wanted.
    fn weight(&self, x: [&[f32]; 2]) {
        let (s, grid) = (self.s, &self.grid);
        let Some((sums, load)) = self.sums else { return };
        let windows = grid.around(&s.lattice(grid));
        let panel = panel_len(grid, s.c);
        let halves = [panel, 2 * panel, self.dy.len() / block_len(grid) * windows.len() * 1024];
        memory::with(&halves, &[], |mut parts| {
            let [panel, pairs, turned] = halves.map(|len| parts.halves(len));
            panel::pack(grid, &grid.all(), x, s.c, panel);
            panel::pair(grid, panel, pairs);
            panel::turn(grid, self.dy, &windows, turned);
            let blocks = [blocks([s.k, 0]), blocks(s.c)];
            // SAFETY: the sums are this chunk's part's, which its chunks add to one after the other.
            unsafe { weight::add(grid, blocks, s.taps, &windows, [pairs, turned], sums, load) };
        });
    }
}

/// Calls `each` with all chunks of the images; afterwards adds up the sums of their weight gradients, if that is wanted.
fn by_chunks(
    s: &Sizes,
    dy: &[f32],
    weight: &[f32],
    dw: Option<&mut [f32]>,
    each: impl Fn(&Range<usize>, Chunk) + Sync,
) {
    let (n, out) = (s.n, [s.k, 0]);
    // Without sums the result does not depend on the parts.
    let count = if dw.is_some() { PARTS } else { n.div_ceil(s.chunk()).max(rayon::current_num_threads()) }.min(n);
    let cut = Cut::of_parts(s.k, s.c, s.taps, count);
    let halves = [if weight.is_empty() { 0 } else { weights::tiles_len(s.c, out, s.taps) }];
    let floats = [blocks(s.c) * BLOCK, if dw.is_some() { cut.sums_len() } else { 0 }];
    memory::with(&halves, &floats, |mut parts| {
        let tiles = parts.halves(halves[0]);
        let [zeros, sums] = floats.map(|len| parts.floats(len));
        if !weight.is_empty() {
            weights::turned(weight, s.c, s.k, s.taps, tiles);
        }
        zeros.fill(0.0);
        let (tiles, zeros, to, wanted) = (&*tiles, &*zeros, Shared::new(sums), dw.is_some());
        (0..count).into_par_iter().with_max_len(1).for_each(|p| {
            let images_of_part = part(&(0..n), p, count);
            let chunks = images_of_part.len().div_ceil(s.chunk());
            for i in 0..chunks {
                let range = part(&images_of_part, i, chunks);
                let grid = s.grid(range.len());
                let len = panel_len(&grid, out);
                memory::with(&[len], &[], |mut parts| {
                    let panel = parts.halves(len);
                    panel::pack(&grid, &s.lattice(&grid), [images(dy, n, &range), &[]], out, panel);
                    let sums = wanted.then(|| (to.at(p * cut.apart()), i > 0));
                    each(&range, Chunk { s, grid, dy: panel, tiles, zeros, sums });
                });
            }
        });
        if let Some(dw) = dw {
            weight::finish(cut, sums, [out, s.c], dw);
        }
    });
}

/// Images that all threads work on together.
struct Group<'a> {
    s: &'a Sizes,
    grid: Grid,
    /// The gradient of their results as a panel, with zeros between the pixels of a strided one.
    dy: &'a [u16],
    cut: Cut,
    sums: Shared<f32>,
    /// Whether there are sums of other images already.
    load: bool,
}

impl Group<'_> {
    /// Gradients for the inputs, plus `add`.
    fn input(&self, weight: &[f32], add: [Option<&[f32]>; 2], dx: [&mut [f32]; 2]) {
        let s = self.s;
        let halves = [weights::tiles_len(s.c, [s.k, 0], s.taps)];
        let floats = [blocks(s.c) * BLOCK];
        memory::with(&halves, &floats, |mut parts| {
            let (tiles, zeros) = (parts.halves(halves[0]), parts.floats(floats[0]));
            weights::turned(weight, s.c, s.k, s.taps, tiles);
            zeros.fill(0.0);
            Chunk { s, grid: self.grid, dy: self.dy, tiles, zeros, sums: None }.input(add, dx);
        });
    }

    /// Adds to the sums of the gradient for the weight; `pack` writes the inputs into a panel.
    fn weight(&self, pack: impl FnOnce(&Grid, &mut [u16])) {
        let (s, grid) = (self.s, &self.grid);
        let windows = grid.around(&s.lattice(grid));
        let panel = panel_len(grid, s.c);
        let halves = [panel, 2 * panel, self.dy.len() / block_len(grid) * windows.len() * 1024];
        memory::with(&halves, &[], |mut parts| {
            let [panel, pairs, turned] = halves.map(|len| parts.halves(len));
            pack(grid, panel);
            panel::pair(grid, panel, pairs);
            panel::turn(grid, self.dy, &windows, turned);
            // SAFETY: one group after the other adds to the sums.
            unsafe { weight::gradient(grid, self.cut, &windows, [pairs, turned], self.sums, self.load) };
        });
    }
}

/// Calls `each` with groups of the images that take a bounded amount of memory, one after the other; afterwards adds up the sums of their weight
/// gradients.
fn by_groups(s: &Sizes, dy: &[f32], dw: &mut [f32], each: impl Fn(&Range<usize>, Group)) {
    let out = [s.k, 0];
    // Panels of both, pairs and turned windows in bf16, and the gradient of a norm's result in f32.
    let image = s.h * s.w * (4 * s.k + 10 * (s.c[0] + s.c[1]));
    let count = s.n.div_ceil((GROUP_BYTES / image).max(1));
    // Every group has windows for each of the parts.
    let least = s.grid(s.n / count);
    let cut = Cut::new(s.k, s.c, s.taps, least.around(&s.lattice(&least)).len());
    let floats = [cut.sums_len()];
    memory::with(&[], &floats, |mut parts| {
        let sums = parts.floats(floats[0]);
        let to = Shared::new(sums);
        for i in 0..count {
            let range = part(&(0..s.n), i, count);
            let grid = s.grid(range.len());
            let len = panel_len(&grid, out);
            memory::with(&[len], &[], |mut parts| {
                let panel = parts.halves(len);
                panel::pack(&grid, &s.lattice(&grid), [images(dy, s.n, &range), &[]], out, panel);
                each(&range, Group { s, grid, dy: panel, cut, sums: to, load: i > 0 });
            });
        }
        weight::finish(cut, sums, [out, s.c], dw);
    });
}
