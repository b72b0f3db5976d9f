//! Constant noise schedule; `const` in the DDPM code.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::STEPS;
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// The same variance at every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Number of steps `T`.
    pub steps: usize,
    /// The variance, in (0, 1); 0.01 by default, which leaves as much signal after 1000 steps (4e-5) as the linear schedule.
    pub beta: f64,
}

impl Default for Constant {
    fn default() -> Self {
        Self { steps: STEPS, beta: 0.01 }
    }
}

impl Constant {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = beta`
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] or [`ScheduleError::TooManySteps`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::Constant;
    ///
    /// assert_eq!(Constant { steps: 3, beta: 0.1 }.betas()?, [0.1, 0.1, 0.1]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        Ok(vec![self.beta; self.steps])
    }
}

family!(Constant, Real beta);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    #[test]
    fn the_signal_decays_geometrically() {
        let schedule =
            NoiseSchedule::from_betas(Constant::default().betas().expect("defaults")).expect("a valid schedule");
        assert!((schedule.log_alpha_bar(1000) - 1000.0 * (-0.01_f64).ln_1p()).abs() < 1e-12);
    }
}
