//! Why there is no such sampler.

use sfumato_process::levels::LevelsError;
use sfumato_schedule::ScheduleError;

/// Why a sampler could not be made for a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// The schedule cannot be built, or does not have the steps that were asked for.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The schedule's noise levels cannot be walked.
    #[error(transparent)]
    Levels(#[from] LevelsError),
}
