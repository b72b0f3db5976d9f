//! Student's t distribution: intervals of few numbers, whose spread is itself estimated.

/// The 97.5 % point of the standard normal distribution, to which the quantile falls with more numbers.
const NORMAL: f64 = 1.959_963_984_540_054;
/// Degrees of freedom from which the expansion is as exact as the finite sum, to 1e-13.
const MANY: u64 = 1000;

/// The `t` with `P(|T| ≤ t) = 0.95` for `degrees` of freedom, at least 1.
///
/// # Formula
/// Abramowitz & Stegun (1964): the finite sums 26.7.3 and 26.7.4, solved for `t`; for many degrees `ν` the expansion 26.7.5 in `1/ν`.
pub(crate) fn two_sided_95(degrees: u64) -> f64 {
    if degrees > MANY {
        return expansion(degrees as f64);
    }
    // It is largest for one degree: tan(0.95 π/2) = 12.706.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if within(middle, degrees) < 0.95 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// `P(|T| ≤ t)` for whole degrees of freedom.
fn within(t: f64, degrees: u64) -> f64 {
    let nu = degrees as f64;
    let cos_squared = nu / (nu + t * t);
    let sin = t / (nu + t * t).sqrt();
    if degrees % 2 == 1 {
        let theta = (t / nu.sqrt()).atan();
        let terms = (degrees - 1) / 2;
        let sum = series(terms, cos_squared.sqrt(), |k| 2.0 * k / (2.0 * k + 1.0) * cos_squared);
        std::f64::consts::FRAC_2_PI * (theta + sin * sum)
    } else {
        sin * series(degrees / 2, 1.0, |k| (2.0 * k - 1.0) / (2.0 * k) * cos_squared)
    }
}

/// The sum of so many terms, where term `k` is `ratio(k)` times the one before it.
fn series(terms: u64, first: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term) = (0.0, first);
    for k in 1..=terms {
        sum += term;
        term *= ratio(k as f64);
    }
    sum
}

fn expansion(nu: f64) -> f64 {
    let z = NORMAL;
    // Coefficients of z, z³, z⁵, …
    let odd = |coefficients: &[f64]| coefficients.iter().rev().fold(0.0, |sum, c| sum * z * z + c) * z;
    let corrections = [
        odd(&[1.0, 1.0]) / 4.0,
        odd(&[3.0, 16.0, 5.0]) / 96.0,
        odd(&[-15.0, 17.0, 19.0, 3.0]) / 384.0,
        odd(&[-945.0, -1920.0, 1482.0, 776.0, 79.0]) / 92160.0,
    ];
    z + corrections.iter().rev().fold(0.0, |sum, g| (sum + g) / nu)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.ppf(0.975, df)`, by `tests/golden/make_paired.py`.
    #[test]
    fn quantiles_are_those_of_scipy() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../tests/golden/paired.json")).unwrap();
        let quantiles = golden["quantiles"].as_array().unwrap();
        assert!(quantiles.len() > 10);
        for pair in quantiles {
            let (degrees, expected) = (pair[0].as_u64().unwrap(), pair[1].as_f64().unwrap());
            let found = two_sided_95(degrees);
            assert!((found / expected - 1.0).abs() < 1e-12, "{degrees}: {found} against {expected}");
        }
    }

    #[test]
    fn one_degree_is_the_distribution_of_cauchy_and_two_have_a_closed_form() {
        for t in [0.0_f64, 0.3, 1.0, 7.0] {
            assert!((within(t, 1) - t.atan() * std::f64::consts::FRAC_2_PI).abs() < 1e-15);
            assert!((within(t, 2) - t / (2.0 + t * t).sqrt()).abs() < 1e-15);
        }
    }
}
