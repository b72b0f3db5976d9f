//! The probability that a Gaussian gives to an 8-bit grey level: the decoder `p(x_0 | x_1)` of DDPM (Ho et al. 2020, Eq. 13).
//!
//! Data are the levels `k = 0, ..., 255`, scaled to `x = k / 127.5 - 1` in [-1, 1]. Each level owns the interval of values within
//! 1/255 of it, the first and the last one everything beyond, so the 256 probabilities sum to 1.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::ProbabilityError;
use super::normal::{Interval, log_cdf, log_interval, log_survival};

/// Distance between two levels, 2/255.
pub(super) const BIN_WIDTH: f64 = 2.0 / 255.0;
/// How far from a level a value may lie: more than f32 rounding of `k / 127.5 - 1`, far less than a level.
const LEVEL_TOLERANCE: f64 = 1e-5;
/// Floor of the probabilities in the DDPM code.
const TANH_FLOOR: f64 = 1e-12;

/// Which normal distribution function the discretised likelihood is made of.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::LikelihoodCdf;
///
/// assert_eq!("tanh".parse(), Ok(LikelihoodCdf::Tanh));
/// assert_eq!(LikelihoodCdf::default().to_string(), "exact");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LikelihoodCdf {
    /// The error function, without a floor: the definition.
    #[default]
    Exact,
    /// What the code of DDPM and of Nichol & Dhariwal (2021) computes, for comparison with their numbers:
    /// `Φ(u) ≈ ½ (1 + tanh(√(2/π) (u + 0.044715 u³)))` (Page 1977), every probability at least 1e-12. The 256 probabilities
    /// sum to 1 only up to the floor.
    Tanh,
}

impl LikelihoodCdf {
    /// The names that [`FromStr`] and serde understand.
    pub const NAMES: [&'static str; 2] = ["exact", "tanh"];

    /// The name in configuration files and on the command line.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::LikelihoodCdf::Tanh.name(), "tanh");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Tanh => "tanh",
        }
    }
}

impl fmt::Display for LikelihoodCdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LikelihoodCdf {
    type Err = ProbabilityError;

    fn from_str(name: &str) -> Result<Self, ProbabilityError> {
        match name {
            "exact" => Ok(Self::Exact),
            "tanh" => Ok(Self::Tanh),
            _ => Err(ProbabilityError::UnknownCdf { name: name.to_owned(), expected: Self::NAMES.to_vec() }),
        }
    }
}

/// Value of a grey level in model space.
///
/// # Formula
/// `x = k / 127.5 - 1`, in [-1, 1]
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::level_value;
///
/// assert_eq!((level_value(0), level_value(255)), (-1.0, 1.0));
/// ```
pub fn level_value(level: u8) -> f64 {
    f64::from(level) / 127.5 - 1.0
}

/// Grey level of a value in model space: the inverse of [`level_value`].
///
/// The discretised likelihood of anything else than one of the 256 values is meaningless, so a value further than 1e-5 from
/// all of them (f32 rounding passes, resampled or dequantised images do not) is an error.
///
/// # Formula
/// `k = 127.5 (x + 1)`
///
/// # Errors
/// [`ProbabilityError::NotALevel`]
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::level_from_value;
///
/// assert_eq!(level_from_value(f64::from(100_f32 / 127.5 - 1.0)), Ok(100));
/// assert!(level_from_value(0.0).is_err()); // half-way between 127 and 128
/// ```
pub fn level_from_value(value: f64) -> Result<u8, ProbabilityError> {
    let level = (127.5 * (value + 1.0)).round().clamp(0.0, 255.0) as u8; // NaN becomes 0 and fails below
    let near = (level_value(level) - value).abs() <= LEVEL_TOLERANCE;
    if near { Ok(level) } else { Err(ProbabilityError::NotALevel { value }) }
}

/// Logarithm of the probability that `N(mean, scale²)`, rounded to 256 levels, is the given one; nats, for one dimension.
///
/// `mean` is in model space ([-1, 1] for data, any real number here), `log_scale` the natural logarithm of the standard deviation
/// (half the log-variance). With [`LikelihoodCdf::Exact`] the result is accurate to nearly all digits for every mean and scale, in
/// probabilities far below the smallest f64.
///
/// # Formula
/// `ln(Φ((x + 1/255 - mean) / scale) - Φ((x - 1/255 - mean) / scale))`, `x = k / 127.5 - 1`; without the second term at `k = 0`, and
/// with 1 for the first at `k = 255` (Ho et al. 2020, Eq. 13)
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::{LikelihoodCdf, discretized_log_likelihood, level_value};
///
/// let probability = |level| discretized_log_likelihood(level, 0.1, -2.0, LikelihoodCdf::Exact).exp();
/// let total: f64 = (0..=255).map(probability).sum();
/// assert!((total - 1.0).abs() < 1e-14);
///
/// // A sharp decoder is sure of the level it means.
/// let sure = discretized_log_likelihood(40, level_value(40), -8.0, LikelihoodCdf::Exact);
/// assert!(sure.abs() < 1e-12);
/// ```
pub fn discretized_log_likelihood(level: u8, mean: f64, log_scale: f64, cdf: LikelihoodCdf) -> f64 {
    match cdf {
        LikelihoodCdf::Exact => exact(level, mean, log_scale),
        LikelihoodCdf::Tanh => tanh(level, mean, log_scale),
    }
}

fn exact(level: u8, mean: f64, log_scale: f64) -> f64 {
    let precision = (-log_scale).exp();
    let standardize = |x: f64| if x == mean { 0.0 } else { (x - mean) * precision }; // 0, not NaN, at infinite precision
    // x_k - 1/255. Neighbouring levels share this very number, so their intervals neither overlap nor leave a gap.
    let edge = |k: i32| standardize(f64::from(2 * k - 256) / 255.0);
    let (lower, upper) = (edge(i32::from(level)), edge(i32::from(level) + 1));
    match level {
        0 => log_cdf(upper),
        255 => log_survival(lower),
        _ => log_interval(Interval {
            lower,
            upper,
            middle: standardize(level_value(level)),
            width: BIN_WIDTH * precision,
            log_width: BIN_WIDTH.ln() - log_scale,
        }),
    }
}

fn tanh(level: u8, mean: f64, log_scale: f64) -> f64 {
    let precision = (-log_scale).exp();
    let centered = level_value(level) - mean;
    let upper = approximate_cdf((centered + 1.0 / 255.0) * precision);
    let lower = approximate_cdf((centered - 1.0 / 255.0) * precision);
    let probability = match level {
        0 => upper,
        255 => 1.0 - lower,
        _ => upper - lower,
    };
    probability.max(TANH_FLOOR).ln()
}

fn approximate_cdf(u: f64) -> f64 {
    0.5 * (1.0 + ((2.0 * std::f64::consts::FRAC_1_PI).sqrt() * (u + 0.044715 * u.powi(3))).tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_found_again_also_after_rounding_to_f32() {
        for level in 0..=255 {
            assert_eq!(level_from_value(level_value(level)), Ok(level));
            assert_eq!(level_from_value(f64::from(level_value(level) as f32)), Ok(level));
            assert_eq!(level_from_value(f64::from(f32::from(level) / 127.5 - 1.0)), Ok(level));
        }
        for value in [1.1, -1.1, 0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5] {
            assert!(matches!(level_from_value(value), Err(ProbabilityError::NotALevel { .. })), "{value}");
        }
    }

    #[test]
    fn infinitely_sharp_and_infinitely_wide_decoders_have_limits() {
        let exact = |level, mean, log_scale| discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Exact);
        assert_eq!(exact(40, level_value(40), -1e4), 0.0);
        assert_eq!(exact(41, level_value(40), -1e4), f64::NEG_INFINITY);
        assert_eq!((exact(0, 0.3, 1e4), exact(255, 0.3, 1e4)), (0.5_f64.ln(), 0.5_f64.ln()));
        // The interval's share of a flat density: ln(2/255 / (sqrt(2π) scale)), with a scale beyond f64.
        assert!((exact(128, 0.3, 1e4) - (BIN_WIDTH.ln() - 0.918_938_533_204_672_8 - 1e4)).abs() < 1e-11);
    }
}
