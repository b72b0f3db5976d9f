//! The parts of the variational bound that a schedule alone decides.

use crate::schedule::NoiseSchedule;

impl NoiseSchedule {
    /// Weight of the squared error of `x_0` in the bound's term for step `t`, nats per squared data unit; infinite at `t = 1`.
    ///
    /// # Formula
    /// `KL(q(x_{t-1} | x_t, x_0) ‖ p(x_{t-1} | x_t)) = w_t ‖x_0 - x̂_0‖²` for a model with the posterior's own variance, with
    /// `w_t = ½ (SNR(t-1) - SNR(t)) = ½ alpha_bar_{t-1} beta_t / ((1 - alpha_bar_{t-1}) (1 - alpha_bar_t))` (Kingma et al. 2021,
    /// arXiv:2107.00630, the discrete-time loss; the second form does not cancel)
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.5])?;
    /// assert!((schedule.x_0_error_weight(2) - 0.5 * (1.0 - 1.0 / 3.0)).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn x_0_error_weight(&self, t: usize) -> f64 {
        let share = self.beta(t) / self.one_minus_alpha_bar(t);
        0.5 * self.snr(t - 1) * share
    }

    /// Share of step `t` in the bound for data that are standard normal and a perfect denoiser, nats per dimension: how the
    /// schedule spreads the work over its steps. `t` from 2 on; infinite at `t = 1`, where the decoder takes its place.
    ///
    /// # Formula
    /// `w_t E(x_0 - E[x_0 | x_t])² = w_t (1 - alpha_bar_t) = ½ SNR(t-1) beta_t`, with `w_t` as in
    /// [`x_0_error_weight`](Self::x_0_error_weight)
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.5])?;
    /// assert_eq!(schedule.unit_variance_bound_term(2), 0.25);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn unit_variance_bound_term(&self, t: usize) -> f64 {
        let beta = self.beta(t);
        0.5 * self.snr(t - 1) * beta
    }

    /// The bound's prior term at the end of the chain, averaged over data and dimensions, nats per dimension: how much `x_T`
    /// still tells about `x_0`. `mean_square` is the mean of `x_0²` (1/3 for uniform grey levels, 1 for normalised data).
    ///
    /// # Formula
    /// `L_T = KL(N(sqrt(alpha_bar_T) x_0, 1 - alpha_bar_T) ‖ N(0, 1)) = ½ (alpha_bar_T (x_0² - 1) - ln(1 - alpha_bar_T))`, linear in `x_0²`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{ScheduleConfig, probability::nats_to_bits};
    ///
    /// // "L_T ≈ 1e-5 bits per dimension": Ho et al. (2020), Section 4.
    /// let ddpm = ScheduleConfig::default().build()?;
    /// assert!((nats_to_bits(ddpm.prior_kl(1.0 / 3.0)) - 1e-5).abs() < 1e-6);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn prior_kl(&self, mean_square: f64) -> f64 {
        let last = self.steps();
        prior_kl(self.alpha_bar(last), self.one_minus_alpha_bar(last), mean_square)
    }
}

/// See [`NoiseSchedule::prior_kl`]; infinite if there is no noise.
pub(crate) fn prior_kl(alpha_bar: f64, noise_variance: f64, mean_square: f64) -> f64 {
    // -ln(1 - a) - a = a²/2 + a³/3 + ..., taken by itself: next to the term in mean_square it must not cancel.
    let excess = if alpha_bar < 0.01 {
        (2..12).rev().fold(0.0, |sum, k| alpha_bar * sum + 1.0 / k as f64) * alpha_bar * alpha_bar
    } else {
        -noise_variance.ln() - alpha_bar
    };
    0.5 * (alpha_bar * mean_square + excess)
}
