//! A validated noise schedule and every coefficient that follows from it.
//!
//! The forward chain of Sohl-Dickstein et al. (2015) and Ho et al. (2020, arXiv:2006.11239, "DDPM"):
//! `q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I)`, steps `t = 1, ..., T`, clean data at `t = 0`.

use std::fmt;
use std::sync::Arc;

use crate::double_double::DoubleDouble;
use crate::error::{MAX_STEPS, ScheduleError};

/// A noise schedule: the variances `beta_1, ..., beta_T` and what follows from them, in f64.
///
/// Always valid once it exists: `1 <= T <= `[`MAX_STEPS`], `0 < beta_t < 1`, and `alpha_bar` and the SNR strictly
/// decreasing from step to step, down to no less than the smallest normal f64. Cloning is cheap (the tables are shared).
///
/// `alpha_bar` and `1 - alpha_bar` are each within an ulp of the exact value for the given betas, whatever `T` (while `alpha_bar`
/// is above 1e-290, where f64 still has room for the rounding errors that are carried along).
///
/// # Examples
/// ```
/// use sfumato_schedule::NoiseSchedule;
///
/// let schedule = NoiseSchedule::from_betas(vec![0.1, 0.2, 0.5])?;
/// assert_eq!(schedule.steps(), 3);
/// assert!((schedule.alpha_bar(3) - 0.9 * 0.8 * 0.5).abs() < 1e-15);
/// assert_eq!(schedule.alpha_bar(0), 1.0);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct NoiseSchedule {
    tables: Arc<Tables>,
}

/// Index `t - 1` holds step `t`.
#[derive(PartialEq)]
struct Tables {
    alphas: Vec<DoubleDouble>,
    betas: Vec<f64>,
    alpha_bars: Vec<f64>,
    noise_variances: Vec<f64>,
}

impl NoiseSchedule {
    /// The schedule with the given variances, `betas[t - 1]` being `beta_t`.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] and [`ScheduleError::TooManySteps`] for a bad length;
    /// [`ScheduleError::BetaOutOfRange`] for the first value that is not a number in (0, 1);
    /// [`ScheduleError::StepWithoutEffect`] where a beta is too small (about 2e-16) for `alpha_bar` or the SNR to change;
    /// [`ScheduleError::AlphaBarUnderflow`] where `alpha_bar` falls below 2.2e-308: past that point the SNR would be zero
    /// and `x_0` could not be expressed by `x_t` and the noise.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{NoiseSchedule, ScheduleError};
    ///
    /// assert_eq!(NoiseSchedule::from_betas(vec![0.5, 0.75])?.steps(), 2);
    /// let error = NoiseSchedule::from_betas(vec![0.5, 1.0]).unwrap_err();
    /// assert_eq!(error, ScheduleError::BetaOutOfRange { step: 2, beta: 1.0 });
    /// # Ok::<(), ScheduleError>(())
    /// ```
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, ScheduleError> {
        check_length(betas.len())?;
        if let Some(index) = betas.iter().position(|beta| !(*beta > 0.0 && *beta < 1.0)) {
            return Err(ScheduleError::BetaOutOfRange { step: index + 1, beta: betas[index] });
        }
        Self::from_alphas(betas.into_iter().map(DoubleDouble::one_minus).collect())
    }

    /// The schedule with the given `alpha_t`, which carry more digits than the betas do where beta is close to 1.
    pub(crate) fn from_alphas(alphas: Vec<DoubleDouble>) -> Result<Self, ScheduleError> {
        check_length(alphas.len())?;
        let mut betas = Vec::with_capacity(alphas.len());
        let mut alpha_bars = Vec::with_capacity(alphas.len());
        let mut noise_variances = Vec::with_capacity(alphas.len());
        let mut product = DoubleDouble::ONE;
        let mut previous_snr = f64::INFINITY;
        for (index, alpha) in alphas.iter().enumerate() {
            let (step, beta, previous) = (index + 1, alpha.complement(), product.rounded());
            if !(beta > 0.0 && beta < 1.0) {
                return Err(ScheduleError::BetaOutOfRange { step, beta });
            }
            product = product.times(*alpha);
            let (alpha_bar, noise_variance) = (product.rounded(), product.complement());
            if alpha_bar < f64::MIN_POSITIVE {
                return Err(ScheduleError::AlphaBarUnderflow { step, beta, previous });
            }
            let snr = alpha_bar / noise_variance;
            if !(alpha_bar < previous && snr < previous_snr) {
                return Err(ScheduleError::StepWithoutEffect { step, beta, alpha_bar });
            }
            previous_snr = snr;
            betas.push(beta);
            alpha_bars.push(alpha_bar);
            noise_variances.push(noise_variance);
        }
        Ok(Self { tables: Arc::new(Tables { alphas, betas, alpha_bars, noise_variances }) })
    }

    /// Number of steps `T`, at least 1.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.steps(), 2);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn steps(&self) -> usize {
        self.tables.betas.len()
    }

    /// All variances; index `t - 1` holds `beta_t`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.betas(), [0.5, 0.75]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> &[f64] {
        &self.tables.betas
    }

    /// All cumulative products; index `t - 1` holds `alpha_bar_t`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.alpha_bars(), [0.5, 0.125]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn alpha_bars(&self) -> &[f64] {
        &self.tables.alpha_bars
    }

    /// Variance `beta_t` of the noise that step `t` adds, in (0, 1).
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.beta(2), 0.75);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn beta(&self, t: usize) -> f64 {
        self.tables.betas[self.index(t)]
    }

    /// Share of the signal power that step `t` keeps, `alpha_t = 1 - beta_t`, in (0, 1).
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!(schedule.alpha(2), 0.25);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn alpha(&self, t: usize) -> f64 {
        self.tables.alphas[self.index(t)].rounded()
    }

    /// Signal power left at step `t`, `alpha_bar_t = alpha_1 ... alpha_t`; 1 at `t = 0`. DDPM Eq. 4.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!((schedule.alpha_bar(0), schedule.alpha_bar(2)), (1.0, 0.125));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.index_or_clean(t).map_or(1.0, |index| self.tables.alpha_bars[index])
    }

    /// Noise power at step `t`, `1 - alpha_bar_t`: the variance of `q(x_t | x_0)`, computed without cancellation; 0 at `t = 0`.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!((schedule.one_minus_alpha_bar(0), schedule.one_minus_alpha_bar(2)), (0.0, 0.875));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn one_minus_alpha_bar(&self, t: usize) -> f64 {
        self.index_or_clean(t).map_or(0.0, |index| self.tables.noise_variances[index])
    }

    /// `ln alpha_bar_t` in nats, with all its digits even where `alpha_bar_t` is close to 1; 0 at `t = 0`.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert!((schedule.log_alpha_bar(2) - 0.125_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn log_alpha_bar(&self, t: usize) -> f64 {
        let alpha_bar = self.alpha_bar(t);
        if alpha_bar > 0.5 { (-self.one_minus_alpha_bar(t)).ln_1p() } else { alpha_bar.ln() }
    }

    /// Signal-to-noise ratio `alpha_bar_t / (1 - alpha_bar_t)`, a power ratio; infinite at `t = 0`, strictly decreasing.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert_eq!((schedule.snr(0), schedule.snr(1)), (f64::INFINITY, 1.0));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn snr(&self, t: usize) -> f64 {
        self.alpha_bar(t) / self.one_minus_alpha_bar(t)
    }

    /// Natural logarithm of the signal-to-noise ratio, `ln alpha_bar_t - ln(1 - alpha_bar_t)`; infinite at `t = 0`.
    ///
    /// Each logarithm is taken of a quantity that has all its digits, so tiny betas and tiny signals lose nothing.
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.75])?;
    /// assert!((schedule.log_snr(2) - (1.0_f64 / 7.0).ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn log_snr(&self, t: usize) -> f64 {
        self.log_alpha_bar(t) - self.one_minus_alpha_bar(t).ln()
    }

    /// `alpha_t` of the steps after `from` up to `to`, multiplied: `alpha_bar_to / alpha_bar_from` with all digits.
    pub(crate) fn alpha_between(&self, from: usize, to: usize) -> DoubleDouble {
        self.tables.alphas[from..to].iter().fold(DoubleDouble::ONE, |product, alpha| product.times(*alpha))
    }

    #[track_caller]
    fn index(&self, t: usize) -> usize {
        assert!((1..=self.steps()).contains(&t), "step t = {t} is outside 1..={}", self.steps());
        t - 1
    }

    #[track_caller]
    fn index_or_clean(&self, t: usize) -> Option<usize> {
        assert!(t <= self.steps(), "step t = {t} is outside 0..={}", self.steps());
        t.checked_sub(1)
    }
}

impl fmt::Debug for NoiseSchedule {
    /// Ends and length instead of thousands of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.steps();
        f.debug_struct("NoiseSchedule")
            .field("steps", &last)
            .field("beta_1", &self.beta(1))
            .field("beta_T", &self.beta(last))
            .field("alpha_bar_T", &self.alpha_bar(last))
            .finish()
    }
}

pub(crate) fn check_length(steps: usize) -> Result<(), ScheduleError> {
    match steps {
        0 => Err(ScheduleError::NoSteps),
        steps if steps > MAX_STEPS => Err(ScheduleError::TooManySteps { steps, max: MAX_STEPS }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(betas: &[f64]) -> NoiseSchedule {
        NoiseSchedule::from_betas(betas.to_vec()).expect("a valid list of betas")
    }

    #[test]
    fn clean_data_has_all_the_signal() {
        let s = schedule(&[0.3]);
        assert_eq!((s.alpha_bar(0), s.one_minus_alpha_bar(0), s.log_alpha_bar(0)), (1.0, 0.0, 0.0));
        assert_eq!((s.snr(0), s.log_snr(0)), (f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn tiny_betas_keep_their_digits() {
        let s = schedule(&[1e-15, 1e-15]);
        assert!((s.one_minus_alpha_bar(2) / 2e-15 - 1.0).abs() < 1e-14);
        assert!((s.log_alpha_bar(2) / -2e-15 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn a_bad_beta_is_named_with_its_step() {
        for bad in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            match NoiseSchedule::from_betas(vec![0.1, bad, 0.1]) {
                Err(ScheduleError::BetaOutOfRange { step: 2, beta }) => assert_eq!(beta.to_bits(), bad.to_bits()),
                other => panic!("{bad} gave {other:?}"),
            }
        }
    }

    #[test]
    fn no_steps_steps_without_effect_and_lost_signal_are_refused() {
        assert_eq!(NoiseSchedule::from_betas(vec![]), Err(ScheduleError::NoSteps));
        assert!(matches!(
            NoiseSchedule::from_betas(vec![0.5, 1e-17]),
            Err(ScheduleError::StepWithoutEffect { step: 2, .. })
        ));
        assert!(matches!(
            NoiseSchedule::from_betas(vec![0.5; 4000]),
            Err(ScheduleError::AlphaBarUnderflow { step: 1023, .. })
        ));
        assert_eq!(
            NoiseSchedule::from_betas(vec![0.5; MAX_STEPS + 1]),
            Err(ScheduleError::TooManySteps { steps: MAX_STEPS + 1, max: MAX_STEPS })
        );
    }

    #[test]
    #[should_panic(expected = "step t = 0 is outside 1..=2")]
    fn beta_of_clean_data_panics() {
        schedule(&[0.1, 0.2]).beta(0);
    }

    #[test]
    #[should_panic(expected = "step t = 3 is outside 0..=2")]
    fn alpha_bar_past_the_end_panics() {
        schedule(&[0.1, 0.2]).alpha_bar(3);
    }
}
