//! Which points of a mixture a noisy example may have come from.

use super::{
    EmpiricalMixture,
    optimum::Noised,
    products::{Products, TILE},
};

/// Points that are less likely than the likeliest by this many nats, and by the logarithm of their number, are left out: together
/// they have less than `e⁻²⁰` of the probability, and change a loss of unit size by less than 1e-8.
const MARGIN: f64 = 20.0;
/// Error of the logarithm of a weight, in nats, that is let pass.
const TOLERANCE: f64 = 2e-3;
/// A posterior over more than this part of the points is averaged over all of them, as a product of matrices: that is cheaper.
const SPARSE: usize = 32;
/// So few points are always averaged one by one.
const FEW: usize = 64;

/// What is known of a posterior.
pub(super) enum Posterior {
    /// The loss of its mean.
    Loss(f64),
    /// It has many points. The largest of the logarithms of their weights, which are [`Noised::scores`].
    Spread { largest: f64 },
}

/// Points at most that are averaged one by one.
pub(super) fn most_sparse(mixture: &EmpiricalMixture<'_>) -> usize {
    (mixture.len() / SPARSE).max(FEW)
}

/// How many nats below the likeliest a point does not count.
pub(super) fn margin(mixture: &EmpiricalMixture<'_>) -> f64 {
    MARGIN + (mixture.len() as f64).ln()
}

/// The posterior of one noisy example, from the products of examples and of noises.
pub(super) fn posterior(mixture: &EmpiricalMixture<'_>, products: &[Products; 2], row: &Noised<'_>) -> Posterior {
    let mut largest = f64::NEG_INFINITY;
    each(mixture, products, row, |_, scores| {
        largest = largest.max(maximum(scores));
        true
    });
    let rounding = rounding(mixture, row);
    let least = largest - margin(mixture) - 2.0 * rounding;
    // Rounding that matters is settled point by point, however many they are.
    let most = if rounding <= TOLERANCE { most_sparse(mixture) } else { mixture.len() };
    let mut likely = Vec::new();
    each(mixture, products, row, |first, scores| {
        likely.extend(
            scores.iter().enumerate().filter(|(_, score)| **score >= least).map(|(i, score)| (first + i, *score)),
        );
        likely.len() <= most
    });
    if likely.len() > most { Posterior::Spread { largest } } else { Posterior::Loss(settled(mixture, row, likely)) }
}

/// Gives the scores tile by tile, each with the place of its first, as long as it is told to go on.
fn each(
    mixture: &EmpiricalMixture<'_>,
    products: &[Products; 2],
    row: &Noised<'_>,
    mut give: impl FnMut(usize, &[f64]) -> bool,
) {
    let mut scores = [0.0; TILE];
    for (first, tile) in products[0].row(row.example) {
        let scores = &mut scores[..tile.len()];
        row.scores(mixture, products, first, scores);
        if !give(first, scores) {
            return;
        }
    }
}

/// The largest of numbers that are none of them NaN. Eight at a time, which processors do at once.
fn maximum(scores: &[f64]) -> f64 {
    let larger = |a: f64, b: f64| if a > b { a } else { b };
    let mut lanes = [f64::NEG_INFINITY; 8];
    let (chunks, rest) = scores.as_chunks::<8>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, score)| *lane = larger(*lane, *score));
    }
    lanes.iter().chain(rest).copied().fold(f64::NEG_INFINITY, larger)
}

/// How far a score may be off by the rounding of the products, in nats.
fn rounding(mixture: &EmpiricalMixture<'_>, row: &Noised<'_>) -> f64 {
    row.snr * rounding_of(mixture, row.x_0) + row.snr.sqrt() * rounding_of(mixture, row.epsilon)
}

/// How far the product of a row with a point may be off by rounding.
///
/// The errors of a sum of `n` products are a random walk of length `n` whose steps are at most half a unit in the last place of the sum
/// so far, and `√n u |a||b|` is several of its standard deviations (Higham & Mary 2019, "A New Approach to Probabilistic Rounding Error
/// Analysis"). A test compares it with the errors that there are.
pub(super) fn rounding_of(mixture: &EmpiricalMixture<'_>, row: &[f32]) -> f64 {
    let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    0.5 * f64::from(f32::EPSILON) * (row.len() as f64).sqrt() * mixture.largest() * length
}

/// The loss of the posterior's mean over the likely points, whose scores are measured again in `f64`, without the differences of large
/// numbers: `-½ s |x_i - x_0|² + √s ⟨ε, x_i - x_0⟩`.
pub(super) fn settled(mixture: &EmpiricalMixture<'_>, row: &Noised<'_>, mut likely: Vec<(usize, f64)>) -> f64 {
    let mut point = vec![0.0; mixture.dims()];
    for (i, score) in &mut likely {
        mixture.write(*i, &mut point);
        let (square, product) = apart(&point, row.x_0, row.epsilon);
        *score = row.snr.sqrt() * product - 0.5 * row.snr * square;
    }
    let largest = likely.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = likely.iter().map(|(_, score)| (score - largest).exp()).sum();
    let mut errors = vec![0.0; mixture.dims()];
    let least = largest - margin(mixture);
    for (i, score) in likely.iter().filter(|(_, score)| *score >= least) {
        let weight = (score - largest).exp() / total;
        mixture.write(*i, &mut point);
        // What counts is how far they are from x_0, so that no digit is lost where they are near.
        for ((error, x), x_0) in errors.iter_mut().zip(&point).zip(row.x_0) {
            *error += weight * (f64::from(*x) - f64::from(*x_0));
        }
    }
    row.loss(errors.into_iter())
}

/// `|x - x_0|²` and `⟨ε, x - x_0⟩`, eight values at a time.
fn apart(x: &[f32], x_0: &[f32], epsilon: &[f32]) -> (f64, f64) {
    let (mut squares, mut products) = ([0.0; 8], [0.0; 8]);
    for ((x, x_0), epsilon) in x.chunks(8).zip(x_0.chunks(8)).zip(epsilon.chunks(8)) {
        for (lane, ((x, x_0), epsilon)) in x.iter().zip(x_0).zip(epsilon).enumerate() {
            let apart = f64::from(*x) - f64::from(*x_0);
            squares[lane] += apart * apart;
            products[lane] += apart * f64::from(*epsilon);
        }
    }
    (squares.iter().sum(), products.iter().sum())
}

#[cfg(test)]
mod tests {
    use sfumato_data::Dataset;
    use sfumato_process::noise::{Purpose, fill_normal};

    use super::*;

    struct Bright {
        values: Vec<f32>,
        dims: usize,
    }

    impl Dataset for Bright {
        fn len(&self) -> usize {
            self.values.len() / self.dims
        }

        fn shape(&self) -> &[usize] {
            std::slice::from_ref(&self.dims)
        }

        fn write(&self, i: usize, out: &mut [f32]) {
            out.copy_from_slice(&self.values[i * self.dims..(i + 1) * self.dims]);
        }
    }

    /// Products all of one sign are the worst case: the sums only grow, and so do their roundings.
    #[test]
    fn scores_are_off_by_less_than_is_assumed() {
        for dims in [2, 30, 784, 3072, 12_288] {
            let mut normal = vec![0.0; 210 * dims];
            fill_normal(1, Purpose::Training, 0, 0, &mut normal);
            let values = normal[..200 * dims].iter().map(|x| (0.8 + 0.2 * x).clamp(-1.0, 1.0)).collect();
            let data = Bright { values, dims };
            let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
            let (x_0, epsilon) = (&data.values[..dims], &normal[200 * dims..201 * dims]);
            for snr in [1e-3_f64, 1.0, 1e3] {
                let row = Noised { x_0, epsilon, example: 0, noise: 0, snr };
                let products = [x_0, epsilon].map(|row| Products::new(&mixture, row));
                let (mut worst, mut point) = (0.0_f64, vec![0.0; dims]);
                each(&mixture, &products, &row, |first, scores| {
                    for (i, score) in scores.iter().enumerate() {
                        mixture.write(first + i, &mut point);
                        let product =
                            |a: &[f32]| a.iter().zip(&point).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                        let exact = snr * (product(x_0) - 0.5 * product(&point)) + snr.sqrt() * product(epsilon);
                        worst = worst.max((score - exact).abs());
                    }
                    true
                });
                let assumed = rounding(&mixture, &row);
                println!("{dims} values, SNR {snr}: off by {worst:.1e}, {assumed:.1e} assumed");
                assert!(worst < assumed, "{dims} values, SNR {snr}: off by {worst:.1e}, {assumed:.1e} assumed");
            }
        }
    }

    #[test]
    fn the_largest_is_found_in_any_lane() {
        for count in [1, 7, 8, 9, 33] {
            for at in 0..count {
                let scores: Vec<f64> = (0..count).map(|i| if i == at { -1.0 } else { -2.0 - i as f64 }).collect();
                assert_eq!(maximum(&scores), -1.0);
            }
        }
    }
}
