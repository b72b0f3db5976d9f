//! A Gaussian variable seen through a linear map and Gaussian noise: marginalisation and Bayes' rule for densities.
//!
//! One step of a diffusion chain is such a pair, with `z = x_{t-1}` and `x = x_t`; its [`posterior`](LinearGaussian::posterior) is
//! the `q(x_{t-1} | x_t, x_0)` of DDPM.

use super::error::ProbabilityError;
use super::gaussian::{Gaussian, check_variance};

/// The pair `z ~ prior`, `x | z ~ N(gain z + offset, noise_variance)`; Bishop (2006), *Pattern Recognition and Machine
/// Learning*, Section 2.3.3.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
///
/// // z ~ N(0, 1) and x | z ~ N(μ + α z, σ²) give x ~ N(μ, σ² + α²) and
/// // z | x ~ N(α (x - μ) / (σ² + α²), σ² / (σ² + α²)).
/// let (mu, alpha, sigma) = (1.0, 2.0, 0.5);
/// let pair = LinearGaussian::new(Gaussian::STANDARD, alpha, mu, sigma * sigma)?;
/// assert_eq!(pair.marginal(), Gaussian::new(1.0, 4.25)?);
/// let posterior = pair.posterior(3.0)?;
/// assert!((posterior.mean() - 2.0 * (3.0 - 1.0) / 4.25).abs() < 1e-15);
/// assert!((posterior.variance() - 0.25 / 4.25).abs() < 1e-15);
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearGaussian {
    prior: Gaussian,
    gain: f64,
    offset: f64,
    noise_variance: f64,
    marginal: Gaussian,
}

impl LinearGaussian {
    /// The pair `z ~ prior`, `x | z ~ N(gain z + offset, noise_variance)`. A gain of 0 makes `x` and `z` independent.
    ///
    /// # Errors
    /// [`ProbabilityError::VarianceOutOfRange`] or [`ProbabilityError::MeanNotFinite`], also where the marginal or the
    /// posterior would leave f64.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// assert!(LinearGaussian::new(Gaussian::STANDARD, 1.0, 0.0, 0.0).is_err());
    /// ```
    pub fn new(prior: Gaussian, gain: f64, offset: f64, noise_variance: f64) -> Result<Self, ProbabilityError> {
        check_variance(noise_variance)?;
        let explained = gain * gain * prior.variance();
        let marginal = Gaussian::new(gain * prior.mean() + offset, explained + noise_variance)?;
        check_variance(prior.variance() * (noise_variance / marginal.variance()))?;
        Ok(Self { prior, gain, offset, noise_variance, marginal })
    }

    /// Distribution of `x` alone, `∫ p(x | z) p(z) dz`.
    ///
    /// # Formula
    /// `x ~ N(gain m + offset, noise_variance + gain² v)` for `z ~ N(m, v)` (Bishop 2006, Eq. 2.115)
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// let pair = LinearGaussian::new(Gaussian::new(1.0, 2.0)?, 3.0, 4.0, 5.0)?;
    /// assert_eq!(pair.marginal(), Gaussian::new(7.0, 23.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn marginal(&self) -> Gaussian {
        self.marginal
    }

    /// Distribution of `x` given `z`, the likelihood.
    ///
    /// # Formula
    /// `x | z ~ N(gain z + offset, noise_variance)`
    ///
    /// # Errors
    /// [`ProbabilityError::MeanNotFinite`] for a `z` that is not finite, or too large.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// let pair = LinearGaussian::new(Gaussian::STANDARD, 3.0, 4.0, 5.0)?;
    /// assert_eq!(pair.conditional(2.0)?, Gaussian::new(10.0, 5.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn conditional(&self, z: f64) -> Result<Gaussian, ProbabilityError> {
        Gaussian::new(self.gain * z + self.offset, self.noise_variance)
    }

    /// Distribution of `z` given `x`, by Bayes' rule `p(z | x) = p(x | z) p(z) / p(x)`.
    ///
    /// # Formula
    /// `z | x ~ N(m + gain v (x - gain m - offset) / (noise_variance + gain² v), v noise_variance / (noise_variance + gain² v))`
    /// for `z ~ N(m, v)` (Bishop 2006, Eq. 2.116)
    ///
    /// # Errors
    /// [`ProbabilityError::MeanNotFinite`] for an `x` that is not finite, or too large.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// let pair = LinearGaussian::new(Gaussian::STANDARD, 1.0, 0.0, 1.0)?;
    /// assert_eq!(pair.posterior(3.0)?, Gaussian::new(1.5, 0.5)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn posterior(&self, x: f64) -> Result<Gaussian, ProbabilityError> {
        let slope = self.gain * (self.prior.variance() / self.marginal.variance());
        let keep = self.noise_variance / self.marginal.variance();
        // keep m + slope (x - offset): for v -> ∞ the prior's mean drops out instead of cancelling.
        let mean = keep * self.prior.mean() + slope * (x - self.offset);
        Gaussian::new(mean, keep * self.prior.variance())
    }

    /// Covariance of `z` and `x`.
    ///
    /// # Formula
    /// `cov(z, x) = gain v` for `z ~ N(m, v)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// assert_eq!(LinearGaussian::new(Gaussian::new(0.0, 2.0)?, 3.0, 0.0, 1.0)?.covariance(), 6.0);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn covariance(&self) -> f64 {
        self.gain * self.prior.variance()
    }

    /// Logarithm of the joint density, nats.
    ///
    /// # Formula
    /// `ln p(z, x) = ln p(z) + ln p(x | z)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, LinearGaussian};
    ///
    /// let pair = LinearGaussian::new(Gaussian::STANDARD, 2.0, 0.5, 3.0)?;
    /// let backwards = pair.marginal().log_density(1.0) + pair.posterior(1.0)?.log_density(-0.3);
    /// assert!((pair.joint_log_density(-0.3, 1.0) - backwards).abs() < 1e-14);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn joint_log_density(&self, z: f64, x: f64) -> f64 {
        // The likelihood at z, shifted to 0 so that any z will do.
        let residual = x - self.gain * z - self.offset;
        let noise = Gaussian::new(0.0, self.noise_variance).expect("the noise variance was checked on construction");
        self.prior.log_density(z) + noise.log_density(residual)
    }
}
