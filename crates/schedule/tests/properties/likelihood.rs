//! The discretised Gaussian likelihood: a distribution over 256 levels, whatever the mean and the scale.

use proptest::prelude::*;
use sfumato_schedule::probability::{Gaussian, LikelihoodCdf, discretized_log_likelihood, level_value};

use crate::strategies::cases;

fn exact(level: u8, mean: f64, log_scale: f64) -> f64 {
    discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Exact)
}

fn total(mean: f64, log_scale: f64, cdf: LikelihoodCdf) -> f64 {
    (0..=255).map(|level| discretized_log_likelihood(level, mean, log_scale, cdf).exp()).sum()
}

fn mean() -> impl Strategy<Value = f64> {
    let far =
        (-300.0..300.0, any::<bool>()).prop_map(|(log, left): (f64, bool)| if left { -log.exp() } else { log.exp() });
    let on_a_level_or_edge = (0_i32..=512).prop_map(|half| f64::from(half - 256) / 255.0);
    prop_oneof![4 => -1.5..1.5, 1 => far, 1 => on_a_level_or_edge]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_probabilities_sum_to_one(mean in mean(), log_scale in prop_oneof![3 => -12.0..4.0, 1 => -690.0..690.0]) {
        prop_assert!((total(mean, log_scale, LikelihoodCdf::Exact) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_level_has_a_logarithm_no_larger_than_zero(mean in mean(), log_scale in -690.0..690.0, level: u8) {
        let log = exact(level, mean, log_scale);
        prop_assert!(log <= 1e-15, "{}", log);
        let rounded = discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Tanh);
        prop_assert!(rounded >= 1e-12_f64.ln() - 1e-12 && rounded <= 0.0);
    }

    #[test]
    fn a_flat_density_gives_its_value_times_the_width(mean in -1.0..1.0, log_scale in 5.0..600.0_f64, level in 1_u8..=254) {
        let at_level = Gaussian::STANDARD.log_density((level_value(level) - mean) * (-log_scale).exp()) - log_scale;
        let relative_curvature = 2.0 * (-2.0 * log_scale).exp() / 255.0 / 255.0;
        let expected = at_level + (2.0_f64 / 255.0).ln();
        prop_assert!((exact(level, mean, log_scale) - expected).abs() < relative_curvature + 4e-16 * expected.abs());
    }

    #[test]
    fn black_and_white_are_mirror_images(mean in -3.0..3.0, log_scale in -8.0..3.0_f64, level: u8) {
        let (here, there) = (exact(level, mean, log_scale), exact(255 - level, -mean, log_scale));
        // The rounding of x - mean, 4e-16, counts with the slope of the logarithm, its root over the scale.
        prop_assert!((here - there).abs() <= 1e-14 * (1.0 + here.abs()) * (1.0 + (-log_scale).exp()));
    }

    #[test]
    fn away_from_the_floor_the_approximation_is_close(mean in -1.0..1.0, log_scale in -4.0..0.0, level: u8) {
        let (got, approximate) =
            (exact(level, mean, log_scale), discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Tanh));
        // |tanh approximation - Φ| < 2e-4 everywhere (Page 1977), so two of them differ by at most 4e-4.
        prop_assert!((got.exp() - approximate.exp()).abs() < 4e-4);
    }

    #[test]
    fn the_approximation_sums_to_one_up_to_its_floor(mean in -1.5..1.5, log_scale in -12.0..4.0) {
        let sum = total(mean, log_scale, LikelihoodCdf::Tanh);
        prop_assert!((sum - 1.0).abs() < 256.0 * 1e-12 + 1e-13, "{}", sum);
    }
}
