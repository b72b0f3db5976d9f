//! Convolutions, chunk by chunk of the images.

use super::grid::Grid;
use super::normed::Normed;
use super::panel::{self, BLOCK, Outputs, blocks, panel_len};
use super::{Sizes, behind_norm, images_of, memory, part, product, weights};
use crate::images::{ImagesMut, images};
use crate::isa::Isa;
use crate::norm::{Affine, NormInput};
use crate::norm_conv::NormConv;
use rayon::prelude::*;
use std::ops::Range;

/// `y = conv(x, weight) + bias + residual`.
pub(crate) fn forward(
    s: &Sizes,
    x: [&[f32]; 2],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    let pack = |range: &Range<usize>, grid: &Grid, panel: &mut [u16]| {
        panel::pack(grid, &grid.all(), images_of(x, s.n, range), s.c, panel);
    };
    forward_of(s, pack, weight, [bias, residual], y);
}

/// `y = conv(norm(x)) + bias + residual`, and the statistics of the norm.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub(crate) fn norm_conv(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
    statistics: [&mut [f32]; 2],
) {
    let normed = Normed { isa: Isa::current(), s: &s.norm, x, affine };
    let statistics = statistics.map(|values| ImagesMut::new(values, s.norm.n));
    let pack = |range: &Range<usize>, grid: &Grid, panel: &mut [u16]| normed.pack(range, grid, panel, statistics);
    forward_of(&behind_norm(s), pack, weight, [bias, residual], y);
}

/// [`forward`] of what `pack` writes of some images into a panel.
fn forward_of(
    s: &Sizes,
    pack: impl Fn(&Range<usize>, &Grid, &mut [u16]) + Sync,
    weight: &[f32],
    [bias, residual]: [Option<&[f32]>; 2],
    y: &mut [f32],
) {
    let (out, n) = ([s.k, 0], s.n);
    let (halves, floats) = ([weights::tiles_len(out, s.c, s.taps)], [blocks(out) * BLOCK]);
    // As many for every thread; the result does not depend on it.
    let chunks = n.div_ceil(s.chunk()).next_multiple_of(rayon::current_num_threads()).min(n);
    let y = ImagesMut::new(y, n);
    memory::with(&halves, &floats, |mut parts| {
        let (tiles, padded) = (parts.halves(halves[0]), parts.floats(floats[0]));
        weights::forward(weight, s.k, s.c, s.taps, tiles);
        padded.fill(0.0);
        if let Some(bias) = bias {
            padded[..s.k].copy_from_slice(bias);
        }
        let (tiles, padded) = (&*tiles, &*padded);
        (0..chunks).into_par_iter().with_max_len(1).for_each(|i| {
            let range = part(&(0..n), i, chunks);
            let grid = s.grid(range.len());
            let lattice = s.lattice(&grid);
            let residual = residual.map(|residual| images(residual, n, &range));
            // SAFETY: every task has images of its own.
            let y = unsafe { y.get(&range) };
            let outputs = Outputs::new([range.len(), lattice.plane()], out, [residual, None], [y, &mut []]);
            let len = panel_len(&grid, s.c);
            memory::with(&[len], &[], |mut parts| {
                let panel = parts.halves(len);
                pack(&range, &grid, panel);
                let blocks = [blocks(s.c), blocks(out)];
                product::convolve(&grid, &grid.windows_of(&lattice), s.taps, blocks, panel, tiles, padded, &outputs);
            });
        });
    });
}
