//! A group normalisation with its activation, whose result goes into a panel: it is rounded while it is in the caches, and kept nowhere else.

use super::grid::Grid;
use super::memory::Shared;
use super::panel::{self, block_len, blocks, panel_len};
use crate::images::ImagesMut;
use crate::isa::Isa;
use crate::norm::{Affine, GroupNorm, NormInput, group_norm_on};
use crate::scratch;
use rayon::prelude::*;
use std::ops::Range;

/// What is normalised, and by what.
#[derive(Clone, Copy)]
pub(super) struct Normed<'a> {
    /// Chosen by the thread that called the kernel.
    pub(super) isa: Isa,
    pub(super) s: &'a GroupNorm,
    pub(super) x: NormInput<'a>,
    pub(super) affine: Affine<'a>,
}

impl Normed<'_> {
    /// Normalises and rounds some images, one by one; writes the statistics too.
    pub(super) fn pack(&self, range: &Range<usize>, grid: &Grid, panel: &mut [u16], statistics: [ImagesMut; 2]) {
        let GroupNorm { n, c, hw, .. } = *self.s;
        debug_assert_eq!((panel.len(), range.len(), hw), (panel_len(grid, [c, 0]), grid.n, grid.h * grid.w));
        let (isa, block, to) = (self.isa, block_len(grid), Shared::new(panel));
        let s = GroupNorm { n: 1, ..*self.s };
        (0..range.len()).into_par_iter().for_each(|i| {
            scratch::with(c * hw, |normed| {
                let image = range.start + i..range.start + i + 1;
                // SAFETY: every task has an image of its own.
                let statistics = unsafe { statistics.map(|values| values.get(&image)) };
                let affine = self.affine.images([n, c], &image);
                group_norm_on(isa, &s, self.x.images(n, &image), affine, normed, statistics);
                (0..blocks([c, 0])).into_par_iter().for_each(|b| {
                    let (planes, to) = (panel::planes(c, 0, b), to.at(b * block));
                    // SAFETY: each task has an image's pixels of a block, and the borders after them, for itself.
                    unsafe { panel::pack_image(grid, &grid.all(), normed, planes, i, to) };
                });
            });
        });
    }
}
