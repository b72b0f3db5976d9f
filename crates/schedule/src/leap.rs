//! One leap of a shorter chain: from step `t` straight down to step `s`.

use crate::schedule::NoiseSchedule;

/// The coefficients of the posterior `q(x_s | x_t, x_0)` for any `s < t`: those of the chain that visits `s` and `t` and nothing between.
///
/// No unit; for every pair at a cost that does not depend on how far apart the two are, so that tables of all pairs are cheap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leap {
    /// Variance of `q(x_t | x_s)`.
    pub beta: f64,
    /// Variance of `q(x_s | x_t, x_0)`; 0 for `s = 0`.
    pub posterior_variance: f64,
    /// Weight of `x_0` in its mean; 1 for `s = 0`.
    pub x_0: f64,
}

impl NoiseSchedule {
    /// The leap from step `from` down to step `to`.
    ///
    /// # Formula
    /// `beta = (1 - alpha_bar_t) - alpha_bar_t / alpha_bar_s (1 - alpha_bar_s)`, which loses no more digits than `beta` is smaller than
    /// `1 - alpha_bar_t`; `beta_tilde = beta (1 - alpha_bar_s) / (1 - alpha_bar_t)`; weight `sqrt(alpha_bar_s) beta / (1 - alpha_bar_t)`
    ///
    /// # Panics
    /// Unless `to < from <= T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75, 0.75])?;
    /// let leap = schedule.leap(3, 1);
    /// assert!((leap.beta - (1.0 - 0.0625)).abs() < 1e-15);
    /// let respaced = schedule.respace(&[1, 3])?;
    /// assert!((leap.posterior_variance - respaced.schedule().posterior_variance(2)).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn leap(&self, from: usize, to: usize) -> Leap {
        assert!(to < from, "a leap goes down, not from {from} to {to}");
        let (signal, noise) = (self.alpha_bar(to), self.one_minus_alpha_bar(to));
        let last = self.one_minus_alpha_bar(from);
        let beta = last - self.alpha_bar(from) / signal * noise;
        Leap { beta, posterior_variance: beta * (noise / last), x_0: signal.sqrt() * (beta / last) }
    }
}
