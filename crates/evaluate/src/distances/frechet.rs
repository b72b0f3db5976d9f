//! Fréchet distance of two Gaussians: Heusel et al. (2017), arXiv:1706.08500.

use nalgebra::DMatrix;
use rayon::prelude::*;
use sfumato_random::{chacha8, word};

use super::{
    Estimate, Rows, RowsError,
    estimate::mean_and_variance,
    moments::{Moments, moments, resampled},
    rows::check,
};

/// Replicates of the bootstrap, for few features and for many (more than [`MANY`]), which take long.
const REPLICATES: [u64; 2] = [50, 10];
/// Features of which a replicate takes seconds.
const MANY: usize = 512;

/// `|μ_a - μ_b|² + tr Σ_a + tr Σ_b - 2 tr (Σ_a Σ_b)^½`, with covariances of `n - 1`.
///
/// The standard error is that of a bootstrap that draws both sets again: 50 replicates, or 10 of more than 512 features. The value
/// is that of the sets themselves. It grows with `1 / n` as the sets get smaller: compare values of the same numbers of pictures only.
///
/// # Errors
/// [`RowsError`] if a set has fewer than two rows, or the features differ in number.
pub fn frechet(a: &Rows, b: &Rows, seed: u64) -> Result<Estimate, RowsError> {
    let value = frechet_value(a, b)?;
    let replicate = |replicate: u64| {
        let drawn = |rows: &Rows, which: u64| {
            let mut rng = chacha8([seed, word(b"distance"), word(b"frechet"), which], replicate);
            moments(rows, Some(&resampled(rows.len(), &mut rng)))
        };
        between(&drawn(a, 0), &drawn(b, 1))
    };
    let replicates = REPLICATES[usize::from(a.dims() > MANY)];
    let values: Vec<f64> = (0..replicates).into_par_iter().map(replicate).collect();
    let (_, variance) = mean_and_variance(values.into_iter());
    Ok(Estimate::new(value, variance.sqrt()).within(0.0, f64::INFINITY))
}

/// The value of [`frechet`] without its standard error, which takes 50 times as long.
///
/// # Errors
/// As [`frechet`].
pub fn frechet_value(a: &Rows, b: &Rows) -> Result<f64, RowsError> {
    check(a, b, 2)?;
    Ok(between(&moments(a, None), &moments(b, None)))
}

fn between(a: &Moments, b: &Moments) -> f64 {
    let means = (&a.mean - &b.mean).norm_squared();
    let traces = a.covariance.trace() + b.covariance.trace();
    (means + traces - 2.0 * trace_of_root(&a.covariance, &b.covariance)).max(0.0)
}

/// `tr (A B)^½` of two covariances, exact also where they are singular.
///
/// With `A = L Lᵀ` the product `A B` has the eigenvalues of `Lᵀ B L`, which is symmetric. Their roots are added.
fn trace_of_root(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
    let factor = factor(a);
    if factor.ncols() == 0 {
        return 0.0;
    }
    let inner = factor.transpose() * b * &factor;
    let symmetric = (&inner + inner.transpose()) * 0.5;
    symmetric.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum()
}

/// `L` with `A = L Lᵀ` and as many columns as `A` has rank: Cholesky's decomposition with pivots.
fn factor(a: &DMatrix<f64>) -> DMatrix<f64> {
    let n = a.nrows();
    let mut left = a.diagonal();
    let smallest = left.max() * n as f64 * f64::EPSILON;
    let mut columns: Vec<nalgebra::DVector<f64>> = Vec::new();
    while columns.len() < n {
        let (pivot, largest) = left.argmax();
        if largest <= smallest {
            break;
        }
        let mut column = a.column(pivot).into_owned();
        for before in &columns {
            column.axpy(-before[pivot], before, 1.0);
        }
        column /= largest.sqrt();
        for i in 0..n {
            left[i] -= column[i] * column[i];
        }
        // A pivot is used once, whatever rounding leaves of it.
        left[pivot] = 0.0;
        columns.push(column);
    }
    if columns.is_empty() { DMatrix::zeros(n, 0) } else { DMatrix::from_columns(&columns) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonal_and_singular_covariances_have_known_roots() {
        let diagonal = |values: &[f64]| DMatrix::from_diagonal(&nalgebra::DVector::from_row_slice(values));
        let (a, b) = (diagonal(&[4.0, 9.0, 0.0]), diagonal(&[1.0, 16.0, 5.0]));
        // √4 + √144 + 0
        assert!((trace_of_root(&a, &b) - 14.0).abs() < 1e-12);
        assert!((trace_of_root(&b, &a) - 14.0).abs() < 1e-12);
        assert_eq!(trace_of_root(&diagonal(&[0.0; 3]), &b), 0.0);
        // Of rank one: v vᵀ and w wᵀ have the root |v·w|.
        let (v, w) =
            (nalgebra::DVector::from_vec(vec![1.0, 2.0, 3.0]), nalgebra::DVector::from_vec(vec![-1.0, 0.5, 2.0]));
        let root = trace_of_root(&(&v * v.transpose()), &(&w * w.transpose()));
        assert!((root - 6.0).abs() < 1e-7, "{root}");
    }
}
