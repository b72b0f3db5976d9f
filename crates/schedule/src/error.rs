//! What can be wrong with a schedule, its description or a choice of time steps.

use crate::nearest::hint;

/// Largest number of steps that a schedule may have: 2^20.
///
/// A mistyped `steps` in a configuration file should be an error message, not an attempt to allocate the machine's memory.
pub const MAX_STEPS: usize = 1 << 20;

/// Why a schedule, its text form or a list of time steps was refused. Steps count from 1, as in the papers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// `T = 0`.
    #[error("a schedule needs at least 1 step, got 0")]
    NoSteps,
    /// `T` above [`MAX_STEPS`].
    #[error("a schedule may have at most {max} steps, got {steps}")]
    TooManySteps {
        /// The number of steps that was asked for.
        steps: usize,
        /// [`MAX_STEPS`].
        max: usize,
    },
    /// A variance outside the open interval (0, 1), or not a number.
    #[error(
        "beta at step {step} is {beta}, but every beta must lie strictly between 0 and 1: {}", remedy(*beta)
    )]
    BetaOutOfRange {
        /// Step `t`, from 1.
        step: usize,
        /// The value found there.
        beta: f64,
    },
    /// A variance so small that `alpha_bar` (or the SNR) is the same f64 before and after the step.
    #[error(
        "beta at step {step} is {beta:e}: alpha_bar stays {alpha_bar:e} in f64, so the step does nothing; \
         use a larger beta or leave the step out"
    )]
    StepWithoutEffect {
        /// Step `t`, from 1.
        step: usize,
        /// The variance of that step.
        beta: f64,
        /// `alpha_bar` before and after the step.
        alpha_bar: f64,
    },
    /// The signal is gone: `alpha_bar` is below the smallest normal f64 (2.2e-308).
    #[error(
        "alpha_bar underflows f64 at step {step} (alpha_bar was {previous:e}, beta is {beta}): \
         the signal is gone long before; use smaller betas or fewer steps (for `linear`, rescale = true does it)"
    )]
    AlphaBarUnderflow {
        /// First step `t` at which `alpha_bar` is not a normal number.
        step: usize,
        /// The variance of that step.
        beta: f64,
        /// `alpha_bar` one step earlier.
        previous: f64,
    },
    /// A parameter of a family outside its domain.
    #[error("{parameter} of the {family} schedule is {value}, expected {expected}")]
    InvalidParameter {
        /// Name of the family, such as `cosine`.
        family: &'static str,
        /// Name of the parameter, such as `max_beta`.
        parameter: &'static str,
        /// The value that was given.
        value: f64,
        /// The domain, in words.
        expected: &'static str,
    },
    /// A name that no family has.
    #[error(
        "no schedule is called `{name}`{} (expected one of {})", hint(name, expected), expected.join(", ")
    )]
    UnknownSchedule {
        /// The name that was given.
        name: String,
        /// The names that there are.
        expected: Vec<&'static str>,
    },
    /// A parameter that the family does not have.
    #[error("the {family} schedule has no parameter `{parameter}`{} (expected one of {})", hint(parameter, expected), expected.join(", "))]
    UnknownParameter {
        /// Name of the family.
        family: &'static str,
        /// The name that was given.
        parameter: String,
        /// The names that the family has.
        expected: Vec<&'static str>,
    },
    /// A parameter whose value could not be read.
    #[error("{parameter} of the {family} schedule is `{value}`, expected {expected}")]
    UnreadableValue {
        /// Name of the family.
        family: &'static str,
        /// Name of the parameter.
        parameter: &'static str,
        /// The text that was given.
        value: String,
        /// What it should be, in words.
        expected: &'static str,
    },
    /// An explicit schedule was asked for another length than its list of betas has.
    #[error("an explicit schedule has as many steps as betas ({betas}), so its steps cannot be set to {steps}")]
    FixedLength {
        /// Number of betas.
        betas: usize,
        /// The number of steps that was asked for.
        steps: usize,
    },
    /// An empty list of time steps.
    #[error("a respaced schedule needs at least 1 time step, got none")]
    NoTimesteps,
    /// More time steps than the schedule has.
    #[error("cannot choose {count} different time steps out of {steps}: ask for at most {steps}")]
    TooManyTimesteps {
        /// The number of time steps that was asked for.
        count: usize,
        /// `T`.
        steps: usize,
    },
    /// A time step outside `1..=T`.
    #[error("time step number {position} is {timestep}, expected 1 to {steps} (steps count from 1)")]
    TimestepOutOfRange {
        /// Position in the list, from 1.
        position: usize,
        /// The value found there.
        timestep: usize,
        /// `T`.
        steps: usize,
    },
    /// Nothing was measured, or no loss at all.
    #[error("a learned schedule needs the loss at one noise level at least, and one that is above 0")]
    NoLosses,
    /// A loss that nobody can have measured, or a level that is there twice.
    #[error("the loss at a log-SNR of {log_snr} is {loss}, expected one finite number for each level, from 0 up")]
    InvalidLoss {
        /// The level.
        log_snr: f64,
        /// The loss.
        loss: f64,
    },
    /// Ends between which a log-SNR cannot fall.
    #[error(
        "a schedule cannot go from a log-SNR of {first} to {last} with a first leap of {first_leap}: the first end must be above the last one \
         by more than the first leap, which is 0 or more"
    )]
    InvalidEnds {
        /// Log-SNR of step 1.
        first: f64,
        /// Log-SNR of step `T`.
        last: f64,
        /// Least fall from step 1 to step 2.
        first_leap: f64,
    },
    /// A list of time steps that does not increase strictly.
    #[error("time steps must increase strictly, but number {position} is {timestep} and the one before it {previous}")]
    TimestepsNotIncreasing {
        /// Position in the list, from 1.
        position: usize,
        /// The value before it.
        previous: usize,
        /// The value found there.
        timestep: usize,
    },
}

/// What to do about a beta that is none.
fn remedy(beta: f64) -> &'static str {
    if beta >= 1.0 {
        "lower the schedule's beta_start, beta_end or beta, or raise its steps"
    } else if beta <= 0.0 {
        "raise the schedule's beta_start, beta_end or beta, or leave the step out"
    } else {
        "give the schedule parameters that are finite"
    }
}
