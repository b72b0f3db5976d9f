//! Scaled-linear noise schedule: linear in the standard deviation; `quad` in the DDPM code, `scaled_linear` in diffusers.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{BETA_END, BETA_START, STEPS, fractions, interpolate};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// Standard deviation `sqrt(beta)` growing linearly. Latent diffusion uses it with 0.00085 and 0.012.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaledLinear {
    /// Number of steps `T`.
    pub steps: usize,
    /// `beta_1`, in (0, 1); 1e-4 by default.
    pub beta_start: f64,
    /// `beta_T`, in (0, 1); 0.02 by default.
    pub beta_end: f64,
}

impl Default for ScaledLinear {
    fn default() -> Self {
        Self { steps: STEPS, beta_start: BETA_START, beta_end: BETA_END }
    }
}

impl ScaledLinear {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = (sqrt(beta_start) + (sqrt(beta_end) - sqrt(beta_start)) (t - 1) / (T - 1))²`; `beta_start` alone if `T = 1`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] or [`ScheduleError::TooManySteps`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ScaledLinear;
    ///
    /// let betas = ScaledLinear { beta_start: 0.00085, beta_end: 0.012, ..ScaledLinear::default() }.betas()?;
    /// assert!((betas[0] - 0.00085).abs() < 1e-18 && (betas[999] - 0.012).abs() < 1e-16);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        let (start, end) = (self.beta_start.sqrt(), self.beta_end.sqrt());
        Ok(fractions(self.steps).map(|fraction| interpolate(start, end, fraction).powi(2)).collect())
    }
}

family!(ScaledLinear, Real beta_start, Real beta_end);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_deviation_is_linear() {
        let betas = ScaledLinear { steps: 3, beta_start: 0.01, beta_end: 0.09 }.betas().expect("valid parameters");
        for (beta, expected) in betas.iter().zip([0.01, 0.04, 0.09]) {
            assert!((beta - expected).abs() < 1e-17);
        }
    }
}
