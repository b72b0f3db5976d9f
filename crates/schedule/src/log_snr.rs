//! Log-SNR as a function of real time, and schedules made of log-SNRs.

use crate::error::ScheduleError;
use crate::schedule::NoiseSchedule;

/// The log-SNR of a schedule at any time `1.0..=T`: a straight line from each step to the next, so that it falls wherever the schedule does.
///
/// A chain with ever more steps on this curve has a limit, which is what the variational bound in continuous time is about (Kingma et al.
/// 2021, arXiv:2107.00630). `log_snr = ln(alpha_bar / (1 - alpha_bar))` in nats; the VDM paper's `gamma` is its negative.
///
/// # Examples
/// ```
/// let schedule = sfumato_schedule::ScheduleConfig::default().build()?;
/// let curve = schedule.log_snr_curve();
/// assert_eq!(curve.at(17.0), schedule.log_snr(17));
/// assert!(curve.at(17.5) < schedule.log_snr(17) && curve.at(17.5) > schedule.log_snr(18));
/// assert!((curve.time_of(curve.at(17.25)) - 17.25).abs() < 1e-9);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogSnrCurve {
    /// At step `t`, index `t - 1`; not rising.
    log_snrs: Vec<f64>,
}

impl LogSnrCurve {
    /// Number of steps `T` of the schedule.
    pub fn steps(&self) -> usize {
        self.log_snrs.len()
    }

    /// The log-SNR of steps 1 and `T`, in nats: the most and the least signal.
    pub fn ends(&self) -> [f64; 2] {
        [self.log_snrs[0], self.log_snrs[self.log_snrs.len() - 1]]
    }

    /// The log-SNR at time `t`, in nats; that of the nearest end outside `1..=T`.
    pub fn at(&self, t: f64) -> f64 {
        let t = t.clamp(1.0, self.steps() as f64);
        let low = (t.floor() as usize).min(self.steps());
        let high = (low + 1).min(self.steps());
        let (below, above) = (self.log_snrs[low - 1], self.log_snrs[high - 1]);
        below + (t - low as f64) * (above - below)
    }

    /// The time in `1..=T` with the given log-SNR: the inverse of [`at`](Self::at), the nearest end outside.
    pub fn time_of(&self, log_snr: f64) -> f64 {
        let steps = self.steps();
        if steps == 1 {
            return 1.0;
        }
        let low = self.log_snrs.partition_point(|&known| known >= log_snr).clamp(1, steps - 1);
        let (below, above) = (self.log_snrs[low - 1], self.log_snrs[low]);
        if below == above {
            return low as f64; // the two are one in f64
        }
        low as f64 + ((log_snr - below) / (above - below)).clamp(0.0, 1.0)
    }

    /// The same curve in another number of steps, evenly spread in time: the same ends, and as many points of the curve between them.
    ///
    /// # Errors
    /// As [`NoiseSchedule::from_log_snrs`].
    ///
    /// # Examples
    /// ```
    /// let schedule = sfumato_schedule::ScheduleConfig::default().build()?;
    /// let fine = schedule.log_snr_curve().in_steps(9991)?; // ten times as many leaps
    /// assert!((fine.log_snr(4991) - schedule.log_snr(500)).abs() < 1e-9);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn in_steps(&self, steps: usize) -> Result<NoiseSchedule, ScheduleError> {
        let leap = (self.steps() - 1) as f64 / steps.saturating_sub(1).max(1) as f64;
        let log_snrs: Vec<f64> = (0..steps).map(|i| self.at(1.0 + leap * i as f64)).collect();
        NoiseSchedule::from_log_snrs(&log_snrs)
    }
}

impl NoiseSchedule {
    /// The log-SNR at any time between the first step and the last.
    pub fn log_snr_curve(&self) -> LogSnrCurve {
        LogSnrCurve { log_snrs: (1..=self.steps()).map(|t| self.log_snr(t)).collect() }
    }

    /// The schedule with the given log-SNRs in nats, a strictly falling list; index `t - 1` holds step `t`.
    ///
    /// # Formula
    /// `beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}` with `ln alpha_bar = -ln(1 + exp(-log_snr))`, whose digits do not cancel
    ///
    /// # Errors
    /// As [`from_betas`](Self::from_betas): the list is empty or too long, or it does not fall by enough for a `beta` in (0, 1).
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::NoiseSchedule;
    ///
    /// let schedule = NoiseSchedule::from_log_snrs(&[9.0, 0.0, -10.0])?;
    /// assert!((schedule.alpha_bar(2) - 0.5).abs() < 1e-15);
    /// assert!(NoiseSchedule::from_log_snrs(&[0.0, 1.0]).is_err());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn from_log_snrs(log_snrs: &[f64]) -> Result<Self, ScheduleError> {
        let mut before = 0.0;
        let beta = |log_snr: &f64| {
            let log_alpha_bar = -softplus(-log_snr);
            let beta = -(log_alpha_bar - before).exp_m1();
            before = log_alpha_bar;
            beta
        };
        Self::from_betas(log_snrs.iter().map(beta).collect())
    }
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cosine, ScheduleConfig};

    #[test]
    fn a_curve_meets_the_schedule_at_its_steps_and_falls_between() {
        let schedule = ScheduleConfig::from(Cosine { steps: 30, ..Cosine::default() }).build().unwrap();
        let curve = schedule.log_snr_curve();
        for t in 1..=30 {
            assert_eq!(curve.at(t as f64), schedule.log_snr(t));
            assert!((curve.time_of(schedule.log_snr(t)) - t as f64).abs() < 1e-9);
        }
        let times: Vec<f64> = (0..=290).map(|i| 1.0 + 0.1 * f64::from(i)).collect();
        assert!(times.windows(2).all(|pair| curve.at(pair[1]) < curve.at(pair[0])));
        assert!(times.iter().all(|&t| (curve.time_of(curve.at(t)) - t).abs() < 1e-9));
        assert_eq!((curve.at(0.0), curve.at(99.0)), (schedule.log_snr(1), schedule.log_snr(30)));
        assert_eq!((curve.time_of(1e9), curve.time_of(-1e9)), (1.0, 30.0));
    }

    #[test]
    fn schedules_of_one_step_have_a_curve_of_one_point() {
        let schedule = NoiseSchedule::from_betas(vec![0.25]).unwrap();
        let curve = schedule.log_snr_curve();
        let log_snr = schedule.log_snr(1);
        assert_eq!((curve.at(1.0), curve.time_of(0.0), curve.ends()), (log_snr, 1.0, [log_snr; 2]));
        assert!((log_snr - 3f64.ln()).abs() < 1e-15);
        assert!((curve.in_steps(1).unwrap().beta(1) - 0.25).abs() < 1e-15);
        assert_eq!(curve.in_steps(0).unwrap_err(), ScheduleError::NoSteps);
    }

    #[test]
    fn log_snrs_make_the_schedule_that_they_come_from() {
        for name in ["linear", "cosine:4000", "sigmoid"] {
            let schedule = name.parse::<ScheduleConfig>().unwrap().build().unwrap();
            let again = schedule.log_snr_curve().in_steps(schedule.steps()).unwrap();
            for (t, beta) in (1..).zip(schedule.betas()) {
                assert!((again.beta(t) / beta - 1.0).abs() < 1e-9, "{name} at {t}: {} for {beta}", again.beta(t));
            }
        }
        for wrong in [&[0.0, 0.0][..], &[f64::NAN], &[1.0, 2.0]] {
            NoiseSchedule::from_log_snrs(wrong).unwrap_err();
        }
    }
}
