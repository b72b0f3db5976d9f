//! A Gaussian with any covariance, kept in its principal axes: in these, noise and its removal act on each coordinate alone.

use super::{DataError, spectrum::eigen};

/// How far apart, relative to the larger variance, two entries of a covariance may be that should be equal.
const SYMMETRY: f64 = 1e-12;

/// Gaussian data `x_0 ~ N(mean, covariance)` in `d` dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianData {
    mean: Vec<f64>,
    /// Orthonormal, one a row, row-major; `None` for the coordinate axes.
    axes: Option<Vec<f64>>,
    /// Variance along each axis, positive.
    spread: Vec<f64>,
}

impl GaussianData {
    /// `N(mean, variance I)`.
    ///
    /// # Errors
    /// [`DataError`] if the mean is empty or not finite, or the variance is not positive and finite.
    pub fn isotropic(mean: Vec<f64>, variance: f64) -> Result<Self, DataError> {
        let variances = vec![variance; mean.len()];
        Self::diagonal(mean, variances)
    }

    /// `N(mean, diag(variances))`.
    ///
    /// # Errors
    /// [`DataError`] if the mean is empty or not finite, the lengths differ, or a variance is not positive and finite.
    pub fn diagonal(mean: Vec<f64>, variances: Vec<f64>) -> Result<Self, DataError> {
        Self { mean, axes: None, spread: variances }.checked()
    }

    /// `N(mean, covariance)`, the covariance row by row.
    ///
    /// # Errors
    /// [`DataError`] if the mean is empty or not finite, or the covariance is not a symmetric positive definite matrix of
    /// that dimension.
    ///
    /// # Examples
    /// ```
    /// use sfumato_process::oracle::GaussianData;
    ///
    /// let data = GaussianData::full(vec![0.0, 1.0], &[2.0, 1.0, 1.0, 2.0])?;
    /// let mut variances = data.spread().to_vec();
    /// variances.sort_by(f64::total_cmp);
    /// assert!((variances[0] - 1.0).abs() < 1e-15 && (variances[1] - 3.0).abs() < 1e-15);
    /// # Ok::<(), sfumato_process::oracle::DataError>(())
    /// ```
    pub fn full(mean: Vec<f64>, covariance: &[f64]) -> Result<Self, DataError> {
        let n = mean.len();
        if covariance.len() != n * n {
            return Err(DataError::Length { expected: n * n, found: covariance.len() });
        }
        for (axis, &variance) in covariance.iter().step_by(n + 1).enumerate() {
            check_variance(axis, variance)?;
        }
        for (row, column) in (0..n).flat_map(|row| (0..row).map(move |column| (row, column))) {
            let (a, b) = (covariance[row * n + column], covariance[column * n + row]);
            let scale = covariance[row * n + row].max(covariance[column * n + column]);
            // Not `>` for the opposite: a NaN is not symmetric either.
            let symmetric = (a - b).abs() <= SYMMETRY * scale;
            if !symmetric {
                return Err(DataError::NotSymmetric { row, column });
            }
        }
        let (spread, axes) = eigen(covariance.to_vec(), n);
        Self { mean, axes: Some(axes), spread }.checked()
    }

    /// The same axes with other means and variances, known to be valid.
    pub(super) fn with(&self, mean: Vec<f64>, spread: Vec<f64>) -> Self {
        Self { mean, axes: self.axes.clone(), spread }
    }

    fn checked(self) -> Result<Self, DataError> {
        if self.mean.is_empty() {
            return Err(DataError::NoDimensions);
        }
        if let Some(index) = self.mean.iter().position(|value| !value.is_finite()) {
            return Err(DataError::MeanNotFinite { index, value: self.mean[index] });
        }
        if self.spread.len() != self.mean.len() {
            return Err(DataError::Length { expected: self.mean.len(), found: self.spread.len() });
        }
        self.spread.iter().enumerate().try_for_each(|(axis, &variance)| check_variance(axis, variance))?;
        Ok(self)
    }

    /// `d`.
    pub fn dimensions(&self) -> usize {
        self.mean.len()
    }

    /// The mean.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The variances along the principal axes, in no particular order.
    pub fn spread(&self) -> &[f64] {
        &self.spread
    }

    /// Coordinate of `x - origin` along principal axis `j`.
    pub(super) fn project(&self, j: usize, mut x: impl Iterator<Item = f64>) -> f64 {
        match &self.axes {
            None => x.nth(j).expect("there is an axis for each coordinate"),
            Some(axes) => {
                let n = self.dimensions();
                axes[j * n..(j + 1) * n].iter().zip(x).map(|(axis, x)| axis * x).sum()
            }
        }
    }

    /// Adds `amount` times principal axis `j` to `x`.
    pub(super) fn add_along(&self, j: usize, amount: f64, x: &mut [f64]) {
        match &self.axes {
            None => x[j] += amount,
            Some(axes) => {
                let n = self.dimensions();
                x.iter_mut().zip(&axes[j * n..(j + 1) * n]).for_each(|(x, axis)| *x += amount * axis);
            }
        }
    }
}

fn check_variance(axis: usize, variance: f64) -> Result<(), DataError> {
    if variance.is_finite() && variance > 0.0 { Ok(()) } else { Err(DataError::VarianceOutOfRange { axis, variance }) }
}
