//! The schedule `1 / (T - t + 1)`: Sohl-Dickstein et al. (2015), arXiv:1503.03585, Section 2.4.1; `jsd` in the DDPM code.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{MAX_BETA, STEPS};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// Erases the same share of the signal power at every step: `alpha_bar_t = 1 - t / T`.
///
/// The formula's last variance is 1, which leaves no signal at all; it becomes `max_beta`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JensenShannon {
    /// Number of steps `T`.
    pub steps: usize,
    /// Upper limit for `beta_t`, in (0, 1); 0.999 by default, which changes the last step only.
    pub max_beta: f64,
}

impl Default for JensenShannon {
    fn default() -> Self {
        Self { steps: STEPS, max_beta: MAX_BETA }
    }
}

impl JensenShannon {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = min(1 / (T - t + 1), max_beta)`
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`], [`ScheduleError::TooManySteps`] or [`ScheduleError::InvalidParameter`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::JensenShannon;
    ///
    /// let betas = JensenShannon { steps: 3, ..JensenShannon::default() }.betas()?;
    /// assert_eq!(betas, [1.0 / 3.0, 1.0 / 2.0, 0.999]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        if !(self.max_beta > 0.0 && self.max_beta < 1.0) {
            let (family, parameter) = ("jensen-shannon", "max_beta");
            let expected = "a number strictly between 0 and 1";
            return Err(ScheduleError::InvalidParameter { family, parameter, value: self.max_beta, expected });
        }
        Ok((1..=self.steps).rev().map(|steps_left| (1.0 / steps_left as f64).min(self.max_beta)).collect())
    }
}

family!(JensenShannon, Real max_beta);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    #[test]
    fn the_signal_power_falls_on_a_line() {
        let betas = JensenShannon::default().betas().expect("defaults");
        assert_eq!((betas[998], betas[999]), (0.5, 0.999));
        let schedule = NoiseSchedule::from_betas(betas).expect("a valid schedule");
        for t in 1..1000 {
            assert!((schedule.alpha_bar(t) - (1.0 - t as f64 / 1000.0)).abs() < 1e-14, "t = {t}");
        }
    }
}
