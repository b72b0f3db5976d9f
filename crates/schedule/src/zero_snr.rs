//! Schedules whose last step is pure noise: Lin et al. (2024), arXiv:2305.08891, Algorithm 1.

use crate::error::ScheduleError;
use crate::schedule::NoiseSchedule;

/// The largest f64 below 1. A schedule's betas lie below 1, and this one leaves `alpha_bar` 1e-16 of what it was: nothing, in
/// the f32 that samples are made of.
pub(crate) const ALL_NOISE: f64 = 1.0 - f64::EPSILON / 2.0;

impl NoiseSchedule {
    /// The schedule shifted and scaled so that nothing of the data is left at the last step; diffusers'
    /// `rescale_betas_zero_snr`.
    ///
    /// A network that predicts the noise says nothing about the data there: such a schedule is for predictions of the data
    /// or of v.
    ///
    /// # Formula
    /// `sqrt(alpha_bar'_t) = (sqrt(alpha_bar_t) - sqrt(alpha_bar_T)) sqrt(alpha_bar_1) / (sqrt(alpha_bar_1) - sqrt(alpha_bar_T))`,
    /// but for `t = T`, where `beta'_T` is the largest f64 below 1 instead of 1 (so `alpha_bar'_T` is no more than 1e-16).
    ///
    /// # Errors
    /// [`ScheduleError`] where the shift leaves a step without effect or without signal.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::ScheduleConfig::default().build()?;
    /// let rescaled = schedule.with_zero_terminal_snr()?;
    /// assert!((rescaled.alpha_bar(1) - schedule.alpha_bar(1)).abs() < 1e-15);
    /// assert!(rescaled.alpha_bar(1000) < 1e-16 && rescaled.has_zero_terminal_snr());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn with_zero_terminal_snr(&self) -> Result<Self, ScheduleError> {
        let last = self.steps();
        let signal = |t| self.alpha_bar(t).sqrt();
        let end = signal(last);
        let mut betas = vec![self.beta(1)];
        for t in 2..last {
            // 1 - (s'_t / s'_{t-1})², where the scale cancels, without the cancellation of digits.
            let (previous, here) = (signal(t - 1) - end, signal(t) - end);
            betas.push((signal(t - 1) - signal(t)) * (previous + here) / (previous * previous));
        }
        betas.truncate(last - 1);
        betas.push(ALL_NOISE);
        Self::from_betas(betas)
    }

    /// Whether the last step leaves nothing of the data, as [`with_zero_terminal_snr`](Self::with_zero_terminal_snr) makes it.
    ///
    /// # Examples
    /// ```
    /// assert!(!sfumato_schedule::ScheduleConfig::default().build()?.has_zero_terminal_snr());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn has_zero_terminal_snr(&self) -> bool {
        self.beta(self.steps()) >= ALL_NOISE
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cosine, Linear, ScheduleConfig};

    #[test]
    fn signals_are_shifted_and_scaled() {
        let schedule = ScheduleConfig::from(Linear { steps: 50, beta_end: 0.2, ..Linear::default() }).build().unwrap();
        let rescaled = schedule.with_zero_terminal_snr().unwrap();
        let (first, end) = (schedule.alpha_bar(1).sqrt(), schedule.alpha_bar(50).sqrt());
        for t in 1..50 {
            let expected = (schedule.alpha_bar(t).sqrt() - end) * first / (first - end);
            assert!((rescaled.alpha_bar(t).sqrt() - expected).abs() < 1e-12, "t = {t}");
        }
        assert!(rescaled.alpha_bar(50) < 1e-16);
    }

    #[test]
    fn shorter_chains_end_in_noise_too() {
        let rescaled = ScheduleConfig::default().build().unwrap().with_zero_terminal_snr().unwrap();
        for steps in [&[1000][..], &[1, 500, 1000]] {
            assert!(rescaled.respace(steps).unwrap().schedule().has_zero_terminal_snr());
        }
        assert!(!rescaled.respace(&[1, 999]).unwrap().schedule().has_zero_terminal_snr());
    }

    #[test]
    fn short_schedules_can_be_rescaled_too() {
        for steps in [1, 2, 3] {
            let schedule = ScheduleConfig::from(Cosine { steps, ..Cosine::default() }).build().unwrap();
            let rescaled = schedule.with_zero_terminal_snr().unwrap();
            assert!(rescaled.steps() == steps && rescaled.has_zero_terminal_snr());
        }
    }
}
