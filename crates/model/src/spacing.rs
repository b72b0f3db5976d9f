//! How diffusers spreads the steps of a shortened chain, counted from 1.
//!
//! diffusers counts steps from 0; its lists become ours by adding 1. Lists here increase, samplers walk them backwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sfumato_schedule::{ScheduleError, evenly_spaced, nearest};

/// How `count` steps are spread over `1..=T`; the `timestep_spacing` of diffusers' schedulers.
///
/// # Examples
/// ```
/// use sfumato_model::Spacing;
///
/// assert_eq!(Spacing::Leading.timesteps(1000, 4)?, [1, 251, 501, 751]);
/// assert_eq!(Spacing::Linspace.timesteps(1000, 4)?, [1, 334, 667, 1000]);
/// assert_eq!(Spacing::Trailing.timesteps(1000, 4)?, [250, 500, 750, 1000]);
/// assert_eq!("trailing".parse(), Ok(Spacing::Trailing));
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// From the first step on, every `⌊T/count⌋`-th: see [`leading`]. The last step `T` is not among them (for `count > 1`
    /// never), so a sampler starts from noise that the chain has not quite reached.
    Leading,
    /// Both ends and evenly between them: see [`evenly_spaced`].
    #[default]
    Linspace,
    /// From the last step back, every `T/count`-th: see [`trailing`].
    Trailing,
}

impl Spacing {
    /// The names that [`FromStr`] and serde understand.
    pub const NAMES: [&'static str; 3] = ["leading", "linspace", "trailing"];

    /// `count` strictly increasing steps in `1..=steps`.
    ///
    /// # Errors
    /// [`ScheduleError::NoTimesteps`] if `count` is 0, [`ScheduleError::TooManyTimesteps`] if it exceeds `steps`, and the
    /// errors for a bad number of `steps`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_model::Spacing;
    ///
    /// assert_eq!(Spacing::Trailing.timesteps(10, 3)?, [3, 7, 10]);
    /// assert!(Spacing::Trailing.timesteps(10, 11).is_err());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn timesteps(self, steps: usize, count: usize) -> Result<Vec<usize>, ScheduleError> {
        match self {
            Self::Leading => leading(steps, count, 0),
            Self::Linspace => evenly_spaced(steps, count),
            Self::Trailing => trailing(steps, count),
        }
    }

    /// The name in configuration files and on the command line.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_model::Spacing::default().name(), "linspace");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Leading => "leading",
            Self::Linspace => "linspace",
            Self::Trailing => "trailing",
        }
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Spacing {
    type Err = UnknownSpacing;

    fn from_str(name: &str) -> Result<Self, UnknownSpacing> {
        match name.to_lowercase().as_str() {
            "leading" => Ok(Self::Leading),
            "linspace" => Ok(Self::Linspace),
            "trailing" => Ok(Self::Trailing),
            _ => Err(UnknownSpacing { name: name.to_owned() }),
        }
    }
}

/// A name that no spacing has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no spacing is called `{name}`{} (expected one of {})", hint(name), Spacing::NAMES.join(", "))]
pub struct UnknownSpacing {
    /// The name that was given.
    pub name: String,
}

fn hint(name: &str) -> String {
    nearest(name, &Spacing::NAMES).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// `count` steps from `1 + offset` on, every `⌊T/count⌋`-th: diffusers' `leading` with its `steps_offset`.
///
/// # Formula
/// `t_i = 1 + offset + (i - 1) ⌊T / count⌋`
///
/// # Errors
/// [`ScheduleError::NoTimesteps`] if `count` is 0, [`ScheduleError::TooManyTimesteps`] if it exceeds `steps`, and
/// [`ScheduleError::TimestepOutOfRange`] if the offset pushes a step past `T`.
///
/// # Examples
/// ```
/// assert_eq!(sfumato_model::leading(1000, 4, 1)?, [2, 252, 502, 752]);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
pub fn leading(steps: usize, count: usize, offset: usize) -> Result<Vec<usize>, ScheduleError> {
    evenly_spaced(steps, count)?; // for its errors
    let stride = steps / count;
    let timesteps: Vec<usize> = (0..count).map(|i| (1 + i * stride).saturating_add(offset)).collect();
    match timesteps.iter().position(|&timestep| timestep > steps) {
        Some(index) => {
            Err(ScheduleError::TimestepOutOfRange { position: index + 1, timestep: timesteps[index], steps })
        }
        None => Ok(timesteps),
    }
}

/// `count` steps from `steps` back, every `T/count`-th: diffusers' `trailing`, which always includes the last step.
///
/// # Formula
/// `t_i = round(T - (count - i) T / count)`, halves to even. The arithmetic follows numpy's `arange(T, 0, -T/count)`, whose
/// difference of the first two entries carries a rounding error that decides some halves.
///
/// # Errors
/// [`ScheduleError::NoTimesteps`] if `count` is 0, [`ScheduleError::TooManyTimesteps`] if it exceeds `steps`.
///
/// # Examples
/// ```
/// assert_eq!(sfumato_model::trailing(1000, 3)?, [333, 667, 1000]);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
pub fn trailing(steps: usize, count: usize) -> Result<Vec<usize>, ScheduleError> {
    evenly_spaced(steps, count)?; // for its errors
    let last = steps as f64;
    let second = last - last / count as f64;
    let stride = second - last;
    Ok((0..count).rev().map(|i| (last + i as f64 * stride).round_ties_even() as usize).collect())
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::{JensenShannon, ScheduleConfig};

    use super::*;

    /// Spacing, FNV-1a hash of its time steps for `T = 1000` and 2 to 1000 steps, as diffusers gives them.
    const HASHES: [(Spacing, u64); 3] = [
        (Spacing::Leading, 0xde195bde5013e76f),
        (Spacing::Linspace, 0xd91aa513a621cb11),
        (Spacing::Trailing, 0xeedc5456b2eee3f),
    ];

    #[test]
    fn the_spacings_are_those_of_diffusers_counted_from_one() {
        for (spacing, expected) in HASHES {
            let steps = (2..=1000).flat_map(|count| spacing.timesteps(1000, count).expect("at most 1000 steps"));
            let hash = steps.fold(0xcbf2_9ce4_8422_2325_u64, |hash, t| (hash ^ t as u64).wrapping_mul(0x100_0000_01b3));
            assert_eq!(hash, expected, "{spacing}");
        }
    }

    #[test]
    fn every_spacing_of_every_size_is_strictly_increasing_in_range_and_can_be_respaced() {
        for steps in (1..130).chain([999, 1000]) {
            let schedule = ScheduleConfig::from(JensenShannon { steps, max_beta: 0.9 }).build().unwrap();
            for count in 1..=steps {
                for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Trailing] {
                    let timesteps = spacing.timesteps(steps, count).expect("count is at most steps");
                    assert_eq!(timesteps.len(), count);
                    assert!(timesteps.windows(2).all(|pair| pair[0] < pair[1]), "{spacing} {steps} {count}");
                    assert!(timesteps[0] >= 1 && timesteps[count - 1] <= steps, "{spacing} {steps} {count}");
                    if spacing != Spacing::Leading {
                        assert_eq!(timesteps[count - 1], steps, "{spacing} {steps} {count}");
                    }
                    if count % 7 == 1 {
                        assert_eq!(schedule.respace(&timesteps).unwrap().schedule().steps(), count);
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert_eq!(trailing(10, 11), Err(ScheduleError::TooManyTimesteps { count: 11, steps: 10 }));
        let late = ScheduleError::TimestepOutOfRange { position: 10, timestep: 11, steps: 10 };
        assert_eq!(leading(10, 10, 1), Err(late));
        assert!(leading(10, 10, usize::MAX).is_err());
        assert!("middle".parse::<Spacing>().is_err_and(|error| error.to_string().contains("linspace")));
        assert!("trailin".parse::<Spacing>().is_err_and(|error| error.to_string().contains("did you mean `trailing`")));
    }
}
