//! What is wrong with a schedule for given data: a linter that returns findings, with the numbers, instead of printing.
//!
//! It reads a table of `alpha_bar` rather than a [`NoiseSchedule`], so that it can also explain tables that are no valid
//! schedule, such as those of other programs' files.

mod finding;

pub use finding::{Finding, IdleReason, Severity};

use crate::bound::prior_kl;
use crate::probability::nats_to_bits;
use crate::schedule::NoiseSchedule;

/// Unit in the last place of an f32 just below 1: with a smaller beta, `sqrt(1 - beta)` rounds to 1 in the network's arithmetic.
const F32_RESOLUTION: f64 = 1.0 / (1 << 24) as f64;
/// Distance between two levels of 8-bit data in model space.
const LEVEL: f64 = 2.0 / 255.0;
/// Prior KL, in bits per dimension, below which there is nothing left for later steps to remove: a thousandth of the 1e-5 that
/// DDPM's whole chain leaves.
const NOTHING_LEFT: f64 = 1e-8;

/// What a schedule is to be used for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckConditions {
    /// Mean of `x_0²` over data and dimensions, in squared data units: 1/3 for uniform grey levels, 1 (the default, and the
    /// largest that images in [-1, 1] can have) for normalised data.
    pub mean_square: f64,
    /// Whether the network predicts the noise, so that `x_0 = (x_t - sqrt(1 - alpha_bar) ε) / sqrt(alpha_bar)` divides by the signal.
    pub predicts_noise: bool,
    /// Largest prior KL to accept, bits per dimension; 1e-3 by default, which shows in the third decimal of a likelihood.
    pub prior_limit: f64,
}

impl Default for CheckConditions {
    fn default() -> Self {
        Self { mean_square: 1.0, predicts_noise: true, prior_limit: 1e-3 }
    }
}

/// Everything that is wrong with the table `alpha_bars`, where index `t - 1` holds `alpha_bar_t`; empty if nothing is.
///
/// A table that is out of range or not decreasing gets that finding alone: nothing else can be said about it.
///
/// # Examples
/// ```
/// use sfumato_schedule::{CheckConditions, Finding, check};
///
/// let rising = check(&[0.9, 0.5, 0.6], &CheckConditions::default());
/// assert_eq!(rising, [Finding::SnrNotDecreasing { step: 3, previous: 0.5, alpha_bar: 0.6, count: 1 }]);
///
/// let lost = check(&[0.5, 0.0], &CheckConditions::default());
/// assert_eq!(lost, [Finding::ZeroSignalWithEpsilon { step: 2 }]);
/// ```
pub fn check(alpha_bars: &[f64], conditions: &CheckConditions) -> Vec<Finding> {
    if let Some(finding) = unusable(alpha_bars) {
        return vec![finding];
    }
    let idle = [IdleReason::BelowResolution, IdleReason::SignalGone].into_iter();
    [prior(alpha_bars, conditions), epsilon(alpha_bars, conditions.predicts_noise)]
        .into_iter()
        .chain(idle.map(|reason| idle_steps(alpha_bars, conditions, reason)))
        .flatten()
        .collect()
}

impl NoiseSchedule {
    /// Everything that is wrong with this schedule for the given use; see [`check`](crate::check()).
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{CheckConditions, Finding, ScheduleConfig};
    ///
    /// let check = |name: &str| name.parse::<ScheduleConfig>()?.build().map(|s| s.check(&CheckConditions::default()));
    /// assert!(check("linear")?.is_empty());
    /// // Cut short, the linear schedule leaves the data visible.
    /// assert!(matches!(check("linear:100")?[..], [Finding::PriorTooFar { bits_per_dim, .. }] if bits_per_dim > 0.1));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn check(&self, conditions: &CheckConditions) -> Vec<Finding> {
        if self.has_zero_terminal_snr() {
            // The table has the nearest number to 0 that a schedule may have; what is meant is 0.
            let mut alpha_bars = self.alpha_bars().to_vec();
            alpha_bars[self.steps() - 1] = 0.0;
            return check(&alpha_bars, conditions);
        }
        check(self.alpha_bars(), conditions)
    }
}

fn unusable(alpha_bars: &[f64]) -> Option<Finding> {
    if alpha_bars.is_empty() {
        return Some(Finding::NoSteps);
    }
    if let Some(index) = alpha_bars.iter().position(|alpha_bar| !(0.0..=1.0).contains(alpha_bar)) {
        return Some(Finding::AlphaBarOutOfRange { step: index + 1, alpha_bar: alpha_bars[index] });
    }
    let mut stalled = steps(alpha_bars).filter(|&(_, previous, alpha_bar)| alpha_bar >= previous);
    let (step, previous, alpha_bar) = stalled.next()?;
    Some(Finding::SnrNotDecreasing { step, previous, alpha_bar, count: 1 + stalled.count() })
}

fn prior(alpha_bars: &[f64], conditions: &CheckConditions) -> Option<Finding> {
    let alpha_bar = *alpha_bars.last()?;
    let (bits_per_dim, limit) = (prior_bits(alpha_bar, conditions), conditions.prior_limit);
    (bits_per_dim > limit).then_some(Finding::PriorTooFar { bits_per_dim, limit, alpha_bar })
}

fn epsilon(alpha_bars: &[f64], predicts_noise: bool) -> Option<Finding> {
    if !predicts_noise {
        return None;
    }
    let amplification = |alpha_bar: f64| ((1.0 - alpha_bar) / alpha_bar).sqrt();
    if let Some(index) = alpha_bars.iter().position(|&alpha_bar| alpha_bar == 0.0) {
        return Some(Finding::ZeroSignalWithEpsilon { step: index + 1 });
    }
    let (step, _, alpha_bar) =
        steps(alpha_bars).find(|&(_, _, alpha_bar)| amplification(alpha_bar) * F32_RESOLUTION > LEVEL)?;
    Some(Finding::EpsilonIllConditioned { step, alpha_bar, amplification: amplification(alpha_bar) })
}

fn idle_steps(alpha_bars: &[f64], conditions: &CheckConditions, reason: IdleReason) -> Option<Finding> {
    let idle = |&(_, previous, alpha_bar): &(usize, f64, f64)| match reason {
        IdleReason::BelowResolution => (previous - alpha_bar) / previous < F32_RESOLUTION,
        // A step to no signal at all is meant to be there, however little it takes.
        IdleReason::SignalGone => alpha_bar > 0.0 && prior_bits(previous, conditions) < NOTHING_LEFT,
    };
    let idle: Vec<usize> = steps(alpha_bars).filter(idle).map(|(step, _, _)| step).collect();
    Some(Finding::IdleSteps { first: *idle.first()?, last: *idle.last()?, count: idle.len(), reason })
}

/// `(t, alpha_bar_{t-1}, alpha_bar_t)` for every step.
fn steps(alpha_bars: &[f64]) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
    let before = std::iter::once(1.0).chain(alpha_bars.iter().copied());
    before.zip(alpha_bars).enumerate().map(|(index, (previous, &alpha_bar))| (index + 1, previous, alpha_bar))
}

fn prior_bits(alpha_bar: f64, conditions: &CheckConditions) -> f64 {
    nats_to_bits(prior_kl(alpha_bar, 1.0 - alpha_bar, conditions.mean_square))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScheduleConfig;

    fn findings(schedule: &str, predicts_noise: bool) -> Vec<Finding> {
        let config: ScheduleConfig = schedule.parse().expect("a known schedule");
        let conditions = CheckConditions { predicts_noise, ..CheckConditions::default() };
        config.build().expect("a valid schedule").check(&conditions)
    }

    #[test]
    fn the_papers_schedules_are_clean() {
        for schedule in ["linear", "cosine", "cosine:4000", "linear:4000,rescale=true", "jensen-shannon", "constant"] {
            assert_eq!(findings(schedule, true), [], "{schedule}");
        }
    }

    #[test]
    fn the_notes_cosine_has_idle_steps_at_its_end() {
        let expected = Finding::IdleSteps { first: 993, last: 1000, count: 8, reason: IdleReason::SignalGone };
        assert_eq!(findings("notes-cosine", true), [expected]);
    }

    #[test]
    fn the_notes_cosine_as_printed_is_not_decreasing() {
        let f = |t: usize| ((t as f64 / 1000.0 + 0.008) * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let printed: Vec<f64> = (1..=1000).map(|t| f(t) / f(0)).collect();
        match check(&printed, &CheckConditions::default())[..] {
            [Finding::SnrNotDecreasing { step: 993, count: 8, .. }] => {}
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn too_much_noise_is_idle_and_too_much_for_epsilon_but_not_for_v() {
        let lost = findings("constant:steps=4000,beta=0.02", true);
        assert!(
            matches!(lost[0], Finding::EpsilonIllConditioned { amplification, .. } if amplification > 6e4),
            "{lost:?}"
        );
        assert!(matches!(lost[1], Finding::IdleSteps { last: 4000, reason: IdleReason::SignalGone, .. }), "{lost:?}");
        assert_eq!(findings("constant:steps=4000,beta=0.02", false), lost[1..]);
    }

    #[test]
    fn zero_signal_is_an_error_only_for_epsilon() {
        let zero = check(&[0.5, 0.0], &CheckConditions::default());
        assert_eq!((zero[0], zero[0].severity()), (Finding::ZeroSignalWithEpsilon { step: 2 }, Severity::Error));
        let v = CheckConditions { predicts_noise: false, ..CheckConditions::default() };
        assert_eq!(check(&[0.5, 0.0], &v), []);
    }

    #[test]
    fn a_schedule_rescaled_to_zero_signal_is_one_for_v_alone() {
        let rescaled = ScheduleConfig::default().build().and_then(|schedule| schedule.with_zero_terminal_snr());
        let rescaled = rescaled.expect("the default schedule can be rescaled");
        let check = |predicts_noise| rescaled.check(&CheckConditions { predicts_noise, ..CheckConditions::default() });
        assert_eq!(check(false), []);
        assert_eq!(check(true), [Finding::ZeroSignalWithEpsilon { step: 1000 }]);
    }

    #[test]
    fn invisible_steps_are_counted() {
        let mut betas = vec![0.02; 800];
        betas[10] = 1e-9;
        betas[20] = 1e-9;
        let schedule = NoiseSchedule::from_betas(betas).expect("valid betas");
        let expected = Finding::IdleSteps { first: 11, last: 21, count: 2, reason: IdleReason::BelowResolution };
        assert_eq!(schedule.check(&CheckConditions::default()), [expected]);
    }

    #[test]
    fn the_prior_is_that_of_the_data() {
        let half = CheckConditions { mean_square: 0.0, prior_limit: 0.0, ..CheckConditions::default() };
        match check(&[0.5], &half)[..] {
            [Finding::PriorTooFar { bits_per_dim, .. }] => {
                assert!((bits_per_dim - nats_to_bits(0.5 * (-0.5 + 2_f64.ln()))).abs() < 1e-15);
            }
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tables_that_are_no_schedule_are_explained() {
        let default = CheckConditions::default();
        assert_eq!(check(&[], &default), [Finding::NoSteps]);
        assert_eq!(check(&[0.5, -0.1], &default), [Finding::AlphaBarOutOfRange { step: 2, alpha_bar: -0.1 }]);
        assert!(check(&[0.5, f64::NAN], &default)[0].to_string().contains("alpha_bar at step 2 is NaN"));
        let unchanged = Finding::SnrNotDecreasing { step: 1, previous: 1.0, alpha_bar: 1.0, count: 1 };
        assert_eq!(check(&[1.0, 0.5], &default), [unchanged]);
    }
}
