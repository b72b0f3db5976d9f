//! How the discretised likelihood changes with its mean and its variance: what training by the bound follows at `t = 1`.

use super::discretized::{BIN_WIDTH, LikelihoodCdf, discretized_log_likelihood, level_value};
use super::normal::log_density;

/// [`discretized_log_likelihood`] (exact) with its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LikelihoodSlopes {
    /// `ln p`, nats.
    pub log_likelihood: f64,
    /// `∂ ln p / ∂ mean`.
    pub mean: f64,
    /// `∂ ln p / ∂ ln σ²`.
    pub log_variance: f64,
}

/// Logarithm of the probability that `N(mean, e^log_variance)`, rounded to 256 levels, is the given one, with its derivatives.
///
/// Densities and probability are divided as logarithms, so that the derivatives are right where the probability itself
/// underflows: far from the mean they are those of the density, `(x - mean) / σ²` at the nearer edge.
///
/// # Formula
/// With the edges `l`, `u` of the level's interval in standard deviations from the mean:
/// `∂ ln p / ∂ mean = (φ(l) - φ(u)) / (σ p)`, `∂ ln p / ∂ ln σ² = (l φ(l) - u φ(u)) / (2 p)`; without the lower edge at level 0 and
/// without the upper one at 255.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::{discretized_slopes, level_value};
///
/// // A mean at the level itself is the best one, and a sharper Gaussian would be surer.
/// let slopes = discretized_slopes(100, level_value(100), -8.0);
/// assert!(slopes.mean.abs() < 1e-9 && slopes.log_variance < 0.0);
/// ```
pub fn discretized_slopes(level: u8, mean: f64, log_variance: f64) -> LikelihoodSlopes {
    let log_scale = 0.5 * log_variance;
    let log_likelihood = discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Exact);
    let precision = (-log_scale).exp();
    let middle = level_value(level) - mean;
    // An edge's distance in standard deviations, and density over probability there.
    let edge = |offset: f64| {
        let z = (middle + offset) * precision;
        let ratio = (log_density(z) - log_likelihood).exp();
        if ratio.is_finite() && ratio > 0.0 { (z, ratio) } else { (0.0, 0.0) }
    };
    let lower = if level == 0 { (0.0, 0.0) } else { edge(-0.5 * BIN_WIDTH) };
    let upper = if level == 255 { (0.0, 0.0) } else { edge(0.5 * BIN_WIDTH) };
    LikelihoodSlopes {
        log_likelihood,
        mean: precision * (lower.1 - upper.1),
        log_variance: 0.5 * (lower.0 * lower.1 - upper.0 * upper.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_the_quotients_of_differences() {
        for level in [0, 1, 77, 128, 254, 255] {
            for mean in [-1.3, -1.0, -0.4, 0.0, 0.3, 0.99, 1.5] {
                for log_variance in [-11.0, -9.0, -6.0, -3.0, 0.0, 2.0] {
                    let value = |mean, log_variance: f64| {
                        discretized_log_likelihood(level, mean, 0.5 * log_variance, LikelihoodCdf::Exact)
                    };
                    let slopes = discretized_slopes(level, mean, log_variance);
                    assert_eq!(slopes.log_likelihood, value(mean, log_variance));
                    let h = 1e-6 * (0.5 * log_variance).exp();
                    let by_mean = (value(mean + h, log_variance) - value(mean - h, log_variance)) / (2.0 * h);
                    let by_variance = (value(mean, log_variance + 1e-6) - value(mean, log_variance - 1e-6)) / 2e-6;
                    let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-4 * (a.abs() + b.abs()) + 1e-7 * scale;
                    // Rounding of the logarithms, divided by the difference's step.
                    let scale = 1.0 + slopes.log_likelihood.abs();
                    let place = format!("level {level}, mean {mean}, log-variance {log_variance}");
                    assert!(near(slopes.mean, by_mean, scale * 1e-1 / h * 1e-6), "{place}: {} {by_mean}", slopes.mean);
                    assert!(
                        near(slopes.log_variance, by_variance, scale),
                        "{place}: {} {by_variance}",
                        slopes.log_variance
                    );
                }
            }
        }
    }

    #[test]
    fn far_from_the_mean_the_slopes_are_those_of_the_nearer_edge() {
        // The probability is e^-450000: far below the smallest number.
        let slopes = discretized_slopes(200, -0.5, -13.0);
        let variance = (-13.0_f64).exp();
        let distance = level_value(200) - 1.0 / 255.0 + 0.5;
        assert!((slopes.mean / (distance / variance) - 1.0).abs() < 1e-5, "{slopes:?}");
        assert!((slopes.log_variance / (0.5 * distance * distance / variance) - 1.0).abs() < 1e-5, "{slopes:?}");
    }
}
