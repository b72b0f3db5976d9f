//! Quadratic noise schedule: very little noise early, more near the end.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{BETA_END, BETA_START, STEPS, fractions, interpolate};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// Variance growing with the square of the step. [`ScaledLinear`](super::ScaledLinear) is the other schedule called quadratic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quadratic {
    /// Number of steps `T`.
    pub steps: usize,
    /// `beta_1`, in (0, 1); 1e-4 by default.
    pub beta_start: f64,
    /// `beta_T`, in (0, 1); 0.02 by default.
    pub beta_end: f64,
}

impl Default for Quadratic {
    fn default() -> Self {
        Self { steps: STEPS, beta_start: BETA_START, beta_end: BETA_END }
    }
}

impl Quadratic {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = beta_start + (beta_end - beta_start) ((t - 1) / (T - 1))²`; `beta_start` alone if `T = 1`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] or [`ScheduleError::TooManySteps`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::Quadratic;
    ///
    /// let betas = Quadratic { steps: 3, beta_start: 0.1, beta_end: 0.5 }.betas()?;
    /// assert_eq!(betas, [0.1, 0.2, 0.5]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        let betas = fractions(self.steps).map(|fraction| interpolate(self.beta_start, self.beta_end, fraction.powi(2)));
        Ok(betas.collect())
    }
}

family!(Quadratic, Real beta_start, Real beta_end);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_way_the_variance_has_risen_by_a_quarter() {
        let betas = Quadratic { steps: 3, beta_start: 0.1, beta_end: 0.5 }.betas().expect("valid parameters");
        assert_eq!(betas, [0.1, 0.2, 0.5]);
    }
}
