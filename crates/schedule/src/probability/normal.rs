//! The standard normal distribution `N(0, 1)`, accurate in both tails.
//!
//! The error functions come from `libm` (the FreeBSD msun algorithms, below one unit in the last place and kept up by the Rust
//! project), which Rust programs link anyway; `statrs` would bring its own approximations and a crate of distributions.
//! `libm` underflows with `erfc` at `z = -38`; logarithms go on by a continued fraction.

use std::f64::consts::FRAC_1_SQRT_2;

use super::stable::log_one_minus_exp;

/// `ln sqrt(2π)`
pub(super) const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;
/// `2 / sqrt(π)`
const FRAC_2_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;
/// What [`FRAC_1_SQRT_2`] lacks of `1 / sqrt(2)`.
const FRAC_1_SQRT_2_REST: f64 = -4.833_646_656_726_457e-17;
/// Below this the logarithm of the distribution function is taken from the continued fraction.
const TAIL: f64 = -10.0;

/// Logarithm of the density `φ(z)`, nats.
///
/// # Formula
/// `ln φ(z) = -z²/2 - ln(2π)/2`, for any real `z`
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert!((normal::log_density(2.0).exp() - 0.053_990_966_513_188_06).abs() < 1e-16);
/// ```
pub fn log_density(z: f64) -> f64 {
    -0.5 * z * z - LN_SQRT_2PI
}

/// Distribution function `Φ(z)`, a probability.
///
/// # Formula
/// `Φ(z) = ½ erfc(-z / √2)` (Abramowitz & Stegun 7.1.2, 26.2.29), for any real `z`; relative error near 1e-15 down to 1e-300,
/// where the plain formula loses three digits to the rounding of `z / √2`.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert_eq!(normal::cdf(0.0), 0.5);
/// assert!((normal::cdf(-37.0) / 5.725_571_222_524_577e-300 - 1.0).abs() < 1e-14);
/// ```
pub fn cdf(z: f64) -> f64 {
    let x = -z * FRAC_1_SQRT_2;
    let uncorrected = libm::erfc(x);
    if !(1.0..30.0).contains(&x) {
        return 0.5 * uncorrected; // the slope is too small there, or the value zero
    }
    let rounding = (-z).mul_add(FRAC_1_SQRT_2, -x) - z * FRAC_1_SQRT_2_REST;
    0.5 * (uncorrected - rounding * FRAC_2_SQRT_PI * (-x * x).exp())
}

/// Probability of the upper tail, `1 - Φ(z) = Φ(-z)`, without cancellation for large `z`.
///
/// # Formula
/// `1 - Φ(z) = ½ erfc(z / √2)`, for any real `z`
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert!((normal::survival(10.0) / 7.619_853_024_160_527e-24 - 1.0).abs() < 1e-14);
/// ```
pub fn survival(z: f64) -> f64 {
    cdf(-z)
}

/// Logarithm of the distribution function, `ln Φ(z)`, nats: finite for all `z` down to -1e154, and accurate near 0 for large `z`.
///
/// # Formula
/// For `z < -10`, `ln φ(z) + ln R(-z)` with Mills' ratio `R(x) = 1/(x + 1/(x + 2/(x + 3/(x + ...))))` (Abramowitz & Stegun
/// 26.2.14); `ln Φ(z)` up to 0, and `ln(1 - Φ(-z))` by `ln_1p` above.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert!((normal::log_cdf(-40.0) - -804.608_442_013_754).abs() < 1e-11);
/// assert!((normal::log_cdf(10.0) / -7.619_853_024_160_527e-24 - 1.0).abs() < 1e-14);
/// ```
pub fn log_cdf(z: f64) -> f64 {
    if z >= 0.0 {
        (-cdf(-z)).ln_1p()
    } else if z >= TAIL {
        cdf(z).ln()
    } else {
        log_density(z) + mills_ratio(-z).ln()
    }
}

/// Logarithm of the upper tail, `ln(1 - Φ(z)) = ln Φ(-z)`, nats; see [`log_cdf`].
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert_eq!(normal::log_survival(3.0), normal::log_cdf(-3.0));
/// ```
pub fn log_survival(z: f64) -> f64 {
    log_cdf(-z)
}

/// Logarithm of the probability between `a` and `b`, `ln(Φ(b) - Φ(a))`, nats.
///
/// Keeps its digits where the difference of the two probabilities has none: in narrow intervals (`b - a` of 1e-12 or less) and
/// far out in a tail. Infinite ends are allowed. Negative infinity for `a = b`, and NaN for `a > b`.
///
/// # Formula
/// Narrow intervals, about their midpoint `m`, of width `w`: `φ(m) w Σ_k He_{2k}(m) (w/2)^{2k} / (2k + 1)!`, the integral of
/// the Taylor series of `φ` (`He` are the probabilists' Hermite polynomials; Abramowitz & Stegun, Section 26.2). Otherwise
/// `ln Φ(b) + ln(1 - Φ(a) / Φ(b))` on the side where the tails are small.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::normal;
///
/// assert!((normal::log_cdf_difference(-1.0, 1.0).exp() - 0.682_689_492_137_085_9).abs() < 1e-15);
/// // The upper end of this interval, and the probability, are beyond the range of Φ itself.
/// assert!((normal::log_cdf_difference(40.0, 41.0) - normal::log_survival(40.0)).abs() < 1e-15);
/// ```
pub fn log_cdf_difference(a: f64, b: f64) -> f64 {
    if a == b {
        return f64::NEG_INFINITY;
    }
    if a > b {
        return f64::NAN;
    }
    let width = b - a;
    log_interval(Interval { lower: a, upper: b, middle: a + 0.5 * width, width, log_width: width.ln() })
}

/// An interval whose middle and width may be known better than the difference of its ends tells.
#[derive(Clone, Copy)]
pub(super) struct Interval {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) middle: f64,
    pub(super) width: f64,
    pub(super) log_width: f64,
}

/// `ln(Φ(upper) - Φ(lower))`
pub(super) fn log_interval(interval: Interval) -> f64 {
    let Interval { lower, upper, middle, width, log_width } = interval;
    if width * middle.abs().max(1.0) <= 1.0 {
        log_density(middle) + log_width + narrow_correction(middle, 0.5 * width).ln()
    } else if upper <= 0.0 {
        log_left(lower, upper)
    } else if lower >= 0.0 {
        log_left(-upper, -lower)
    } else {
        (-(cdf(lower) + cdf(-upper))).ln_1p()
    }
}

/// `ln(Φ(b) - Φ(a))` for `a <= b <= 0` with `Φ(a)` well below `Φ(b)`.
fn log_left(a: f64, b: f64) -> f64 {
    let log_upper = log_cdf(b);
    if log_upper == f64::NEG_INFINITY { log_upper } else { log_upper + log_one_minus_exp(log_cdf(a) - log_upper) }
}

/// `Σ_k He_{2k}(m) h^{2k} / (2k + 1)!`, the mean of `φ` over `m ± h` relative to `φ(m)`.
///
/// The recurrence `He_{n+1} = m He_n - n He_{n-1}` is run on `He_n h^n`, which stays of order 1 for `h max(1, |m|) <= 1/2`; then
/// the term of order 20 is below 1e-25.
fn narrow_correction(m: f64, h: f64) -> f64 {
    let (mh, h_squared) = (m * h, h * h);
    let (mut previous, mut current, mut factorial, mut sum) = (1.0, mh, 1.0, 1.0);
    for n in 1..20 {
        (previous, current) = (current, mh * current - n as f64 * h_squared * previous);
        let order = n + 1;
        factorial *= order as f64;
        if order % 2 == 0 {
            sum += current / (factorial * (order + 1) as f64);
        }
    }
    sum
}

/// `(1 - Φ(x)) / φ(x)` for `x >= 10`.
fn mills_ratio(x: f64) -> f64 {
    // At x = 10 the 40th convergent agrees with the limit to the last bit; larger x need fewer.
    1.0 / (1..=40).rev().fold(x, |rest, k| x + k as f64 / rest)
}
