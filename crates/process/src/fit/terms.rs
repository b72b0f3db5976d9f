//! What follows from measured numbers: variances, terms, best steps.

use sfumato_schedule::{BestSteps, ChainCosts, NoiseSchedule};

use super::{FitError, Measured, VarianceRule, curve::cubic, decoder::DecoderCurves};

/// Steps of a schedule above which the table of all leaps takes too much memory: 100 MB.
const MOST_STEPS: usize = 5000;
/// Share of what is unknown about `x_0` from noise alone below which the analytic variance of the last leap is not believed.
const LEAST_SHARE: f64 = 1e-3;
/// Largest standard deviation of the last noise that is added to pictures: noise of two grey levels in the mean of its magnitude (Bao
/// et al. 2022, arXiv:2201.06503, Appendix F).
const LAST_NOISE: f64 = 2.0 * 2.0 / 255.0 * 1.253_314_137_315_500_3;

/// Measured numbers, read for every step of the schedule that they were measured with.
///
/// # Examples
/// A perfect denoiser of data ~ N(0, 1) is off by `E(x_0 - x̂_0)² = 1 - ᾱ_t`, and predicts noise of the mean square `1 - ᾱ_t`. With the
/// analytic variances its bound is the entropy of the data, however few steps the chain has.
/// ```
/// use sfumato_process::{bound::Decoder, fit::{Fit, Measured, Node, VarianceRule, measured_steps}};
/// use sfumato_schedule::ScheduleConfig;
///
/// let schedule = ScheduleConfig::default().build()?;
/// let node = |t| {
///     let noise = schedule.one_minus_alpha_bar(t);
///     let log_snr = schedule.log_snr(t);
///     let (error_se, noise_norm_se, decoder) = (None, None, Vec::new());
///     Node { t, log_snr, error: noise, error_se, noise_norm: noise, noise_norm_se, raw_noise_norm: noise, decoder }
/// };
/// let nodes = measured_steps(1000, 10).into_iter().map(node).collect();
/// let measured = Measured { decoder: Decoder::Gaussian, examples: 1, mean_square: 1.0, nodes };
/// let fit = Fit::new(measured, &schedule)?;
///
/// let steps = fit.best_chain(VarianceRule::Analytic, 20)?;
/// let entropy = 0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E).ln();
/// assert_eq!((steps.len(), steps[19]), (20, 1000));
/// assert!((fit.bound(VarianceRule::Analytic, &steps)? - entropy).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fit {
    measured: Measured,
    schedule: NoiseSchedule,
    /// `E‖x_0 - x̂_0‖²/d` at step `t`, index `t - 1`.
    errors: Vec<f64>,
    /// `E tr Cov(x_0 | x_t)/d` as `m_t` says it, in [0, 1].
    covariances: Vec<f64>,
    decoder: DecoderCurves,
    /// The log-variance at which the decoder's term is least.
    best_decoders: Vec<f64>,
}

impl Fit {
    /// Reads the numbers for every step of `schedule`. Steps between those that were measured are interpolated by cubics over log-SNR:
    /// the logarithm of the error of the noise, and `1 - m_t`.
    ///
    /// # Errors
    /// [`FitError`] if the numbers are not those of such a schedule.
    pub fn new(measured: Measured, schedule: &NoiseSchedule) -> Result<Self, FitError> {
        measured.check(schedule)?;
        let levels: Vec<f64> = measured.nodes.iter().map(|node| -schedule.log_snr(node.t)).collect();
        let nodes = &measured.nodes;
        // The error of the noise: that of x_0 over (1 - ᾱ)/ᾱ, the level.
        let log_error = |i: usize| nodes[i].error.max(f64::MIN_POSITIVE).ln() - levels[i];
        let shortfall = |i: usize| 1.0 - nodes[i].noise_norm;
        let level = |t: usize| -schedule.log_snr(t);
        let steps = 1..=schedule.steps();
        let errors: Vec<f64> = steps.clone().map(|t| (cubic(&levels, log_error, level(t)) + level(t)).exp()).collect();
        let covariances =
            steps.clone().map(|t| (level(t).exp() * cubic(&levels, shortfall, level(t))).clamp(0.0, 1.0)).collect();
        let decoder = DecoderCurves::new(&measured, schedule);
        let best_decoders = steps.map(|t| decoder.best(level(t), t, errors[t - 1])).collect();
        Ok(Self { measured, schedule: schedule.clone(), errors, covariances, decoder, best_decoders })
    }

    /// The numbers.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }

    /// `E‖x_0 - x̂_0‖²/d` at step `t`.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn error(&self, t: usize) -> f64 {
        self.errors[t - 1]
    }

    /// `(1 - ᾱ_t)/ᾱ_t (1 - m_t)`, cut to [0, 1]: `E tr Cov(x_0 | x_t)/d` if the network is perfect.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn covariance(&self, t: usize) -> f64 {
        self.covariances[t - 1]
    }

    /// `log σ²` in nats of the leap from `t` to `s ≥ 1`.
    ///
    /// # Panics
    /// Unless `1 ≤ s < t ≤ T`.
    pub fn log_variance(&self, rule: VarianceRule, s: usize, t: usize) -> f64 {
        assert!(s > 0, "the last leap's variance is the decoder's");
        let leap = self.schedule.leap(t, s);
        match rule {
            VarianceRule::FixedSmall => leap.posterior_variance.ln(),
            VarianceRule::FixedLarge => leap.beta.ln(),
            VarianceRule::Analytic => (leap.posterior_variance + leap.x_0.powi(2) * self.covariance(t)).ln(),
            VarianceRule::Optimal => (leap.posterior_variance + leap.x_0.powi(2) * self.error(t)).ln(),
        }
    }

    /// `log σ²` in nats of the last leap, from `s` to clean data, where the one before came from `t`; none for a chain of one step.
    ///
    /// Fixed variances have that of the leap before it, as everywhere ([`ReverseVariance::log_variance`](crate::ReverseVariance::log_variance)).
    ///
    /// # Panics
    /// If a step is outside `1..=T`.
    pub fn decoder_log_variance(&self, rule: VarianceRule, s: usize, t: Option<usize>) -> f64 {
        match (rule, t) {
            (VarianceRule::FixedSmall | VarianceRule::FixedLarge, Some(t)) => {
                self.schedule.leap(t, s).posterior_variance.ln()
            }
            (VarianceRule::FixedSmall | VarianceRule::FixedLarge, None) => self.schedule.leap(s, 0).beta.ln(),
            (VarianceRule::Analytic, _) => {
                let unknown = (-self.schedule.log_snr(s)).exp().min(1.0);
                self.covariance(s).max(LEAST_SHARE * unknown).ln()
            }
            (VarianceRule::Optimal, _) => self.best_decoders[s - 1],
        }
    }

    /// The bound's term of the leap from `t` to `s ≥ 1`, `KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t))` in the mean; nats for one dimension.
    ///
    /// # Formula
    /// `½ (log σ² - log β̃ - 1 + β̃/σ² + w² E‖x_0 - x̂_0‖²/(d σ²))`
    ///
    /// # Panics
    /// Unless `1 ≤ s < t ≤ T`.
    pub fn term(&self, rule: VarianceRule, s: usize, t: usize) -> f64 {
        let leap = self.schedule.leap(t, s);
        let log_variance = self.log_variance(rule, s, t);
        let log_ratio = leap.posterior_variance.ln() - log_variance;
        0.5 * (log_ratio.exp_m1() - log_ratio + leap.x_0.powi(2) * self.error(t) * (-log_variance).exp())
    }

    /// `L_0` of a last leap from `s`, where the one before came from `t`; nats for one dimension. Infinite where it was not measured.
    ///
    /// # Panics
    /// If a step is outside `1..=T`.
    pub fn decoder_term(&self, rule: VarianceRule, s: usize, t: Option<usize>) -> f64 {
        if !self.decoder.reaches(s) {
            return f64::INFINITY;
        }
        let log_variance = self.decoder_log_variance(rule, s, t);
        self.decoder.term(-self.schedule.log_snr(s), s, log_variance, self.error(s))
    }

    /// `log σ_i²` of each step of the chain that visits `steps`, for
    /// [`Chain::with_log_variances`](crate::Chain::with_log_variances).
    ///
    /// # Errors
    /// [`FitError::Steps`] if the steps do not rise within `1..=T`.
    pub fn log_variances(&self, rule: VarianceRule, steps: &[usize]) -> Result<Vec<f64>, FitError> {
        self.check(steps)?;
        let last = |&s: &usize| self.decoder_log_variance(rule, s, steps.get(1).copied());
        let leaps = steps.windows(2).map(|pair| self.log_variance(rule, pair[0], pair[1]));
        Ok(steps.first().map(last).into_iter().chain(leaps).collect())
    }

    /// The same for sampling: of pictures, the standard deviation of the last noise that is added is at most `2·(2/255)·√(π/2)`, two
    /// grey levels in the mean of its magnitude, after Bao et al. (2022). What is left of it after the last prediction would be seen as
    /// grain. The variance of the last leap itself adds no noise.
    ///
    /// # Errors
    /// As [`log_variances`](Self::log_variances).
    pub fn sampling_log_variances(&self, rule: VarianceRule, steps: &[usize]) -> Result<Vec<f64>, FitError> {
        let mut all = self.log_variances(rule, steps)?;
        if let Some(last) = all.get_mut(1).filter(|_| self.measured.decoder.is_discrete()) {
            *last = last.min(2.0 * LAST_NOISE.ln());
        }
        Ok(all)
    }

    /// The bound of the chain that visits `steps`, as the measured terms have it; nats for one dimension, with `L_T` and `L_0`. Infinite
    /// where its last leap was not measured.
    ///
    /// # Errors
    /// As [`log_variances`](Self::log_variances).
    pub fn bound(&self, rule: VarianceRule, steps: &[usize]) -> Result<f64, FitError> {
        self.check(steps)?;
        let [first, .., last] = steps else {
            return Ok(steps
                .first()
                .map_or(f64::INFINITY, |&only| self.prior(only) + self.decoder_term(rule, only, None)));
        };
        let leaps: f64 = steps.windows(2).map(|pair| self.term(rule, pair[0], pair[1])).sum();
        Ok(self.prior(*last) + leaps + self.decoder_term(rule, *first, steps.get(1).copied()))
    }

    /// For every number of steps up to `most` those with the least bound: a chain from `T` down, whose other steps are any. Watson et
    /// al. (2021), arXiv:2106.03802; with the variances of `rule` for every leap.
    ///
    /// # Errors
    /// [`FitError::TooLong`].
    pub fn best_steps(&self, rule: VarianceRule, most: usize) -> Result<BestSteps, FitError> {
        let total = self.schedule.steps();
        if total > MOST_STEPS {
            return Err(FitError::TooLong { total, most: MOST_STEPS });
        }
        Ok(BestSteps::find(total, most, &Costs { fit: self, rule }))
    }

    /// The best chain of `count` steps.
    ///
    /// # Errors
    /// [`FitError::TooLong`], [`FitError::Count`].
    pub fn best_chain(&self, rule: VarianceRule, count: usize) -> Result<Vec<usize>, FitError> {
        let total = self.schedule.steps();
        let best = self.best_steps(rule, count)?;
        best.steps(count).ok_or(FitError::Count { count, total })
    }

    /// `L_T` of a chain from step `t` down; nats for one dimension.
    fn prior(&self, t: usize) -> f64 {
        if t == self.schedule.steps() {
            return self.schedule.prior_kl(self.measured.mean_square);
        }
        let (signal, noise) = (self.schedule.alpha_bar(t), self.schedule.one_minus_alpha_bar(t));
        0.5 * (signal * (self.measured.mean_square - 1.0) - noise.ln())
    }

    fn check(&self, steps: &[usize]) -> Result<(), FitError> {
        let total = self.schedule.steps();
        let wrong = |(place, &step): (usize, &usize)| {
            let before = place.checked_sub(1).map_or(0, |place| steps[place]);
            (step <= before || step > total).then_some(FitError::Steps { total, place, found: step })
        };
        let empty = steps.is_empty().then_some(FitError::Count { count: 0, total });
        empty.or_else(|| steps.iter().enumerate().find_map(wrong)).map_or(Ok(()), Err)
    }
}

struct Costs<'a> {
    fit: &'a Fit,
    rule: VarianceRule,
}

impl ChainCosts for Costs<'_> {
    fn only(&self, total: usize) -> f64 {
        self.fit.decoder_term(self.rule, total, None)
    }

    fn first_two(&self, s: usize, t: usize) -> f64 {
        self.fit.decoder_term(self.rule, s, Some(t)) + self.leap(s, t)
    }

    fn leap(&self, s: usize, t: usize) -> f64 {
        self.fit.term(self.rule, s, t)
    }
}
