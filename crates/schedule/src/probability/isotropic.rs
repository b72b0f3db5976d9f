//! The multivariate Gaussian with the same variance in every direction, `N(mean, variance I)`: the noise of diffusion models.

use super::error::ProbabilityError;
use super::gaussian::{Gaussian, check_variance, variance_divergence};
use super::normal::LN_SQRT_2PI;

/// A Gaussian distribution of a vector with covariance `variance I`: independent coordinates of equal variance.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::IsotropicGaussian;
///
/// let x = IsotropicGaussian::new(vec![1.0, -1.0], 0.25)?;
/// assert_eq!((x.dimensions(), x.mean(), x.variance()), (2, &[1.0, -1.0][..], 0.25));
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IsotropicGaussian {
    mean: Vec<f64>,
    variance: f64,
}

impl IsotropicGaussian {
    /// `N(mean, variance I)`
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`], [`ProbabilityError::MeanNotFinite`] or [`ProbabilityError::VarianceOutOfRange`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// assert!(IsotropicGaussian::new(vec![], 1.0).is_err());
    /// ```
    pub fn new(mean: Vec<f64>, variance: f64) -> Result<Self, ProbabilityError> {
        if mean.is_empty() {
            return Err(ProbabilityError::Empty { what: "dimension" });
        }
        if let Some(&mean) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(ProbabilityError::MeanNotFinite { mean });
        }
        check_variance(variance)?;
        Ok(Self { mean, variance })
    }

    /// `N(0, I)` in the given number of dimensions: the prior of diffusion models.
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`] for 0 dimensions.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// assert_eq!(IsotropicGaussian::standard(3)?.mean(), [0.0, 0.0, 0.0]);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn standard(dimensions: usize) -> Result<Self, ProbabilityError> {
        Self::new(vec![0.0; dimensions], 1.0)
    }

    /// Number of coordinates, at least 1.
    ///
    /// # Examples
    /// ```
    /// # use sfumato_schedule::probability::IsotropicGaussian;
    /// assert_eq!(IsotropicGaussian::standard(784)?.dimensions(), 784);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn dimensions(&self) -> usize {
        self.mean.len()
    }

    /// Mean of each coordinate.
    ///
    /// # Examples
    /// ```
    /// # use sfumato_schedule::probability::IsotropicGaussian;
    /// assert_eq!(IsotropicGaussian::new(vec![0.5, 2.0], 1.0)?.mean()[1], 2.0);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Variance of every coordinate.
    ///
    /// # Examples
    /// ```
    /// # use sfumato_schedule::probability::IsotropicGaussian;
    /// assert_eq!(IsotropicGaussian::standard(2)?.variance(), 1.0);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Distribution of one coordinate, counted from 0: all others marginalised, or given (they are independent).
    ///
    /// `None` past the last coordinate.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, IsotropicGaussian};
    ///
    /// let x = IsotropicGaussian::new(vec![0.5, 2.0], 3.0)?;
    /// assert_eq!(x.coordinate(1), Some(Gaussian::new(2.0, 3.0)?));
    /// assert_eq!(x.coordinate(2), None);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn coordinate(&self, index: usize) -> Option<Gaussian> {
        let mean = *self.mean.get(index)?;
        Some(Gaussian::new(mean, self.variance).expect("mean and variance were checked on construction"))
    }

    /// Logarithm of the density at a vector, nats.
    ///
    /// # Formula
    /// `ln p(x) = -‖x - μ‖² / (2σ²) - d/2 ln(2π σ²)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for a vector of another length.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, IsotropicGaussian};
    ///
    /// let x = IsotropicGaussian::standard(2)?;
    /// let expected = Gaussian::STANDARD.log_density(1.0) + Gaussian::STANDARD.log_density(-2.0);
    /// assert!((x.log_density(&[1.0, -2.0])? - expected).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn log_density(&self, x: &[f64]) -> Result<f64, ProbabilityError> {
        let squares = self.scaled_squared_distance(x)?;
        Ok(-0.5 * squares - self.dimensions() as f64 * (LN_SQRT_2PI + 0.5 * self.variance.ln()))
    }

    /// Density at a vector, per unit of volume; 0 or infinite where f64 ends, unlike [`log_density`](Self::log_density).
    ///
    /// # Formula
    /// `p(x) = (2π σ²)^{-d/2} exp(-‖x - μ‖² / (2σ²))`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for a vector of another length.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let density = IsotropicGaussian::standard(2)?.density(&[0.0, 0.0])?;
    /// assert!((density - 0.5 * std::f64::consts::FRAC_1_PI).abs() < 1e-16);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn density(&self, x: &[f64]) -> Result<f64, ProbabilityError> {
        self.log_density(x).map(f64::exp)
    }

    /// Distribution of `scale X + shift`.
    ///
    /// # Formula
    /// `scale X + shift ~ N(scale μ + shift, scale² σ² I)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for a shift of another length; as [`Gaussian::affine`] otherwise.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let x = IsotropicGaussian::standard(2)?.affine(2.0, &[1.0, -1.0])?;
    /// assert_eq!(x, IsotropicGaussian::new(vec![1.0, -1.0], 4.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn affine(&self, scale: f64, shift: &[f64]) -> Result<Self, ProbabilityError> {
        self.check_size(shift.len())?;
        let mean = self.mean.iter().zip(shift).map(|(mean, shift)| scale * mean + shift).collect();
        Self::new(mean, scale * scale * self.variance)
    }

    /// Distribution of the sum of two independent vectors.
    ///
    /// # Formula
    /// `X + Y ~ N(μ_x + μ_y, (σ_x² + σ_y²) I)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different dimensions; as [`Gaussian::sum`] otherwise.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let x = IsotropicGaussian::new(vec![1.0, 2.0], 3.0)?;
    /// assert_eq!(x.sum(&IsotropicGaussian::standard(2)?)?, IsotropicGaussian::new(vec![1.0, 2.0], 4.0)?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn sum(&self, independent: &Self) -> Result<Self, ProbabilityError> {
        self.check_size(independent.dimensions())?;
        let mean = self.mean.iter().zip(&independent.mean).map(|(a, b)| a + b).collect();
        Self::new(mean, self.variance + independent.variance)
    }

    /// Product of the two densities: the normalised Gaussian, and the logarithm of the constant in front of it, nats.
    ///
    /// # Formula
    /// As [`Gaussian::product`] in each coordinate; the logarithms of the constants add up.
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different dimensions; as [`Gaussian::product`] otherwise.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let (a, b) = (IsotropicGaussian::standard(2)?, IsotropicGaussian::new(vec![1.0, 3.0], 2.0)?);
    /// let (product, log_scale) = a.product(&b)?;
    /// let x = [0.3, -0.8];
    /// let expected = a.log_density(&x)? + b.log_density(&x)?;
    /// assert!((log_scale + product.log_density(&x)? - expected).abs() < 1e-14);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn product(&self, other: &Self) -> Result<(Self, f64), ProbabilityError> {
        self.check_size(other.dimensions())?;
        let spread = Self::new(other.mean.clone(), self.variance + other.variance)?;
        let weight = self.variance / spread.variance; // of the other's mean
        let mean = self.mean.iter().zip(&other.mean).map(|(a, b)| a + weight * (b - a)).collect();
        Ok((Self::new(mean, weight * other.variance)?, spread.log_density(&self.mean)?))
    }

    /// Differential entropy of the vector, nats.
    ///
    /// # Formula
    /// `h(X) = d/2 ln(2π e σ²)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Gaussian, IsotropicGaussian};
    ///
    /// assert_eq!(IsotropicGaussian::standard(2)?.entropy(), 2.0 * Gaussian::STANDARD.entropy());
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn entropy(&self) -> f64 {
        self.dimensions() as f64 * (0.5 + LN_SQRT_2PI + 0.5 * self.variance.ln())
    }

    /// Cross-entropy `E_p[-ln q(X)]` of this distribution `p` with a model `q`, nats.
    ///
    /// # Formula
    /// `H(p, q) = d/2 ln(2π v_q) + (d v_p + ‖μ_p - μ_q‖²) / (2 v_q) = h(p) + KL(p ‖ q)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different dimensions.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let (p, q) = (IsotropicGaussian::standard(2)?, IsotropicGaussian::new(vec![1.0, 3.0], 2.0)?);
    /// assert!((p.cross_entropy(&q)? - p.entropy() - p.kl(&q)?).abs() < 1e-14);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn cross_entropy(&self, model: &Self) -> Result<f64, ProbabilityError> {
        let squares = model.scaled_squared_distance(&self.mean)?;
        let per_dimension = LN_SQRT_2PI + 0.5 * (model.variance.ln() + self.variance / model.variance);
        Ok(self.dimensions() as f64 * per_dimension + 0.5 * squares)
    }

    /// Kullback-Leibler divergence `KL(p ‖ q)` from this distribution `p` to a model `q`, nats; at least 0, and 0 only for equal
    /// distributions.
    ///
    /// # Formula
    /// `KL(p ‖ q) = ½ (d (v_p / v_q - 1 - ln(v_p / v_q)) + ‖μ_p - μ_q‖² / v_q)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different dimensions.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::IsotropicGaussian;
    ///
    /// let p = IsotropicGaussian::new(vec![3.0, 4.0], 1.0)?;
    /// assert_eq!(p.kl(&IsotropicGaussian::standard(2)?)?, 12.5);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn kl(&self, model: &Self) -> Result<f64, ProbabilityError> {
        let squares = model.scaled_squared_distance(&self.mean)?;
        let per_dimension = variance_divergence(self.variance, model.variance);
        Ok(0.5 * (self.dimensions() as f64 * per_dimension + squares))
    }

    /// `‖x - μ‖² / σ²`
    fn scaled_squared_distance(&self, x: &[f64]) -> Result<f64, ProbabilityError> {
        self.check_size(x.len())?;
        let std_dev = self.variance.sqrt();
        Ok(self.mean.iter().zip(x).map(|(mean, x)| ((x - mean) / std_dev).powi(2)).sum())
    }

    fn check_size(&self, got: usize) -> Result<(), ProbabilityError> {
        let expected = self.dimensions();
        if got == expected { Ok(()) } else { Err(ProbabilityError::SizeMismatch { what: "dimensions", expected, got }) }
    }
}
