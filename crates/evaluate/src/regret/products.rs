//! Products of rows with all points of a mixture, tile by tile, so that only a part of the points is in memory as floats.

use std::ops::Range;

use rayon::prelude::*;
use sfumato_cpu::{Matrix, gemm};

use super::EmpiricalMixture;

/// Points whose values are in memory as floats at a time, at most.
pub(super) const TILE: usize = 1024;
/// Values of such points, at most, unless a few points have more.
const TILE_VALUES: usize = 1 << 22;
/// Points at a time of which the product with a matrix is worth its preparation.
const LEAST_TILE: usize = 32;

/// The products.
pub(super) struct Products {
    rows: usize,
    points: usize,
    tile: usize,
    values: Vec<f32>,
}

impl Products {
    /// Those of `rows`, one after the other, with the points of `mixture`.
    pub(super) fn new(mixture: &EmpiricalMixture<'_>, rows: &[f32]) -> Self {
        let (dims, points) = (mixture.dims(), mixture.len());
        let count = rows.len() / dims;
        let mut values = vec![0.0; count * points];
        if count > 0 {
            each_tile(mixture, |places, tile| {
                let out = &mut values[count * places.start..count * places.end];
                let (a, b) = (Matrix::rows(rows, dims), Matrix::rows(tile, dims).transposed());
                gemm([count, places.len(), dims], a, b, None, out);
            });
        }
        Self { rows: count, points, tile: width(mixture), values }
    }

    /// Those of a row, tile by tile, each with the place of its first point.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, &[f32])> {
        (0..self.points).step_by(self.tile).map(move |first| (first, self.tile(row, first)))
    }

    /// Those of a row with the points of the tile that begins at `first`.
    pub(super) fn tile(&self, row: usize, first: usize) -> &[f32] {
        let width = self.tile.min(self.points - first);
        let at = self.rows * first + row * width;
        &self.values[at..at + width]
    }
}

/// Points at a time.
fn width(mixture: &EmpiricalMixture<'_>) -> usize {
    (TILE_VALUES / mixture.dims().max(1)).clamp(LEAST_TILE, TILE)
}

/// Gives the points tile by tile, with their places.
pub(super) fn each_tile(mixture: &EmpiricalMixture<'_>, mut give: impl FnMut(Range<usize>, &[f32])) {
    let dims = mixture.dims();
    let width = width(mixture).min(mixture.len());
    let mut values = vec![0.0; width * dims];
    for first in (0..mixture.len()).step_by(width) {
        let places = first..(first + width).min(mixture.len());
        let values = &mut values[..places.len() * dims];
        let rows = values.par_chunks_exact_mut(dims).enumerate().with_min_len(64);
        rows.for_each(|(i, out)| mixture.write(first + i, out));
        give(places, values);
    }
}
