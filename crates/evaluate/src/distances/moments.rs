//! Mean and covariance of a set, where a row may count several times.

use nalgebra::{DMatrix, DVector};
use rand::Rng;

use super::Rows;

/// Rows that are weighted and multiplied at a time.
const BLOCK: usize = 512;

/// Mean and covariance of a set.
pub(super) struct Moments {
    pub(super) mean: DVector<f64>,
    /// With `n - 1`, as NumPy's `cov`.
    pub(super) covariance: DMatrix<f64>,
}

/// The moments of the rows, of which row `i` counts `counts[i]` times, or once without counts.
pub(super) fn moments(rows: &Rows, counts: Option<&[u32]>) -> Moments {
    let count = |i: usize| counts.map_or(1.0, |counts| f64::from(counts[i]));
    let (dims, n) = (rows.dims(), rows.len() as f64);
    let mut mean = DVector::zeros(dims);
    for i in 0..rows.len() {
        mean.axpy(count(i) / n, &rows.columns(i, 1).column(0), 1.0);
    }
    let mut covariance = DMatrix::zeros(dims, dims);
    for first in (0..rows.len()).step_by(BLOCK) {
        let size = BLOCK.min(rows.len() - first);
        let mut block = rows.columns(first, size).into_owned();
        for (i, mut column) in block.column_iter_mut().enumerate() {
            column -= &mean;
            column *= count(first + i).sqrt();
        }
        let turned = block.transpose();
        covariance.gemm(1.0 / (n - 1.0), &block, &turned, 1.0);
    }
    Moments { mean, covariance }
}

/// How often each of `count` rows is drawn in `count` draws with replacement: one replicate of the bootstrap.
pub(super) fn resampled(count: usize, rng: &mut impl Rng) -> Vec<u32> {
    let mut counts = vec![0; count];
    for _ in 0..count {
        // The bias of this map is below count / 2^64.
        let place = (u128::from(rng.next_u64()) * count as u128) >> 64;
        counts[place as usize] += 1;
    }
    counts
}
