//! Elementary functions that would cancel their leading digits if written as in the formulas.

/// `x - ln(1 + x)` for `x > -1`: at least 0, and 0 only at 0 (short of underflow).
///
/// With `u = x / (2 + x)`, `ln(1 + x) = 2 atanh(u) = 2 (u + u³/3 + u⁵/5 + ...)` and `x - 2u = x u`, so that the two terms of
/// first order never meet.
pub(super) fn log_excess(x: f64) -> f64 {
    if x.abs() > 0.4 {
        return x - x.ln_1p();
    }
    let u = x / (2.0 + x);
    let u_squared = u * u;
    // |u| <= 1/4: sixteen terms reach 2^-64 of the sum.
    let series = (1..=16).rev().fold(0.0, |sum, k| sum * u_squared + 1.0 / (2 * k + 1) as f64);
    x * u - 2.0 * u * u_squared * series
}

/// `ln(1 - e^x)` for `x <= 0`.
pub(super) fn log_one_minus_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_excess_keeps_its_digits_near_zero_and_where_the_formulas_meet() {
        // mpmath 1.3.0 with 60 digits, x being the nearest f64.
        for (x, expected) in [
            (1e-9, 4.999_999_996_666_667e-19),
            (-1e-5, 5.000_033_333_583_336e-11),
            (0.1, 4.689_820_195_675_14e-3),
            (-0.4, 0.110_825_623_765_990_7),
            (0.4, 6.352_776_337_878_708e-2),
            (0.400_001, 6.352_804_909_332_788e-2),
            (3.0, 1.613_705_638_880_109_4),
            (-0.999, 5.908_755_278_982_136),
        ] {
            assert!((log_excess(x) / expected - 1.0).abs() < 2e-15, "{x}: {:e}", log_excess(x));
        }
        assert_eq!(log_excess(0.0), 0.0);
        assert!(log_excess(f64::EPSILON) > 0.0);
    }
}
