//! The noise levels of diffusers' solvers: which ones its schedulers visit, to the last digit.

use serde::{Deserialize, Serialize};
use sfumato_process::{
    NoiseLevel, NoiseLevels,
    levels::{RHO, Sigmas, karras},
};
use sfumato_schedule::{NoiseSchedule, ScheduleError, evenly_spaced};

use super::SamplerError;
use crate::{Spacing, leading, trailing};

/// Where a solver stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalSigma {
    /// At clean data, `σ = 0`.
    #[default]
    Zero,
    /// At the trained chain's first step, `σ_1`.
    First,
}

/// Which levels are visited; the defaults are those of diffusers' solvers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelOptions {
    /// How the steps are spread over the trained chain.
    pub spacing: Spacing,
    /// Steps by which `leading` starts later: diffusers' `steps_offset`.
    pub offset: usize,
    /// Levels after Karras et al. (2022), Eq. 5, with `ρ = 7`, instead of the levels of evenly spread steps.
    pub karras: bool,
    /// Where the solver stops.
    pub end: FinalSigma,
    /// Steps whose half log-SNR `½ log(ᾱ / (1 - ᾱ))` lies below are not visited: diffusers' `lambda_min_clipped` (DPM-Solver++ only).
    pub lambda_min: f64,
    /// With Karras levels DPM-Solver++ tells the network whole steps; this takes the step below instead of the nearest one, as
    /// diffusers does for the cosine schedule.
    pub round_down: bool,
}

impl Default for LevelOptions {
    fn default() -> Self {
        Self {
            spacing: Spacing::Linspace,
            offset: 0,
            karras: false,
            end: FinalSigma::Zero,
            lambda_min: f64::NEG_INFINITY,
            round_down: false,
        }
    }
}

/// `count` levels for Euler, with fresh noise or without, and Heun, at times that may lie between the trained chain's steps.
///
/// As in diffusers' EulerDiscreteScheduler, `linspace` does not round, and `σ` is interpolated linearly between steps;
/// Karras levels reach from the first to the last of the spread steps. A single `linspace` step is at `T`, where diffusers
/// takes the first step.
///
/// # Errors
/// [`SamplerError`] if `count` is 0 or above `T`, or the offset leads past `T`.
pub fn euler_levels(
    schedule: &NoiseSchedule,
    count: usize,
    options: &LevelOptions,
) -> Result<NoiseLevels, SamplerError> {
    let steps = schedule.steps();
    let whole = match options.spacing {
        Spacing::Linspace => evenly_spaced(steps, count)?,
        Spacing::Leading => leading(steps, count, options.offset)?,
        Spacing::Trailing => trailing(steps, count)?,
    };
    let mut times: Vec<f64> = whole.iter().map(|&t| t as f64).collect();
    if options.spacing == Spacing::Linspace && count > 1 {
        let stride = (steps - 1) as f64 / (count - 1) as f64;
        // Through f32, in which the network is told the time.
        times = (0..count).map(|i| 1.0 + f64::from((i as f64 * stride) as f32)).collect();
    }
    times.reverse();
    let sigmas = Sigmas::of(schedule);
    let mut levels: Vec<NoiseLevel> = times.iter().map(|&t| sigmas.level(t)).collect();
    if options.karras {
        let (max, min) = (levels[0].sigma, levels[count - 1].sigma);
        levels = karras(max, min, count).map(|sigma| sigmas.level_of(sigma)).collect();
    }
    fall(&mut levels);
    let max = levels[0].sigma;
    // Only the noise of x_T for the spacings that reach T; with `leading`, where the data is still there, its variance too.
    let start_scale = if options.spacing == Spacing::Leading { max.hypot(1.0) } else { max };
    let end = end(&sigmas, &levels, options.end);
    Ok(NoiseLevels::new(levels, end)?.with_start_scale(start_scale))
}

/// `count` levels for DPM-Solver++ and UniPC, at whole steps of the trained chain.
///
/// As in diffusers' DPMSolverMultistepScheduler and UniPCMultistepScheduler, `linspace` and `leading` choose `count + 1` steps and leave out the first,
/// and Karras levels reach over the whole chain, whatever `lambda_min` says. As many levels as steps are all steps, where
/// diffusers visits some twice; with `lambda_min`, `trailing` may give fewer levels than asked for.
///
/// # Errors
/// [`SamplerError`] if `count` is 0 or above `T`; without Karras levels also if it is above the number of steps that `lambda_min`
/// leaves, or the offset leads past them.
pub fn dpm_solver_levels(
    schedule: &NoiseSchedule,
    count: usize,
    options: &LevelOptions,
) -> Result<NoiseLevels, SamplerError> {
    let sigmas = Sigmas::of(schedule);
    let steps = schedule.steps();
    trailing(steps, count)?; // for its errors
    let mut levels: Vec<NoiseLevel> = if options.karras {
        let time = |sigma| {
            let zero_based = sigmas.time_of(sigma) - 1.0;
            1.0 + if options.round_down { zero_based.floor() } else { zero_based.round_ties_even() }
        };
        let levels = karras(sigmas.steps()[steps - 1], sigmas.steps()[0], count);
        let mut levels: Vec<NoiseLevel> = levels.map(|sigma| NoiseLevel { sigma, t: time(sigma) }).collect();
        if options.round_down {
            levels[0].t = if steps > 1 && is_told_below(schedule) { steps as f64 - 1.0 } else { steps as f64 };
        }
        levels
    } else {
        let times = dpm_solver_steps(sigmas.steps(), count, options)?;
        times.iter().rev().map(|&t| NoiseLevel { sigma: sigmas.steps()[t - 1], t: t as f64 }).collect()
    };
    fall(&mut levels);
    let end = end(&sigmas, &levels, options.end);
    Ok(NoiseLevels::new(levels, end)?)
}

/// The steps of DPM-Solver++ without Karras levels, increasing; `sigmas` are those of the chain.
fn dpm_solver_steps(sigmas: &[f64], count: usize, options: &LevelOptions) -> Result<Vec<usize>, ScheduleError> {
    let steps = sigmas.len();
    // λ = -log σ falls with the step.
    let last = sigmas.iter().take_while(|sigma| -sigma.ln() >= options.lambda_min).count();
    if last == 0 {
        return Err(ScheduleError::NoTimesteps);
    }
    Ok(match options.spacing {
        Spacing::Linspace if count < last => evenly_spaced(last, count + 1)?[1..].to_vec(),
        Spacing::Linspace => evenly_spaced(last, count)?,
        Spacing::Leading if count < last => leading(last, count + 1, options.offset)?[1..].to_vec(),
        Spacing::Leading => leading(last, count, options.offset)?,
        Spacing::Trailing if last == steps => trailing(steps, count)?,
        Spacing::Trailing => {
            let stride = steps as f64 / count as f64;
            let down = (0..count).map(|i| last as f64 - i as f64 * stride).take_while(|&t| t > 0.5);
            let mut times: Vec<usize> = down.map(|t| t.round_ties_even() as usize).collect();
            times.reverse();
            times
        }
    })
}

/// Puts the first level above the second. Of a chain that ends in pure noise, the step before the last may have less signal than the
/// last one was given: a grid that visits both would rise.
fn fall(levels: &mut [NoiseLevel]) {
    if let [first, second, ..] = levels
        && first.sigma < second.sigma
    {
        first.sigma = 2.0 * second.sigma;
    }
}

/// Where the steps from `levels` end. Karras levels end at `σ_1` but for rounding: the end is not above them.
fn end(sigmas: &Sigmas, levels: &[NoiseLevel], end: FinalSigma) -> Option<NoiseLevel> {
    let last = levels.last().map_or(f64::INFINITY, |level| level.sigma);
    match end {
        FinalSigma::Zero => None,
        FinalSigma::First => Some(NoiseLevel { sigma: sigmas.steps()[0].min(last), t: 1.0 }),
    }
}

/// Whether diffusers tells the network the step below `T` at the highest of Karras levels that are rounded down.
///
/// It looks `log σ_T`, rounded to float32, up in f64: where it was rounded up, `σ_T` lies below step `T`. So it is with the cosine
/// schedule of 1000 steps.
fn is_told_below(schedule: &NoiseSchedule) -> bool {
    let alpha = |t| f64::from(1.0 - schedule.beta(t) as f32);
    let alpha_bar = (1..=schedule.steps()).map(alpha).product::<f64>() as f32;
    let sigma = ((1.0 - alpha_bar) / alpha_bar).sqrt();
    let looked_up = f64::from(sigma).powf(1.0 / RHO).powf(RHO).ln();
    looked_up < f64::from(f64::from(sigma).ln() as f32)
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::ScheduleConfig;

    use super::*;

    fn schedule() -> NoiseSchedule {
        ScheduleConfig::default().build().unwrap()
    }

    #[test]
    fn levels_fall_for_every_spacing_and_count() {
        for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Trailing] {
            for karras in [false, true] {
                for count in [1, 2, 3, 7, 20, 333, 500, 999, 1000] {
                    let options = LevelOptions { spacing, karras, ..LevelOptions::default() };
                    for levels in [
                        euler_levels(&schedule(), count, &options).unwrap(),
                        dpm_solver_levels(&schedule(), count, &options).unwrap(),
                    ] {
                        assert_eq!(levels.steps(), count);
                        let falls = levels.levels().windows(2).all(|pair| pair[0].sigma > pair[1].sigma);
                        let known = levels.levels().iter().all(|level| (1.0..=1000.0).contains(&level.t));
                        assert!(falls && known, "{spacing} {karras} {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn steps_without_signal_can_be_left_out() {
        let cosine = "cosine".parse::<ScheduleConfig>().unwrap().build().unwrap();
        let options = LevelOptions { lambda_min: -5.1, ..LevelOptions::default() };
        for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Trailing] {
            let levels = dpm_solver_levels(&cosine, 20, &LevelOptions { spacing, ..options }).unwrap();
            assert!(levels.levels()[0].sigma <= 5.1f64.exp(), "{spacing}");
            let none = LevelOptions { lambda_min: 50.0, spacing, ..options };
            assert_eq!(dpm_solver_levels(&cosine, 20, &none), Err(ScheduleError::NoTimesteps.into()));
        }
    }

    #[test]
    fn pure_noise_has_a_finite_level() {
        let schedule = schedule().with_zero_terminal_snr().unwrap();
        let levels = euler_levels(&schedule, 5, &LevelOptions::default()).unwrap();
        assert!((levels.levels()[0].sigma - 4096.0).abs() < 1.0);
    }
}
