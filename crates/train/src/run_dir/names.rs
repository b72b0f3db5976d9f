//! The names that a run gives to what it writes.

/// How the directory of a checkpoint begins; the number of steps follows.
const PREFIX: &str = "step-";
/// A checkpoint that is being written.
pub(super) const PARTIAL: &str = ".partial-";
/// What had the name of a new checkpoint before it.
pub(super) const REPLACED: &str = ".replaced-";
/// A link that is to become `model`, and what it replaces.
pub(super) const NEW_LINK: &str = ".model-new";
pub(super) const OLD_LINK: &str = ".model-old";

/// The name of the checkpoint of step `step`.
pub(super) fn name(step: u64) -> String {
    format!("{PREFIX}{step:07}")
}

/// The steps that a directory's name stands for.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
