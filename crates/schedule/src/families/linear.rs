//! Linear noise schedule: Ho et al. (2020), arXiv:2006.11239, Section 4; rescaling of Nichol & Dhariwal (2021), arXiv:2102.09672.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{BETA_END, BETA_START, STEPS, fractions, interpolate};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// Variance growing linearly from `beta_start` to `beta_end`. The default is DDPM's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// Number of steps `T`.
    pub steps: usize,
    /// `beta_1`, in (0, 1); DDPM's 1e-4 by default.
    pub beta_start: f64,
    /// `beta_T`, in (0, 1); DDPM's 0.02 by default.
    pub beta_end: f64,
    /// Whether to multiply both ends by `1000 / T`, so that `alpha_bar_T` hardly depends on `T` (improved-diffusion does;
    /// DDPM and diffusers do not). With the default ends this needs more than 20 steps.
    pub rescale: bool,
}

impl Default for Linear {
    fn default() -> Self {
        Self { steps: STEPS, beta_start: BETA_START, beta_end: BETA_END, rescale: false }
    }
}

impl Linear {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = k (beta_start + (beta_end - beta_start) (t - 1) / (T - 1))`, `k = 1000 / T` with `rescale` and 1 without;
    /// `beta_start` alone if `T = 1`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] or [`ScheduleError::TooManySteps`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::Linear;
    ///
    /// let betas = Linear { steps: 2000, rescale: true, ..Linear::default() }.betas()?;
    /// assert_eq!((betas[0], betas[1999]), (0.5e-4, 0.01));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        let factor = if self.rescale { 1000.0 / self.steps as f64 } else { 1.0 };
        let (start, end) = (factor * self.beta_start, factor * self.beta_end);
        Ok(fractions(self.steps).map(|fraction| interpolate(start, end, fraction)).collect())
    }
}

family!(Linear, Real beta_start, Real beta_end, Flag rescale);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact_and_the_steps_even() {
        let betas = Linear::default().betas().expect("default parameters");
        assert_eq!((betas.len(), betas[0], betas[999]), (1000, 1e-4, 0.02));
        let stride = 0.0199 / 999.0;
        assert!(betas.windows(2).all(|pair| (pair[1] - pair[0] - stride).abs() < 1e-17));
    }

    #[test]
    fn rescaling_multiplies_by_a_thousand_over_the_steps() {
        let betas = Linear { steps: 4000, rescale: true, ..Linear::default() }.betas().expect("valid parameters");
        assert!((betas[0] - 2.5e-5).abs() < 1e-20 && (betas[3999] - 0.005).abs() < 1e-18);
    }
}
