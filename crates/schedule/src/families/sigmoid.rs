//! Sigmoid noise schedule: `sigmoid` in diffusers, first used by GeoDiff (Xu et al. 2022, arXiv:2203.02923).

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{BETA_END, BETA_START, STEPS, fractions, interpolate};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// Variance following a logistic curve: slow at both ends.
///
/// Not the schedule of Jabri et al. (2022, arXiv:2212.11972), whose `alpha_bar`, not beta, is a logistic curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sigmoid {
    /// Number of steps `T`.
    pub steps: usize,
    /// Variance at the curve's lower asymptote, in (0, 1); 1e-4 by default.
    pub beta_start: f64,
    /// Variance at the curve's upper asymptote, in (0, 1); 0.02 by default.
    pub beta_end: f64,
    /// How far the curve is followed to each side of its centre; 6 by default.
    pub range: f64,
}

impl Default for Sigmoid {
    fn default() -> Self {
        Self { steps: STEPS, beta_start: BETA_START, beta_end: BETA_END, range: 6.0 }
    }
}

impl Sigmoid {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = beta_start + (beta_end - beta_start) / (1 + exp(-u_t))`, `u_t` from `-range` to `range` in even steps;
    /// `u = -range` alone if `T = 1`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`], [`ScheduleError::TooManySteps`], or [`ScheduleError::InvalidParameter`] if the range is not
    /// a finite number.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::Sigmoid;
    ///
    /// let betas = Sigmoid { steps: 3, ..Sigmoid::default() }.betas()?;
    /// assert!((betas[1] - (1e-4 + 0.02) / 2.0).abs() < 1e-17);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        if !self.range.is_finite() {
            let (family, parameter, expected) = ("sigmoid", "range", "a finite number");
            return Err(ScheduleError::InvalidParameter { family, parameter, value: self.range, expected });
        }
        let logistic = |u: f64| 1.0 / (1.0 + (-u).exp());
        let betas = fractions(self.steps)
            .map(|fraction| logistic(interpolate(-self.range, self.range, fraction)))
            .map(|level| interpolate(self.beta_start, self.beta_end, level));
        Ok(betas.collect())
    }
}

family!(Sigmoid, Real beta_start, Real beta_end, Real range);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_symmetric_about_the_middle_variance() {
        let betas = Sigmoid { steps: 101, ..Sigmoid::default() }.betas().expect("valid parameters");
        let middle = (1e-4 + 0.02) / 2.0;
        assert!((betas[50] - middle).abs() < 1e-17);
        assert!((0..101).all(|index| (betas[index] + betas[100 - index] - 2.0 * middle).abs() < 1e-16));
        assert!(betas.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
