//! Log SNR falling linearly: the fixed schedule of Kingma et al. (2021), arXiv:2107.00630, Appendix.

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{STEPS, fractions, interpolate};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// The same fall of log SNR in every step, so that a network sees every noise level as often as any other.
///
/// The bound in continuous time is the mean squared error of the noise over log SNR. Along this schedule it weighs every step alike, which
/// makes `L_simple` the bound up to a factor. [`Linear`](super::Linear) has 4 % of its steps where log SNR is above 4; this one has 27 % of
/// them there, where most bits of pictures are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearLogSnr {
    /// Number of steps `T`.
    pub steps: usize,
    /// Log SNR after the first step, in nats; 9.21 by default, that of DDPM's first step.
    pub log_snr_first: f64,
    /// Log SNR after the last step, in nats, less than the first; -10 by default, about that of DDPM's last step.
    pub log_snr_last: f64,
}

impl Default for LinearLogSnr {
    fn default() -> Self {
        Self { steps: STEPS, log_snr_first: 9.21, log_snr_last: -10.0 }
    }
}

impl LinearLogSnr {
    /// The variances.
    ///
    /// # Formula
    /// `λ_t = λ_1 + (λ_T - λ_1) (t - 1) / (T - 1)`, `alpha_bar_t = 1 / (1 + exp(-λ_t))`, so `beta_1 = 1 / (1 + exp(λ_1))` and
    /// `beta_t = (1 - exp(λ_t - λ_(t-1))) / (1 + exp(λ_t))`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`], [`ScheduleError::TooManySteps`], or [`ScheduleError::InvalidParameter`] if the last log SNR is not below
    /// the first, or one of them is not a finite number.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{LinearLogSnr, NoiseSchedule};
    ///
    /// let schedule = NoiseSchedule::from_betas(LinearLogSnr::default().betas()?)?;
    /// assert!((schedule.log_snr(1) - 9.21).abs() < 1e-9 && (schedule.log_snr(1000) + 10.0).abs() < 1e-9);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        let &Self { log_snr_first: first, log_snr_last: last, .. } = self;
        let family = "linear-log-snr";
        if !first.is_finite() {
            let (parameter, expected) = ("log_snr_first", "a finite number");
            return Err(ScheduleError::InvalidParameter { family, parameter, value: first, expected });
        }
        if !(last.is_finite() && last < first) {
            let (parameter, expected) = ("log_snr_last", "a finite number below log_snr_first");
            return Err(ScheduleError::InvalidParameter { family, parameter, value: last, expected });
        }
        let levels: Vec<f64> = fractions(self.steps).map(|fraction| interpolate(first, last, fraction)).collect();
        let noise = |level: f64| 1.0 / (1.0 + level.exp());
        let later = levels.windows(2).map(|pair| -(pair[1] - pair[0]).exp_m1() * noise(pair[1]));
        Ok(std::iter::once(noise(first)).chain(later).collect())
    }
}

family!(LinearLogSnr, Real log_snr_first, Real log_snr_last);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::NoiseSchedule;

    proptest! {
        #[test]
        fn log_snr_is_linear_in_the_step(steps in 2..3000usize, first in -2.0..14.0f64, fall in 0.5..20.0f64) {
            let family = LinearLogSnr { steps, log_snr_first: first, log_snr_last: first - fall };
            let schedule = NoiseSchedule::from_betas(family.betas().unwrap()).unwrap();
            for t in [1, 2, steps / 2 + 1, steps] {
                let expected = first - fall * (t - 1) as f64 / (steps - 1) as f64;
                prop_assert!((schedule.log_snr(t) - expected).abs() < 1e-8, "{} {expected}", schedule.log_snr(t));
            }
        }
    }

    #[test]
    fn a_single_step_has_the_first_level_and_a_rise_is_refused() {
        let single = LinearLogSnr { steps: 1, ..LinearLogSnr::default() }.betas().unwrap();
        assert_eq!(single, [1.0 / (1.0 + 9.21_f64.exp())]);
        for last in [9.21, 10.0, f64::NAN, f64::NEG_INFINITY] {
            let error = LinearLogSnr { log_snr_last: last, ..LinearLogSnr::default() }.betas().unwrap_err();
            assert!(error.to_string().contains("log_snr_last"), "{error}");
        }
    }
}
