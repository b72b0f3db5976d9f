//! All products of the rows of two sets, tile by tile, so that the whole table is never in memory.

use std::ops::Range;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::Rows;

/// Rows of the first set that are worked on at a time, and of the second.
const TILE: [usize; 2] = [128, 512];

/// Products of some rows of the first set with some of the second.
pub(super) struct Tile<'a> {
    /// Rows of the first set.
    pub(super) rows: Range<usize>,
    /// Rows of the second set.
    pub(super) columns: Range<usize>,
    products: &'a [f64],
}

impl Tile<'_> {
    /// The products of each row of the first set, with its index, with all `columns`.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.rows.clone().zip(self.products.chunks_exact(self.columns.len()))
    }
}

/// Walks over all pairs. Every band of rows of `a` starts with `start` and meets all tiles of `b` in order by `add`.
///
/// Bands are worked on in parallel, and their results come back in the order of the rows: nothing depends on the threads.
pub(super) fn bands<T: Send>(
    a: &Rows,
    b: &Rows,
    start: impl Fn(Range<usize>) -> T + Sync,
    add: impl Fn(&mut T, &Tile<'_>) + Sync,
) -> Vec<T> {
    let [band, width] = TILE;
    let firsts: Vec<usize> = (0..a.len()).step_by(band).collect();
    let work = |&first: &usize| {
        let rows = first..(first + band).min(a.len());
        let left = a.columns(first, rows.len());
        let mut state = start(rows.clone());
        let mut products = DMatrix::zeros(0, 0);
        for column in (0..b.len()).step_by(width) {
            let columns = column..(column + width).min(b.len());
            if products.shape() != (columns.len(), rows.len()) {
                products = DMatrix::zeros(columns.len(), rows.len());
            }
            // A copy: nalgebra 0.35 reads beyond a view whose rows are not dense, if it has few columns.
            let right = b.columns(column, columns.len()).transpose();
            products.gemm(1.0, &right, &left, 0.0);
            add(&mut state, &Tile { rows: rows.clone(), columns, products: products.as_slice() });
        }
        state
    };
    firsts.par_iter().map(work).collect()
}

/// `|a - b|²` from the squares and the product; rounding never makes it negative.
pub(super) fn squared_distance(a: f64, b: f64, product: f64) -> f64 {
    (a + b - 2.0 * product).max(0.0)
}
