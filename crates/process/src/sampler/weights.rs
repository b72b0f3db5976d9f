//! The weights of UniPC's differences: Zhao et al. (2023), arXiv:2302.04867, §3.1.

/// Terms of a series that leave nothing of `f64` where `|z| < 1`: `1 / 19!` is below 1e-17.
const TERMS: usize = 19;

/// `a` with `Σ a_i r_i^{k-1} = k! η φ_{k+1}(η) / B(η)` for `k` = 1, 2, … up to the number of `nodes` `r_i`, which differ; ½ for one alone.
///
/// The left side is a linear functional of the polynomial `r^{k-1}` that knows it at the nodes alone, so that `a_i` is the right side's
/// value for the polynomial that is 1 at node `i` and 0 at the others.
pub(super) fn of_differences(nodes: &[f64], eta: f64, b: f64) -> Vec<f64> {
    if let [_] = nodes {
        return vec![0.5];
    }
    let mut factorial = 1.0;
    let moments: Vec<f64> = (1..=nodes.len())
        .map(|k| {
            factorial *= k as f64;
            factorial * eta * phi(k + 1, eta) / b
        })
        .collect();
    let of_polynomial = |coefficients: &[f64]| coefficients.iter().zip(&moments).map(|(c, moment)| c * moment).sum();
    (0..nodes.len()).map(|i| of_polynomial(&one_at(nodes, i))).collect()
}

/// Coefficients, the constant first, of the polynomial that is 1 at node `i` and 0 at all others.
fn one_at(nodes: &[f64], i: usize) -> Vec<f64> {
    let mut coefficients = vec![1.0];
    for (_, &zero) in nodes.iter().enumerate().filter(|&(j, _)| j != i) {
        let slope = 1.0 / (nodes[i] - zero);
        coefficients.push(0.0);
        for k in (0..coefficients.len()).rev() {
            let lower = if k == 0 { 0.0 } else { coefficients[k - 1] };
            coefficients[k] = slope * (lower - zero * coefficients[k]);
        }
    }
    coefficients
}

/// `φ_k(z) = Σ_j z^j / (j + k)!`: `φ_0 = e^z`, `φ_{k+1}(z) = (φ_k(z) - 1/k!) / z`. Next to 0 the recursion would leave no digits.
fn phi(k: usize, z: f64) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    if z.abs() < 1.0 {
        return (0..TERMS).rev().fold(0.0, |sum, j| sum * z + 1.0 / factorial(j + k));
    }
    (1..k).fold(z.exp_m1() / z, |phi, k| (phi - 1.0 / factorial(k)) / z)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `φ_k(z) = ∫_0^1 e^{(1-u) z} u^{k-1} / (k-1)! du`, by Simpson's rule.
    fn integral(k: usize, z: f64) -> f64 {
        const PARTS: usize = 2000;
        let factorial: f64 = (1..k).map(|i| i as f64).product();
        let f = |i: usize| {
            let u = i as f64 / PARTS as f64;
            ((1.0 - u) * z).exp() * u.powi(k as i32 - 1) / factorial
        };
        let inner: f64 = (1..PARTS).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (f(0) + inner + f(PARTS)) / (3.0 * PARTS as f64)
    }

    #[test]
    fn phi_is_its_integral_on_both_sides_of_the_series_end() {
        for k in 1..=4 {
            for z in [-8.0, -1.5, -1.0, -0.999, -0.3, -1e-6, 1e-9, 0.2, 0.999, 1.0, 3.0, 9.0] {
                let (found, expected) = (phi(k, z), integral(k, z));
                assert!((found / expected - 1.0).abs() < 1e-9, "phi_{k}({z}) is {found}, not {expected}");
            }
        }
    }

    proptest! {
        /// The equations of the paper, solved.
        #[test]
        fn weights_solve_their_equations(
            first in -4.0..-0.1f64,
            gap in 0.1..4.0f64,
            eta in prop_oneof![-4.0..-0.01f64, 0.01..4.0f64],
            at_end: bool,
        ) {
            let mut nodes = vec![first, first - gap];
            if at_end {
                nodes.push(1.0);
            }
            let b = eta.exp_m1();
            let a = of_differences(&nodes, eta, b);
            let mut factorial = 1.0;
            for k in 1..=nodes.len() {
                factorial *= k as f64;
                let left: f64 = a.iter().zip(&nodes).map(|(a, r)| a * r.powi(k as i32 - 1)).sum();
                let right = factorial * eta * integral(k + 1, eta) / b;
                prop_assert!((left - right).abs() < 1e-8 * (1.0 + right.abs()), "k = {}: {} and {}", k, left, right);
            }
        }
    }
}
