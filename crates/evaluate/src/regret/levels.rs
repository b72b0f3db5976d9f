//! The noise levels at which losses are compared.

use serde::Serialize;
use sfumato_schedule::NoiseSchedule;

/// Levels if nothing is said.
pub const LEVELS: usize = 20;
/// Below this log SNR, in nats, there is nothing left but noise: data of unit variance has a share of 1/22,000 of the power of `x_t`.
const LEAST_LOG_SNR: f64 = -10.0;

/// A step of the chain that stands for those near to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The step, `1..=T`.
    pub t: usize,
    /// `ln(ᾱ_t / (1 - ᾱ_t))`, in nats.
    pub log_snr: f64,
    /// The share of all steps that it stands for. The shares of all levels sum to 1.
    pub share: f64,
}

/// About `count` steps of `schedule`, from the first on, spread evenly in log SNR as far as there are such steps. Fewer where steps are
/// far apart.
///
/// Whether one image explains `x_t`, or many do, depends on the SNR alone. Evenly spread in log SNR, the levels show that passage equally
/// well with every schedule. Evenly spread in `t`, one level of a usual chain would stand for all of the little noise where losses change
/// most. Levels end at a log SNR of -10.
///
/// A mean over the levels by their shares stands for the mean over all steps, which is what `L_simple` is.
///
/// # Examples
/// ```
/// use sfumato_evaluate::regret::levels;
/// use sfumato_schedule::ScheduleConfig;
///
/// let levels = levels(&ScheduleConfig::default().build()?, 20);
/// assert_eq!((levels.len(), levels[0].t), (20, 1));
/// assert!(levels.windows(2).all(|pair| pair[0].t < pair[1].t));
/// assert!((levels.iter().map(|level| level.share).sum::<f64>() - 1.0).abs() < 1e-12);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
///
/// # Panics
/// If `count` is 0.
pub fn levels(schedule: &NoiseSchedule, count: usize) -> Vec<Level> {
    assert!(count > 0, "losses are compared at one level at least");
    let all: Vec<f64> = (1..=schedule.steps()).map(|t| schedule.log_snr(t)).collect();
    let usable = all.iter().take_while(|log_snr| **log_snr >= LEAST_LOG_SNR).count().max(1);
    let (most, least) = (all[0], all[usable - 1]);
    let wanted = (0..count).map(|i| most - (most - least) * i as f64 / (count.max(2) - 1) as f64);
    let mut steps: Vec<usize> = wanted.map(|log_snr| nearest(&all[..usable], log_snr) + 1).collect();
    steps.dedup();
    // Every step belongs to the level whose log SNR is nearest.
    let chosen: Vec<f64> = steps.iter().map(|&t| all[t - 1]).collect();
    let mut counts = vec![0_usize; steps.len()];
    all.iter().for_each(|log_snr| counts[nearest(&chosen, *log_snr)] += 1);
    let level = |(&t, count): (&usize, usize)| Level { t, log_snr: all[t - 1], share: count as f64 / all.len() as f64 };
    steps.iter().zip(counts).map(level).collect()
}

/// The place of the nearest of the falling numbers `all`; they may end in minus infinity, which is nearest to no number.
fn nearest(all: &[f64], wanted: f64) -> usize {
    let after = all.partition_point(|value| *value > wanted);
    match (after.checked_sub(1), all.get(after)) {
        (Some(before), Some(next)) if all[before] - wanted <= wanted - next => before,
        (_, Some(_)) => after,
        (Some(before), None) => before,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::{Explicit, ScheduleConfig};

    use super::*;

    #[test]
    fn every_family_and_length_has_rising_levels_whose_shares_are_all_steps() {
        for name in ScheduleConfig::NAMES {
            for steps in [1, 2, 3, 7, 50, 1000, 4000] {
                let config = match name {
                    "explicit" => Explicit { betas: vec![0.1; steps] }.into(),
                    _ => ScheduleConfig::from_name(name).unwrap().with_steps(steps).unwrap(),
                };
                let Ok(schedule) = config.build() else { continue };
                let schedules = [schedule.with_zero_terminal_snr().ok(), Some(schedule)];
                for schedule in schedules.into_iter().flatten() {
                    let levels = levels(&schedule, LEVELS);
                    assert!(levels.len() <= LEVELS && levels[0].t == 1, "{name}, {steps}");
                    assert!(levels.windows(2).all(|pair| pair[0].t < pair[1].t), "{name}, {steps}");
                    let total: f64 = levels.iter().map(|level| level.share).sum();
                    assert!((total - 1.0).abs() < 1e-12 && levels.iter().all(|level| level.share > 0.0));
                    assert!(levels.iter().skip(1).all(|level| level.log_snr >= LEAST_LOG_SNR));
                }
            }
        }
    }

    #[test]
    fn levels_are_evenly_spread_in_log_snr() {
        let schedule = ScheduleConfig::default().build().unwrap();
        let levels = levels(&schedule, LEVELS);
        let gap = (levels[0].log_snr - levels[19].log_snr) / 19.0;
        for (i, level) in levels.iter().enumerate().skip(3) {
            let wanted = levels[0].log_snr - gap * i as f64;
            assert!((level.log_snr - wanted).abs() < 0.25, "{i}: {} for {wanted}", level.log_snr);
        }
    }
}
