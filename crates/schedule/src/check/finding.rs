//! What the linter finds, as values with their numbers, and as sentences.

use std::fmt;

use serde::Serialize;

/// How serious a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Works, but wastes steps or loses quality.
    Warning,
    /// Cannot work.
    Error,
}

/// Why a step does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdleReason {
    /// Its beta is below the resolution of f32 (6e-8).
    BelowResolution,
    /// Less than 1e-8 bits per dimension of signal were left before it.
    SignalGone,
}

/// One thing that is wrong with a schedule; steps count from 1. [`Display`](std::fmt::Display) says it in a sentence, with the way out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// No steps at all.
    NoSteps,
    /// An `alpha_bar` outside [0, 1], or not a number.
    AlphaBarOutOfRange {
        /// First such step.
        step: usize,
        /// The value found there.
        alpha_bar: f64,
    },
    /// The signal-to-noise ratio does not fall at every step: beta would be 0 or negative.
    SnrNotDecreasing {
        /// First step at which it does not fall.
        step: usize,
        /// `alpha_bar` before that step.
        previous: f64,
        /// `alpha_bar` after it.
        alpha_bar: f64,
        /// Number of such steps.
        count: usize,
    },
    /// `alpha_bar` is 0 although the network predicts the noise: `x_0` would be divided by 0.
    ZeroSignalWithEpsilon {
        /// First step without signal.
        step: usize,
    },
    /// So little signal that f32 rounding of the predicted noise moves `x_0` by more than a grey level of 8-bit data.
    EpsilonIllConditioned {
        /// First such step.
        step: usize,
        /// `alpha_bar` there.
        alpha_bar: f64,
        /// Factor from errors of the noise to errors of `x_0`, `sqrt((1 - alpha_bar) / alpha_bar)`.
        amplification: f64,
    },
    /// The end of the chain is not noise: sampling from `N(0, I)` starts where the network was never trained.
    PriorTooFar {
        /// Mean of `KL(q(x_T | x_0) ‖ N(0, 1))`, bits per dimension.
        bits_per_dim: f64,
        /// The limit of [`CheckConditions`](super::CheckConditions).
        limit: f64,
        /// `alpha_bar_T`.
        alpha_bar: f64,
    },
    /// Steps that do nothing.
    IdleSteps {
        /// The first of them.
        first: usize,
        /// The last of them (there may be others between).
        last: usize,
        /// Their number.
        count: usize,
        /// Why they do nothing.
        reason: IdleReason,
    },
}

impl Finding {
    /// Whether the schedule cannot work, or works badly.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{Finding, Severity};
    ///
    /// assert_eq!(Finding::NoSteps.severity(), Severity::Error);
    /// ```
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoSteps
            | Self::AlphaBarOutOfRange { .. }
            | Self::SnrNotDecreasing { .. }
            | Self::ZeroSignalWithEpsilon { .. } => Severity::Error,
            Self::EpsilonIllConditioned { .. } | Self::PriorTooFar { .. } | Self::IdleSteps { .. } => Severity::Warning,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoSteps => write!(f, "the schedule has no steps"),
            Self::AlphaBarOutOfRange { step, alpha_bar } => {
                write!(f, "alpha_bar at step {step} is {alpha_bar}, expected a number from 0 to 1")
            }
            Self::SnrNotDecreasing { step, previous, alpha_bar, count } => write!(
                f,
                "the signal-to-noise ratio does not fall at {count} of the steps, first at step {step} (alpha_bar from \
                 {previous:.3e} to {alpha_bar:.3e}): their beta would not be positive"
            ),
            Self::ZeroSignalWithEpsilon { step } => write!(
                f,
                "alpha_bar is 0 at step {step}, so x_0 cannot be recovered from predicted noise: \
                 predict v or x_0, or keep some signal (beta at most 0.999)"
            ),
            Self::EpsilonIllConditioned { step, alpha_bar, amplification } => write!(
                f,
                "at step {step} alpha_bar is {alpha_bar:.3e} and errors of the predicted noise count {amplification:.3e} times \
                 in x_0, past f32 precision: predict v or x_0, or add less noise"
            ),
            Self::PriorTooFar { bits_per_dim, limit, alpha_bar } => write!(
                f,
                "x_T still holds {bits_per_dim:.3e} bits/dim about the data (alpha_bar_T = {alpha_bar:.3e}), above the limit of \
                 {limit:.1e}: add noise with larger betas or more steps"
            ),
            Self::IdleSteps { first, last, count, reason } => {
                let reason = match reason {
                    IdleReason::BelowResolution => "their beta is below the resolution of f32: use larger betas",
                    IdleReason::SignalGone => "the signal is gone before them: use fewer steps or smaller betas",
                };
                match count {
                    1 => write!(f, "step {first} does nothing; {reason}"),
                    _ => write!(f, "{count} steps from {first} to {last} do nothing; {reason}"),
                }
            }
        }
    }
}
