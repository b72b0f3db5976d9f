//! Kernel distance: Bińkowski et al. (2018), arXiv:1801.01401.

use super::{Estimate, Rows, RowsError, estimate::mean_and_variance, rows::check, tiles::bands};

/// The unbiased squared maximum mean discrepancy with the kernel `(x·y / d + 1)³`, on all pairs of the whole sets.
///
/// Published values are often means over random subsets of 1,000; they have the same expectation. The standard error is that of the
/// first-order terms of the U-statistic: `4 var(h_a) / n + 4 var(h_b) / m`, where `h_a` is a row's mean kernel with its own set less
/// that with the other. For two sets of one distribution it is too large by at most a factor of about 1.4, never too small.
///
/// # Errors
/// [`RowsError`] if a set has fewer than two rows, or the features differ in number.
pub fn kid(a: &Rows, b: &Rows) -> Result<Estimate, RowsError> {
    check(a, b, 2)?;
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (own_a, own_b) = (row_sums(a, a, true), row_sums(b, b, true));
    // Both directions, so that each sum is one over a row in a fixed order.
    let (cross_a, cross_b) = (row_sums(a, b, false), row_sums(b, a, false));
    let mean = |sums: &[f64], pairs: f64| sums.iter().sum::<f64>() / pairs;
    let value = mean(&own_a, n * (n - 1.0)) + mean(&own_b, m * (m - 1.0)) - 2.0 * mean(&cross_a, n * m);
    let spread = |own: &[f64], cross: &[f64], others: f64| {
        let count = own.len() as f64;
        let terms = own.iter().zip(cross).map(|(own, cross)| own / (count - 1.0) - cross / others);
        4.0 * mean_and_variance(terms).1 / count
    };
    let variance = spread(&own_a, &cross_a, m) + spread(&own_b, &cross_b, n);
    Ok(Estimate::new(value, variance.sqrt()))
}

/// The sum of the kernel of each row of `a` with all rows of `b`; without the row itself if the sets are the same.
fn row_sums(a: &Rows, b: &Rows, same: bool) -> Vec<f64> {
    let scale = 1.0 / a.dims() as f64;
    let kernel = |product: f64| (product * scale + 1.0).powi(3);
    let sums = bands(
        a,
        b,
        |rows| vec![0.0; rows.len()],
        |sums, tile| {
            for ((i, products), sum) in tile.each().zip(sums) {
                *sum += products.iter().map(|&product| kernel(product)).sum::<f64>();
                if same && tile.columns.contains(&i) {
                    *sum -= kernel(products[i - tile.columns.start]);
                }
            }
        },
    );
    sums.concat()
}
