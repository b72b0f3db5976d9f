//! Points that are likely whatever the noise is: where there is little noise, the products of the noise need not be known.
//!
//! With `r_i = √s |x_i - x_0|` a score is `-½ r_i² + z_i r_i` beside a constant, where `z_i` is a standard normal number. If none of them
//! is above `z`, the nearest point has at least `-½ r² - z r`, and a point can only come within the margin `M` of that if `(r_i - z)² ≤
//! (r + z)² + 2 M`.

use super::{
    EmpiricalMixture,
    optimum::Noised,
    posterior::{margin, most_sparse, rounding_of, settled},
    products::Products,
};

/// The largest of so many standard normal numbers as there could ever be: one above it has a probability of 1e-32.
const LARGEST_NORMAL: f64 = 12.0;

/// `½ |x_i - x_0|²`, less the constant `½ |x_0|²`, of the nearest point of row `example`.
pub(super) fn nearest(mixture: &EmpiricalMixture<'_>, products: &Products, example: usize) -> f64 {
    let mut nearest = f64::INFINITY;
    for (first, tile) in products.row(example) {
        for (product, half_square) in tile.iter().zip(&mixture.half_squares()[first..]) {
            nearest = nearest.min(half_square - f64::from(*product));
        }
    }
    nearest
}

/// The loss, if few points are likely whatever the noise is.
pub(super) fn without_noise(
    mixture: &EmpiricalMixture<'_>,
    products: &Products,
    row: &Noised<'_>,
    nearest: f64,
) -> Option<f64> {
    let rounding = rounding_of(mixture, row.x_0);
    let half_square = 0.5 * row.x_0.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let distance = |half: f64| (2.0 * row.snr * (half + half_square + rounding).max(0.0)).sqrt();
    let reach = distance(nearest) + LARGEST_NORMAL;
    let furthest = LARGEST_NORMAL + (reach * reach + 2.0 * margin(mixture)).sqrt();
    let limit = furthest * furthest / (2.0 * row.snr) - half_square + rounding;
    let most = most_sparse(mixture);
    let mut likely = Vec::new();
    for (first, tile) in products.row(row.example) {
        let halves = tile.iter().zip(&mixture.half_squares()[first..]).map(|(x, half)| half - f64::from(*x));
        likely.extend(halves.enumerate().filter(|(_, half)| *half <= limit).map(|(i, _)| (first + i, 0.0)));
        if likely.len() > most {
            return None;
        }
    }
    Some(settled(mixture, row, likely))
}
