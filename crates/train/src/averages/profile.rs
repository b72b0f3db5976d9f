//! Which weights an average is made of, and how an average of any width follows from those that were kept.
//!
//! Karras et al. (2024), "Analyzing and Improving the Training Dynamics of Diffusion Models", arXiv:2312.02696, Section 3.2 and Appendix C.
//! There the profiles are continuous; here they are sums over the steps, so that nothing is approximated but the wanted profile.

use nalgebra::{DMatrix, DVector};

/// The widest average: that of the exponent 0, the mean of all weights.
pub(crate) const WIDEST: f64 = 0.288;
/// The narrowest average that is offered; below it the last step has nearly all of the weight.
pub(crate) const NARROWEST: f64 = 0.005;

/// The share of each step in an average: `(s^(γ+1) - (s-1)^(γ+1)) / t^(γ+1)` for step `s` of `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Profile {
    /// γ.
    pub(crate) exponent: f64,
    /// The step after which the average was taken, from 1.
    pub(crate) step: u64,
}

impl Profile {
    /// The share of step `s`, from 1; 0 after the profile's own step.
    fn share(&self, s: u64) -> f64 {
        if s > self.step {
            return 0.0;
        }
        let (power, s, t) = (self.exponent + 1.0, s as f64, self.step as f64);
        (s / t).powf(power) - ((s - 1.0) / t).powf(power)
    }
}

/// The exponent γ of the average whose relative width is `width`.
///
/// # Formula
/// The width is the standard deviation of the profile over the number of steps, `σ² = (γ + 1) / ((γ + 2)² (γ + 3))`: the largest real
/// root of `γ³ + 7γ² + (16 - σ⁻²)γ + (12 - σ⁻²)`.
pub(crate) fn exponent(width: f64) -> f64 {
    let of = |gamma: f64| ((gamma + 1.0) / (gamma + 3.0)).sqrt() / (gamma + 2.0);
    // The width falls from 0.2887 at 0; it is above 1/(2(γ + 2)) beyond, and below 1/(γ + 2).
    let (mut low, mut high) = (0.0, 1.0 / width);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if of(middle) > width { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// How to make the wanted average of those that there are.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    /// The factor of each average.
    pub(crate) factors: Vec<f64>,
    /// Norm of what the combined profile differs by from the wanted one, over the norm of the latter.
    pub(crate) error: f64,
}

/// The combination of `kept` that comes nearest to `wanted`, by least squares over the shares of all steps.
///
/// Sum, mean and mean square of the steps are those of `wanted` exactly, as far as there are averages enough: weights move far over
/// a run, so that shares which do not sum to 1, or lie too early, would cost more than their squares say.
///
/// # Panics
/// If nothing was kept.
pub(crate) fn combine(kept: &[Profile], wanted: Profile) -> Combination {
    let n = kept.len();
    let all: Vec<Profile> = kept.iter().copied().chain([wanted]).collect();
    let Sums { products, moments } = Sums::of(&all);
    let exact = MOMENTS.min(n);
    // The conditions of a least-squares problem with equations: [G Mᵀ; M 0] [x; λ] = [b; m].
    let mut system = DMatrix::zeros(n + exact, n + exact);
    let mut right = DVector::zeros(n + exact);
    system.view_mut((0, 0), (n, n)).copy_from(&products.view((0, 0), (n, n)));
    right.rows_mut(0, n).copy_from(&products.view((0, n), (n, 1)));
    // Of the size of the products, so that one limit suits both.
    let scale = products[(n, n)];
    for k in 0..exact {
        for i in 0..n {
            system[(n + k, i)] = moments[(k, i)] * scale;
            system[(i, n + k)] = moments[(k, i)] * scale;
        }
        right[n + k] = moments[(k, n)] * scale;
    }
    // The profiles are far from independent. Singular values below what rounding leaves say nothing.
    let svd = system.svd(true, true);
    let limit = svd.singular_values.max() * 1e-13;
    let solved = svd.solve(&right, limit).expect("both sides of the decomposition were computed");
    let factors = solved.rows(0, n).clone_owned();
    // Step by step, and not from the products: there the difference would drown in their rounding.
    let off = |s: u64| kept.iter().zip(factors.iter()).map(|(kept, factor)| factor * kept.share(s)).sum::<f64>();
    let squared: f64 = (1..=last_step(&all)).map(|s| (off(s) - wanted.share(s)).powi(2)).sum();
    Combination { error: (squared / products[(n, n)]).sqrt(), factors: factors.as_slice().to_vec() }
}

/// Moments of the wanted profile that are met exactly: its sum, its mean and its mean square.
const MOMENTS: usize = 3;

fn last_step(profiles: &[Profile]) -> u64 {
    profiles.iter().map(|profile| profile.step).max().unwrap_or(0)
}

/// What least squares need of some profiles.
struct Sums {
    /// Sums over the steps of the products of all pairs.
    products: DMatrix<f64>,
    /// Of each profile, sums over the steps `s` of `(s/t)^k` times the share, a row for each `k`; `t` is the last step of all.
    moments: DMatrix<f64>,
}

impl Sums {
    fn of(profiles: &[Profile]) -> Self {
        let steps = last_step(profiles);
        let mut products = DMatrix::zeros(profiles.len(), profiles.len());
        let mut moments = DMatrix::zeros(MOMENTS, profiles.len());
        let mut shares = DVector::zeros(profiles.len());
        for s in 1..=steps {
            for (share, profile) in shares.iter_mut().zip(profiles) {
                *share = profile.share(s);
            }
            products.ger(1.0, &shares, &shares, 1.0);
            let powers = DVector::from_fn(MOMENTS, |k, _| (s as f64 / steps as f64).powi(k as i32));
            moments.ger(1.0, &powers, &shares, 1.0);
        }
        Self { products, moments }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfumato_kernels::power_decay;

    use super::*;

    /// Shares by the recursion of the averages themselves.
    fn recursive(Profile { exponent, step }: Profile) -> Vec<f64> {
        let mut shares = Vec::new();
        for t in 1..=step {
            let decay = power_decay(exponent, t);
            shares.iter_mut().for_each(|share| *share *= decay);
            shares.push(1.0 - decay);
        }
        shares
    }

    #[test]
    fn exponents_are_those_of_the_paper() {
        // arXiv:2312.02696, Section 3.1: widths of 0.05 and 0.10 have the exponents 16.97 and 6.94.
        assert!((exponent(0.05) - 16.97).abs() < 0.005, "{}", exponent(0.05));
        assert!((exponent(0.10) - 6.94).abs() < 0.005, "{}", exponent(0.10));
        assert!((0.0..0.02).contains(&exponent(WIDEST)));
    }

    proptest! {
        #[test]
        fn the_exponent_is_a_root_of_the_cubic(width in NARROWEST..WIDEST) {
            let (g, w) = (exponent(width), width.powi(-2));
            let terms = [g.powi(3), 7.0 * g * g, (16.0 - w) * g, 12.0 - w];
            let scale: f64 = terms.iter().map(|term| term.abs()).sum();
            prop_assert!(terms.iter().sum::<f64>().abs() < 1e-9 * scale);
        }

        #[test]
        fn products_are_those_of_the_recursion(a in -0.5..60.0, b in -0.5..60.0, s in 1_u64..80, t in 1_u64..80) {
            let (a, b) = (Profile { exponent: a, step: s }, Profile { exponent: b, step: t });
            let shares = [recursive(a), recursive(b)];
            prop_assert!((shares[0].iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let sum: f64 = shares[0].iter().zip(&shares[1]).map(|(a, b)| a * b).sum();
            prop_assert!((sum - Sums::of(&[a, b]).products[(0, 1)]).abs() < 1e-12);
        }

        #[test]
        fn what_was_kept_last_is_found_again(steps in 4_u64..400, pick in 6_usize..8) {
            let kept: Vec<Profile> = (1..=4)
                .flat_map(|i| [16.97, 6.94].map(|exponent| Profile { exponent, step: (steps * i / 4).max(1) }))
                .collect();
            let found = combine(&kept, kept[pick]);
            prop_assert!(found.error < 1e-5, "{}", found.error);
        }
    }

    #[test]
    fn widths_between_those_kept_are_nearly_exact_and_the_error_is_true() {
        let kept: Vec<Profile> = (1..=16)
            .flat_map(|i| [0.05, 0.10].map(|width| Profile { exponent: exponent(width), step: 200 * i }))
            .collect();
        for (width, most) in [(0.06, 0.02), (0.075, 0.02), (0.1, 0.02), (0.15, 0.02), (0.2, 0.05)] {
            let wanted = Profile { exponent: exponent(width), step: 3200 };
            let Combination { factors, error } = combine(&kept, wanted);
            let mut difference = recursive(wanted);
            let norm = difference.iter().map(|share| share * share).sum::<f64>().sqrt();
            for (profile, factor) in kept.iter().zip(&factors) {
                difference.iter_mut().zip(recursive(*profile)).for_each(|(sum, share)| *sum -= factor * share);
            }
            let left = difference.iter().map(|share| share * share).sum::<f64>().sqrt() / norm;
            assert!((left - error).abs() < 1e-5 + 0.01 * error, "width {width}: {left} is said to be {error}");
            assert!(error < most, "width {width}: {error}");
        }
    }
}
