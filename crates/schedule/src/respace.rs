//! The sub-chain of a schedule that visits only some of its steps; Nichol & Dhariwal (2021, arXiv:2102.09672), Section 4.

use crate::double_double::DoubleDouble;
use crate::error::ScheduleError;
use crate::schedule::NoiseSchedule;
use crate::zero_snr::ALL_NOISE;

/// A schedule over a subset of another schedule's steps, with the way back to the original steps.
///
/// Its step `i` is the original step [`original_step(i)`](Self::original_step); `alpha_bar` is the same there, so a
/// network trained on the original chain is asked about `original_step(i)` and sampled with `schedule()` at `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct RespacedSchedule {
    schedule: NoiseSchedule,
    original_steps: Vec<usize>,
}

impl NoiseSchedule {
    /// The sub-chain through the given steps, a strictly increasing list from `1..=T`.
    ///
    /// # Formula
    /// `beta'_i = 1 - alpha_bar_{tau_i} / alpha_bar_{tau_{i-1}}` with `tau_0 = 0` (Nichol & Dhariwal 2021, Section 4), so that
    /// `alpha_bar'_i = alpha_bar_{tau_i}`. The quotient is taken as the product of the alphas between, which keeps its digits. A
    /// last step [without signal](NoiseSchedule::has_zero_terminal_snr) has the same beta in both.
    ///
    /// # Errors
    /// [`ScheduleError::NoTimesteps`], [`ScheduleError::TimestepOutOfRange`] or [`ScheduleError::TimestepsNotIncreasing`] for a
    /// bad list; [`ScheduleError::BetaOutOfRange`] if a leap loses so much signal that its beta is 1 in f64.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{NoiseSchedule, evenly_spaced};
    ///
    /// let full = NoiseSchedule::from_betas(vec![0.01; 100])?;
    /// let short = full.respace(&evenly_spaced(100, 10)?)?;
    /// assert_eq!(short.schedule().steps(), 10);
    /// assert_eq!(short.original_step(10), 100);
    /// assert_eq!(short.schedule().alpha_bar(10), full.alpha_bar(100));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn respace(&self, timesteps: &[usize]) -> Result<RespacedSchedule, ScheduleError> {
        check_timesteps(timesteps, self.steps())?;
        let starts = std::iter::once(0).chain(timesteps.iter().copied());
        let mut alphas: Vec<_> = starts.zip(timesteps).map(|(from, &to)| self.alpha_between(from, to)).collect();
        if self.has_zero_terminal_snr() && timesteps.last() == Some(&self.steps()) {
            // Pure noise stays pure noise: the quotient would be closer to 0 than a beta can say.
            alphas.pop();
            alphas.push(DoubleDouble::one_minus(ALL_NOISE));
        }
        Ok(RespacedSchedule { schedule: Self::from_alphas(alphas)?, original_steps: timesteps.to_vec() })
    }
}

impl RespacedSchedule {
    /// The sub-chain as a schedule of its own, steps `1..=S`.
    ///
    /// # Examples
    /// ```
    /// let full = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.5, 0.5])?;
    /// let short = full.respace(&[1, 3])?;
    /// assert_eq!(short.schedule().betas(), [0.5, 0.75]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// Step of the original chain that step `i` of this one stands for; `i = 0` is clean data in both.
    ///
    /// # Panics
    /// If `i` is not in `0..=S`.
    ///
    /// # Examples
    /// ```
    /// let full = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.5, 0.5])?;
    /// let short = full.respace(&[1, 3])?;
    /// assert_eq!((short.original_step(0), short.original_step(2)), (0, 3));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn original_step(&self, i: usize) -> usize {
        let last = self.original_steps.len();
        assert!(i <= last, "step i = {i} is outside 0..={last}");
        i.checked_sub(1).map_or(0, |index| self.original_steps[index])
    }

    /// The chosen steps of the original chain, strictly increasing; index `i - 1` holds step `i`.
    ///
    /// # Examples
    /// ```
    /// let full = sfumato_schedule::NoiseSchedule::from_betas(vec![0.5, 0.5, 0.5])?;
    /// let short = full.respace(&[1, 3])?;
    /// assert_eq!(short.original_steps(), [1, 3]);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn original_steps(&self) -> &[usize] {
        &self.original_steps
    }
}

fn check_timesteps(timesteps: &[usize], steps: usize) -> Result<(), ScheduleError> {
    if timesteps.is_empty() {
        return Err(ScheduleError::NoTimesteps);
    }
    let mut previous = 0;
    for (index, &timestep) in timesteps.iter().enumerate() {
        let position = index + 1;
        if !(1..=steps).contains(&timestep) {
            return Err(ScheduleError::TimestepOutOfRange { position, timestep, steps });
        }
        if timestep <= previous {
            return Err(ScheduleError::TimestepsNotIncreasing { position, previous, timestep });
        }
        previous = timestep;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_give_the_same_schedule() {
        let full = NoiseSchedule::from_betas(vec![0.1, 0.02, 0.3]).expect("valid betas");
        assert_eq!(full.respace(&[1, 2, 3]).expect("a valid subset").schedule(), &full);
    }

    #[test]
    fn bad_lists_are_refused() {
        let full = NoiseSchedule::from_betas(vec![0.1; 5]).expect("valid betas");
        assert_eq!(full.respace(&[]), Err(ScheduleError::NoTimesteps));
        let zero = ScheduleError::TimestepOutOfRange { position: 1, timestep: 0, steps: 5 };
        assert_eq!(full.respace(&[0, 1]), Err(zero));
        let late = ScheduleError::TimestepOutOfRange { position: 2, timestep: 6, steps: 5 };
        assert_eq!(full.respace(&[1, 6]), Err(late));
        let repeated = ScheduleError::TimestepsNotIncreasing { position: 3, previous: 4, timestep: 4 };
        assert_eq!(full.respace(&[1, 4, 4]), Err(repeated));
    }

    #[test]
    fn a_leap_over_all_signal_is_refused() {
        let full = NoiseSchedule::from_betas(vec![0.5; 1000]).expect("valid betas");
        assert_eq!(full.respace(&[1000]), Err(ScheduleError::BetaOutOfRange { step: 1, beta: 1.0 }));
    }
}
