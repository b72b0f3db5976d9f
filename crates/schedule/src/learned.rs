//! The schedule with the least variance of the bound's estimate, from a loss that was measured by noise level.
//!
//! In continuous time the bound is `½ ∫ E‖ε - ε̂‖² dλ` between the ends of `λ = log SNR`, whatever the curve `λ(t)` between them (Kingma et al.
//! 2021, arXiv:2107.00630, Eq. 17). Training and cheap estimates draw one time for each example, and *their* variance depends on the curve:
//! VDM learns it by gradient descent (§5.2 and Appendix I). From measured losses it has a closed form, which is here.

use crate::error::ScheduleError;
use crate::log_linear::LogLinear;
use crate::log_snr::LogSnrCurve;
use crate::schedule::NoiseSchedule;

/// Share of the largest loss that every level is given at least: a level that was measured as 0 still has to be passed.
const FLOOR: f64 = 1e-4;
/// The longest first leap that is looked at, in nats.
const LONGEST_LEAP: f64 = 3.0;

/// The loss at one noise level; of `‖ε - ε̂‖²` for one dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelLoss {
    /// The level, `ln(alpha_bar / (1 - alpha_bar))` in nats.
    pub log_snr: f64,
    /// The mean over examples and noise, at least 0.
    pub mean: f64,
    /// The root of the mean square of the examples' losses, at least the mean.
    pub root_mean_square: f64,
}

/// A measured loss as a function of the noise level, and the schedule that follows from it.
///
/// Between the measured levels the logarithm of the loss is linear in log-SNR; beyond them it is that of the nearest one. No level counts less
/// than a ten-thousandth of the largest, so that what follows is strictly monotone whatever was measured.
///
/// # Formula
/// An estimate from one time `t ~ U(0, 1)` is `½ ℓ(λ(t)) |λ'(t)|` with `ℓ = ‖ε - ε̂‖²`, and its mean square `¼ ∫ E ℓ² |λ'(t)| dλ`. By
/// Cauchy and Schwarz that is least, `(½ ∫ √(E ℓ²) dλ)²`, where `√(E ℓ²) |λ'(t)|` is the same at all times. So `t(λ)` is the share of
/// `∫ √(E ℓ²) dλ` that lies above `λ`. If the examples' losses at a level were all alike, the integrand of the bound would be constant in `t`.
///
/// # Examples
/// A perfect denoiser of data ~ N(0, 1) has `E‖ε - ε̂‖² = alpha_bar`, and in one dimension `√(E ℓ²) = √3 alpha_bar`.
/// ```
/// use sfumato_schedule::{LevelLoss, LossCurve, NoiseSchedule, ScheduleConfig};
///
/// let linear = ScheduleConfig::default().build()?;
/// let level = |t| {
///     let (log_snr, mean) = (linear.log_snr(t), linear.alpha_bar(t));
///     LevelLoss { log_snr, mean, root_mean_square: 3_f64.sqrt() * mean }
/// };
/// let losses = LossCurve::new((1..=1000).map(level).collect())?;
/// let ends = linear.log_snr_curve().ends();
/// let learned = losses.schedule(ends, 1000, 0.0)?;
/// // The integral of alpha_bar over log-SNR is -ln(1 - alpha_bar), and half of it has passed at half time.
/// let passed = |schedule: &NoiseSchedule, t| -schedule.one_minus_alpha_bar(t).ln();
/// assert!((passed(&learned, 500) / passed(&learned, 1) - 0.5).abs() < 2e-3);
/// let [before, after] = [&linear, &learned].map(|schedule| losses.spread(&schedule.log_snr_curve()));
/// assert!((before.integral - after.integral).abs() < 1e-3 && after.variance < 0.5 * before.variance);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LossCurve {
    /// Over `-log SNR`, from little noise to much.
    mean: LogLinear,
    size: LogLinear,
    square: LogLinear,
}

/// What an estimate of the bound's integral from one time for each example has: nats for one dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean: `½ ∫ E‖ε - ε̂‖² dλ` between the ends.
    pub integral: f64,
    /// The variance over examples, noise and times, in squared nats.
    pub variance: f64,
}

impl LossCurve {
    /// The curve through measured levels, in any order.
    ///
    /// # Errors
    /// [`ScheduleError::NoLosses`] if there are none, or none above 0; [`ScheduleError::InvalidLoss`] for a level or a loss that is not finite,
    /// a loss below 0, or a level that is there twice.
    pub fn new(mut levels: Vec<LevelLoss>) -> Result<Self, ScheduleError> {
        for &LevelLoss { log_snr, mean, root_mean_square } in &levels {
            let valid = [log_snr, mean, root_mean_square].iter().all(|x| x.is_finite()) && mean >= 0.0;
            if !valid || root_mean_square < mean * (1.0 - 1e-9) {
                let loss = if mean.is_finite() && mean >= 0.0 { root_mean_square } else { mean };
                return Err(ScheduleError::InvalidLoss { log_snr, loss });
            }
        }
        levels.sort_by(|a, b| b.log_snr.total_cmp(&a.log_snr));
        if let Some(pair) = levels.windows(2).find(|pair| pair[0].log_snr <= pair[1].log_snr) {
            return Err(ScheduleError::InvalidLoss { log_snr: pair[1].log_snr, loss: pair[1].mean });
        }
        let largest = levels.iter().map(|level| level.root_mean_square).fold(0.0, f64::max);
        if largest <= 0.0 {
            return Err(ScheduleError::NoLosses);
        }
        let floor = (FLOOR * largest).max(f64::MIN_POSITIVE);
        let curve = |value: &dyn Fn(&LevelLoss) -> f64| {
            LogLinear::new(levels.iter().map(|level| -level.log_snr).collect(), levels.iter().map(value))
        };
        Ok(Self {
            mean: curve(&|level| level.mean.max(floor)),
            size: curve(&|level| level.root_mean_square.max(floor)),
            square: curve(&|level| level.root_mean_square.max(floor).powi(2)),
        })
    }

    /// The mean loss at a level.
    pub fn mean(&self, log_snr: f64) -> f64 {
        self.mean.at(-log_snr)
    }

    /// The share of time, in 0..=1, that the schedule with the least variance spends at more signal than `log_snr`.
    ///
    /// `ends` are the log-SNRs where it begins and ends, the larger one first.
    pub fn time_share(&self, ends: [f64; 2], log_snr: f64) -> f64 {
        let [first, last] = ends.map(|end| self.size.integral_to(-end));
        ((self.size.integral_to(-log_snr) - first) / (last - first)).clamp(0.0, 1.0)
    }

    /// The schedule of `steps` steps whose log-SNR goes from the first of `ends` to the second in steps that all carry the same share of
    /// `∫ √(E ℓ²) dλ`.
    ///
    /// `first_leap` is how far the log-SNR falls from step 1 to step 2 at least, in nats: see [`first_leap`](Self::first_leap). 0 for none.
    ///
    /// # Errors
    /// [`ScheduleError::InvalidEnds`] unless the ends fall, by more than the first leap; as [`NoiseSchedule::from_log_snrs`].
    pub fn schedule(&self, ends: [f64; 2], steps: usize, first_leap: f64) -> Result<NoiseSchedule, ScheduleError> {
        let [first, last] = ends;
        let valid = first.is_finite() && last.is_finite() && first_leap >= 0.0 && first - last > first_leap;
        if !valid {
            return Err(ScheduleError::InvalidEnds { first, last, first_leap });
        }
        crate::schedule::check_length(steps)?;
        let even = |from: f64, count: usize| {
            let [start, end] = [from, last].map(|end| self.size.integral_to(-end));
            let step = move |i: usize| start + (end - start) * i as f64 / count.saturating_sub(1).max(1) as f64;
            (0..count).map(move |i| if i == 0 { from } else { -self.size.inverse(step(i)) }).collect::<Vec<f64>>()
        };
        let mut log_snrs = even(first, steps);
        if steps > 2 && first - log_snrs[1] < first_leap {
            log_snrs = std::iter::once(first).chain(even(first - first_leap, steps - 1)).collect();
        }
        if let Some(end) = log_snrs.last_mut().filter(|_| steps > 1) {
            *end = last;
        }
        NoiseSchedule::from_log_snrs(&log_snrs)
    }

    /// How far the log-SNR should fall from step 1 to step 2 where the variances are fixed, in nats.
    ///
    /// The decoder of a chain with fixed variances has `beta_tilde_2 = (1 - alpha_bar_1)(1 - e^-leap)` as its variance. Steps that all carry the
    /// same share make this leap so short that the decoder would be far too sure of itself, and its term tens of nats for one dimension.
    /// This is the leap at which the decoder (as a density) and step 2 together cost the least.
    ///
    /// # Formula
    /// With `d` the leap and `ℓ` the mean loss, the least of
    /// `½ (ln(1 - e^-d) + ℓ(λ_1)/(ᾱ_1 (1 - e^-d))) + ½ ℓ(λ_1 - d)(e^d - 1) - ½ ∫_{λ_1 - d}^{λ_1} ℓ dλ`
    pub fn first_leap(&self, first: f64) -> f64 {
        let alpha_bar = 1.0 / (1.0 + (-first).exp());
        let cost = |leap: f64| {
            let share = -(-leap).exp_m1();
            let decoder = share.ln() + self.mean(first) / (alpha_bar * share);
            let step = self.mean(first - leap) * leap.exp_m1();
            let replaced = self.mean.integral_to(leap - first) - self.mean.integral_to(-first);
            0.5 * (decoder + step - replaced)
        };
        let leaps = (1..=300).map(|i| LONGEST_LEAP * f64::from(i) / 300.0);
        leaps.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(LONGEST_LEAP)
    }

    /// Mean and variance of an estimate from one time for each example, uniform in `t` along `curve`.
    pub fn spread(&self, curve: &LogSnrCurve) -> Spread {
        let leaps = (curve.steps() - 1) as f64;
        let at = |t: usize| -curve.at(t as f64);
        let over = |function: &LogLinear, t: usize| function.integral_to(at(t + 1)) - function.integral_to(at(t));
        let square: f64 = (1..curve.steps()).map(|t| 0.25 * leaps * (at(t + 1) - at(t)) * over(&self.square, t)).sum();
        let integral = self.integral(curve.ends());
        Spread { integral, variance: square - integral * integral }
    }

    /// The same for the best curve between `ends`.
    pub fn least_spread(&self, ends: [f64; 2]) -> Spread {
        let [first, last] = ends.map(|end| self.size.integral_to(-end));
        let integral = self.integral(ends);
        Spread { integral, variance: (0.5 * (last - first)).powi(2) - integral * integral }
    }

    fn integral(&self, ends: [f64; 2]) -> f64 {
        let [first, last] = ends.map(|end| self.mean.integral_to(-end));
        0.5 * (last - first)
    }
}
