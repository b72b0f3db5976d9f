//! The posterior `q(x_{t-1} | x_t, x_0)` of the forward chain: Ho et al. (2020), arXiv:2006.11239, Eq. 6-7.

use serde::Serialize;

use crate::schedule::NoiseSchedule;

/// The weights of `x_0` and `x_t` in the mean of `q(x_{t-1} | x_t, x_0)`; DDPM Eq. 7. No unit; both lie in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PosteriorMean {
    /// Weight of the clean data, `sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t)`.
    pub x_0: f64,
    /// Weight of the noised data, `sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)`.
    pub x_t: f64,
}

/// Every coefficient of one step, as a row for tables; see the methods of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coefficients {
    /// Step, from 1.
    pub t: usize,
    /// [`NoiseSchedule::beta`].
    pub beta: f64,
    /// [`NoiseSchedule::alpha`].
    pub alpha: f64,
    /// [`NoiseSchedule::alpha_bar`].
    pub alpha_bar: f64,
    /// [`NoiseSchedule::one_minus_alpha_bar`].
    pub one_minus_alpha_bar: f64,
    /// [`NoiseSchedule::snr`].
    pub snr: f64,
    /// [`NoiseSchedule::log_snr`].
    pub log_snr: f64,
    /// [`NoiseSchedule::posterior_variance`].
    pub posterior_variance: f64,
    /// [`NoiseSchedule::posterior_log_variance`].
    pub posterior_log_variance: f64,
    /// [`PosteriorMean::x_0`].
    pub posterior_mean_x_0: f64,
    /// [`PosteriorMean::x_t`].
    pub posterior_mean_x_t: f64,
}

impl NoiseSchedule {
    /// Variance of `q(x_{t-1} | x_t, x_0)`; DDPM Eq. 7.
    ///
    /// # Formula
    /// `beta_tilde_t = (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) beta_t`; 0 at `t = 1`, never above `beta_t`.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert!((schedule.posterior_variance(2) - 0.5 / 0.875 * 0.75).abs() < 1e-16);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn posterior_variance(&self, t: usize) -> f64 {
        let beta = self.beta(t);
        beta * (self.one_minus_alpha_bar(t - 1) / self.one_minus_alpha_bar(t))
    }

    /// The papers' name for [`posterior_variance`](Self::posterior_variance).
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.beta_tilde(2), schedule.posterior_variance(2));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn beta_tilde(&self, t: usize) -> f64 {
        self.posterior_variance(t)
    }

    /// Logarithm of [`posterior_variance`](Self::posterior_variance) in nats, always finite.
    ///
    /// `beta_tilde_1` is 0, so at `t = 1` the logarithm of `beta_tilde_2` takes its place (as in the code of Ho et al. and
    /// of Nichol & Dhariwal), and with `T = 1`, where there
    /// is none, that of `beta_1`.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.posterior_log_variance(1), schedule.posterior_variance(2).ln());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn posterior_log_variance(&self, t: usize) -> f64 {
        match (t, self.steps()) {
            (1, 1) => self.beta(1).ln(),
            (1, _) => self.posterior_variance(2).ln(),
            _ => self.posterior_variance(t).ln(),
        }
    }

    /// Weights of `x_0` and `x_t` in the mean of `q(x_{t-1} | x_t, x_0)`; DDPM Eq. 7. At `t = 1` they are 1 and 0.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// let weights = schedule.posterior_mean_coefficients(2);
    /// assert!((weights.x_0 - 0.5_f64.sqrt() * 0.75 / 0.875).abs() < 1e-16);
    /// assert!((weights.x_t - 0.5 * 0.5 / 0.875).abs() < 1e-16);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn posterior_mean_coefficients(&self, t: usize) -> PosteriorMean {
        let (beta, alpha, noise) = (self.beta(t), self.alpha(t), self.one_minus_alpha_bar(t));
        PosteriorMean {
            x_0: self.alpha_bar(t - 1).sqrt() * (beta / noise),
            x_t: alpha.sqrt() * (self.one_minus_alpha_bar(t - 1) / noise),
        }
    }

    /// All coefficients of step `t` in one row.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.coefficients(2).alpha_bar, schedule.alpha_bar(2));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn coefficients(&self, t: usize) -> Coefficients {
        let mean = self.posterior_mean_coefficients(t);
        Coefficients {
            t,
            beta: self.beta(t),
            alpha: self.alpha(t),
            alpha_bar: self.alpha_bar(t),
            one_minus_alpha_bar: self.one_minus_alpha_bar(t),
            snr: self.snr(t),
            log_snr: self.log_snr(t),
            posterior_variance: self.posterior_variance(t),
            posterior_log_variance: self.posterior_log_variance(t),
            posterior_mean_x_0: mean.x_0,
            posterior_mean_x_t: mean.x_t,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(betas: &[f64]) -> NoiseSchedule {
        NoiseSchedule::from_betas(betas.to_vec()).expect("a valid list of betas")
    }

    #[test]
    fn posterior_variance_at_the_first_step_is_zero_and_its_logarithm_that_of_the_second() {
        let s = schedule(&[0.1, 0.2, 0.3]);
        assert_eq!(s.posterior_variance(1), 0.0);
        assert_eq!(s.posterior_log_variance(1), s.posterior_variance(2).ln());
        assert_eq!(s.posterior_mean_coefficients(1), PosteriorMean { x_0: 1.0, x_t: 0.0 });
    }

    #[test]
    fn a_single_step_has_finite_coefficients() {
        let s = schedule(&[0.3]);
        assert_eq!(s.posterior_log_variance(1), 0.3_f64.ln());
        assert_eq!(s.one_minus_alpha_bar(1), 0.3);
        assert_eq!(s.posterior_variance(1), 0.0);
    }

    #[test]
    #[should_panic(expected = "step t = 0 is outside 1..=2")]
    fn clean_data_has_no_posterior() {
        schedule(&[0.1, 0.2]).posterior_mean_coefficients(0);
    }

    #[test]
    fn tiny_betas_keep_their_digits() {
        assert!((schedule(&[1e-15, 1e-15]).posterior_variance(2) / 5e-16 - 1.0).abs() < 1e-14);
    }
}
