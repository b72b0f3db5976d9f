//! Which steps a shortened chain visits: the spacing of Nichol & Dhariwal (2021), counted from 1.

use crate::error::ScheduleError;
use crate::schedule::check_length;

/// `count` steps from 1 to `steps`, both included, as evenly as rounding allows: the spacing of Nichol & Dhariwal (2021),
/// and diffusers' `linspace`.
///
/// # Formula
/// `t_i = 1 + round((i - 1) (T - 1) / (count - 1))`, halves to even. A single step is `T`: the other systems take the first
/// step then, and so sample from a chain that never reaches the noise.
///
/// # Errors
/// [`ScheduleError::NoTimesteps`] if `count` is 0, [`ScheduleError::TooManyTimesteps`] if it exceeds `steps`.
///
/// # Examples
/// ```
/// assert_eq!(sfumato_schedule::evenly_spaced(1000, 3)?, [1, 501, 1000]);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
pub fn evenly_spaced(steps: usize, count: usize) -> Result<Vec<usize>, ScheduleError> {
    check_count(steps, count)?;
    if count == 1 {
        return Ok(vec![steps]);
    }
    let stride = (steps - 1) as f64 / (count - 1) as f64;
    Ok((0..count).map(|i| 1 + (i as f64 * stride).round_ties_even() as usize).collect())
}

fn check_count(steps: usize, count: usize) -> Result<(), ScheduleError> {
    check_length(steps)?;
    match count {
        0 => Err(ScheduleError::NoTimesteps),
        count if count > steps => Err(ScheduleError::TooManyTimesteps { count, steps }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_steps_is_strictly_increasing_and_ends_at_the_last() {
        for steps in (1..130).chain([999, 1000]) {
            for count in 1..=steps {
                let timesteps = evenly_spaced(steps, count).expect("count is at most steps");
                assert_eq!((timesteps.len(), timesteps[count - 1]), (count, steps));
                assert!(timesteps[0] >= 1 && timesteps.windows(2).all(|pair| pair[0] < pair[1]), "{steps} {count}");
            }
        }
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert_eq!(evenly_spaced(10, 0), Err(ScheduleError::NoTimesteps));
        assert_eq!(evenly_spaced(10, 11), Err(ScheduleError::TooManyTimesteps { count: 11, steps: 10 }));
        assert!(evenly_spaced(0, 1).is_err());
    }
}
