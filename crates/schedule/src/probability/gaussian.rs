//! The univariate Gaussian `N(mean, variance)`.

use super::error::ProbabilityError;
use super::normal;
use super::stable::log_excess;

/// A Gaussian distribution of one real number, with finite mean and positive finite variance.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::Gaussian;
///
/// let x = Gaussian::new(1.0, 4.0)?;
/// assert_eq!((x.mean(), x.variance(), x.std_dev()), (1.0, 4.0, 2.0));
/// assert!(Gaussian::new(0.0, 0.0).is_err());
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian {
    mean: f64,
    variance: f64,
}

/// The product of two Gaussian densities: a Gaussian density times a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianProduct {
    /// The normalised product.
    pub gaussian: Gaussian,
    /// Logarithm of the constant, nats: of the integral of the product.
    pub log_scale: f64,
}

impl Gaussian {
    /// `N(0, 1)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// assert_eq!(Gaussian::new(0.0, 1.0), Ok(Gaussian::STANDARD));
    /// ```
    pub const STANDARD: Self = Self { mean: 0.0, variance: 1.0 };

    /// `N(mean, variance)`
    ///
    /// # Errors
    /// [`ProbabilityError::MeanNotFinite`] or [`ProbabilityError::VarianceOutOfRange`] (a variance of 0 is a point, which has
    /// no density).
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// assert!(Gaussian::new(0.0, 1e-300).is_ok());
    /// assert!(Gaussian::new(f64::NAN, 1.0).is_err() && Gaussian::new(0.0, -1.0).is_err());
    /// ```
    pub fn new(mean: f64, variance: f64) -> Result<Self, ProbabilityError> {
        if !mean.is_finite() {
            return Err(ProbabilityError::MeanNotFinite { mean });
        }
        check_variance(variance)?;
        Ok(Self { mean, variance })
    }

    /// Mean, in the units of the variable.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::Gaussian::STANDARD.mean(), 0.0);
    /// ```
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Variance, in squared units of the variable.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::Gaussian::STANDARD.variance(), 1.0);
    /// ```
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Standard deviation, `sqrt(variance)`, in the units of the variable.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::Gaussian::new(0.0, 9.0)?.std_dev(), 3.0);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn std_dev(&self) -> f64 {
        self.variance.sqrt()
    }

    /// Density `p(x)`, per unit of the variable.
    ///
    /// # Formula
    /// `p(x) = 1 / sqrt(2π σ²) exp(-(x - μ)² / (2σ²))`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let expected = 1.0 / (2.0 * std::f64::consts::PI * 4.0).sqrt() * (-0.5_f64).exp();
    /// assert!((Gaussian::new(1.0, 4.0)?.density(3.0) - expected).abs() < 1e-16);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn density(&self, x: f64) -> f64 {
        self.log_density(x).exp()
    }

    /// Logarithm of the density, nats.
    ///
    /// # Formula
    /// `ln p(x) = -(x - μ)² / (2σ²) - ½ ln(2π σ²)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// // Far out, where the density itself is 0 in f64.
    /// assert!((Gaussian::STANDARD.log_density(100.0) - -5000.918_938_533_205).abs() < 1e-11);
    /// ```
    pub fn log_density(&self, x: f64) -> f64 {
        normal::log_density(self.standardize(x)) - 0.5 * self.variance.ln()
    }

    /// Distribution function, the probability of values up to `x`.
    ///
    /// # Formula
    /// `P(X <= x) = Φ((x - μ) / σ)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// assert_eq!(Gaussian::new(2.0, 5.0)?.cdf(2.0), 0.5);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn cdf(&self, x: f64) -> f64 {
        normal::cdf(self.standardize(x))
    }

    /// Logarithm of the distribution function, nats, stable in both tails; see [`normal::log_cdf`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, normal};
    ///
    /// assert_eq!(Gaussian::new(0.0, 4.0)?.log_cdf(-200.0), normal::log_cdf(-100.0));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn log_cdf(&self, x: f64) -> f64 {
        normal::log_cdf(self.standardize(x))
    }

    /// Logarithm of the probability of values above `x`, nats, stable in both tails.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let x = Gaussian::new(1.0, 2.0)?;
    /// assert!((x.log_cdf(1.5).exp() + x.log_survival(1.5).exp() - 1.0).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn log_survival(&self, x: f64) -> f64 {
        normal::log_survival(self.standardize(x))
    }

    /// Logarithm of the probability of an interval, nats; see [`normal::log_cdf_difference`].
    ///
    /// # Formula
    /// `ln P(lower < X <= upper)`; NaN if `lower > upper`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let x = Gaussian::new(5.0, 4.0)?;
    /// assert!((x.log_interval(3.0, 7.0).exp() - 0.682_689_492_137_085_9).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn log_interval(&self, lower: f64, upper: f64) -> f64 {
        normal::log_cdf_difference(self.standardize(lower), self.standardize(upper))
    }

    /// Distribution of `scale X + shift`: the affine push-forward.
    ///
    /// # Formula
    /// `scale X + shift ~ N(scale μ + shift, scale² σ²)` (Bishop 2006, *Pattern Recognition and Machine Learning*, Section 2.3)
    ///
    /// # Errors
    /// [`ProbabilityError::VarianceOutOfRange`] if the scale is 0, or so extreme that the variance leaves f64;
    /// [`ProbabilityError::MeanNotFinite`] likewise.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// assert_eq!(Gaussian::new(1.0, 4.0)?.affine(-3.0, 5.0)?, Gaussian::new(2.0, 36.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn affine(&self, scale: f64, shift: f64) -> Result<Self, ProbabilityError> {
        Self::new(scale * self.mean + shift, scale * scale * self.variance)
    }

    /// Distribution of the sum of two independent Gaussians.
    ///
    /// # Formula
    /// `X + Y ~ N(μ_x + μ_y, σ_x² + σ_y²)`
    ///
    /// # Errors
    /// If mean or variance leave f64.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let sum = Gaussian::new(1.0, 4.0)?.sum(&Gaussian::new(2.0, 5.0)?)?;
    /// assert_eq!(sum, Gaussian::new(3.0, 9.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn sum(&self, independent: &Self) -> Result<Self, ProbabilityError> {
        Self::new(self.mean + independent.mean, self.variance + independent.variance)
    }

    /// Product of the two densities, as functions of the same variable.
    ///
    /// # Formula
    /// `N(x; μ_1, v_1) N(x; μ_2, v_2) = N(μ_1; μ_2, v_1 + v_2) N(x; μ, v)` with `v = v_1 v_2 / (v_1 + v_2)` and
    /// `μ = (v_2 μ_1 + v_1 μ_2) / (v_1 + v_2)` (Petersen & Pedersen 2012, *The Matrix Cookbook*, Section 8.1.8)
    ///
    /// # Errors
    /// If a variance leaves f64.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let (a, b) = (Gaussian::new(0.0, 1.0)?, Gaussian::new(3.0, 2.0)?);
    /// let product = a.product(&b)?;
    /// let expected = a.log_density(0.7) + b.log_density(0.7);
    /// assert!((product.log_scale + product.gaussian.log_density(0.7) - expected).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn product(&self, other: &Self) -> Result<GaussianProduct, ProbabilityError> {
        let spread = Self::new(other.mean, self.variance + other.variance)?;
        let weight = self.variance / spread.variance; // of the other's mean
        let mean = self.mean + weight * (other.mean - self.mean);
        let gaussian = Self::new(mean, weight * other.variance)?;
        Ok(GaussianProduct { gaussian, log_scale: spread.log_density(self.mean) })
    }

    /// Differential entropy, nats.
    ///
    /// # Formula
    /// `h(X) = ½ ln(2π e σ²)`; negative for small variances.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// assert!((Gaussian::STANDARD.entropy() - 1.418_938_533_204_672_7).abs() < 1e-15);
    /// ```
    pub fn entropy(&self) -> f64 {
        0.5 + normal::LN_SQRT_2PI + 0.5 * self.variance.ln()
    }

    /// Cross-entropy `E_p[-ln q(X)]` of this distribution `p` with a model `q`, nats.
    ///
    /// # Formula
    /// `H(p, q) = ½ ln(2π v_q) + (v_p + (μ_p - μ_q)²) / (2 v_q) = h(p) + KL(p ‖ q)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let (p, q) = (Gaussian::new(0.0, 1.0)?, Gaussian::new(1.0, 2.0)?);
    /// assert!((p.cross_entropy(&q) - p.entropy() - p.kl(&q)).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn cross_entropy(&self, model: &Self) -> f64 {
        let z = model.standardize(self.mean);
        normal::LN_SQRT_2PI + 0.5 * (model.variance.ln() + self.variance / model.variance + z * z)
    }

    /// Kullback-Leibler divergence `KL(p ‖ q)` from this distribution `p` to a model `q`, nats.
    ///
    /// Never negative, and 0 only for equal distributions (Gibbs' inequality); nearly equal ones lose no digits.
    ///
    /// # Formula
    /// `KL(p ‖ q) = ½ (v_p / v_q - 1 - ln(v_p / v_q) + (μ_p - μ_q)² / v_q)` (Kingma & Welling 2014, arXiv:1312.6114, Appendix B,
    /// for a standard normal `q`)
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Gaussian;
    ///
    /// let p = Gaussian::new(1.0, 1.0)?;
    /// assert_eq!((p.kl(&p), p.kl(&Gaussian::STANDARD)), (0.0, 0.5));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn kl(&self, model: &Self) -> f64 {
        let z = model.standardize(self.mean);
        0.5 * (variance_divergence(self.variance, model.variance) + z * z)
    }

    fn standardize(&self, x: f64) -> f64 {
        (x - self.mean) / self.std_dev()
    }
}

/// `v_p / v_q - 1 - ln(v_p / v_q)`: at least 0, and 0 only for equal variances.
pub(super) fn variance_divergence(variance: f64, model: f64) -> f64 {
    let excess = (variance - model) / model;
    // Far apart the quotient may leave f64, its logarithm does not.
    if excess.abs() < 0.5 { log_excess(excess) } else { excess - (variance.ln() - model.ln()) }
}

pub(super) fn check_variance(variance: f64) -> Result<(), ProbabilityError> {
    let valid = variance > 0.0 && variance.is_finite();
    if valid { Ok(()) } else { Err(ProbabilityError::VarianceOutOfRange { variance }) }
}
