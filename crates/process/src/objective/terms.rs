//! What the terms of a batch are computed from.

use sfumato_schedule::NoiseSchedule;

use super::DiffusionObjective;

/// The terms of a batch at steps `t`.
pub(super) struct StepTerms<'a> {
    pub(super) schedule: &'a NoiseSchedule,
    pub(super) objective: &'a DiffusionObjective,
    pub(super) t: &'a [usize],
}
