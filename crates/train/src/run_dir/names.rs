//! The names that a run gives to what it writes.

/// How the directory of a checkpoint begins; the number of steps follows.
const PREFIX: &str = "step-";
/// A checkpoint that is being written.
pub(super) const PARTIAL: &str = ".partial-";
/// What had the name of a new checkpoint before it.
pub(super) const REPLACED: &str = ".replaced-";
/// The links to checkpoints.
pub(super) const LINKS: [&str; 2] = ["model", "best"];

/// What is to become the link `name`.
pub(super) fn new_link(name: &str) -> String {
    format!(".{name}-new")
}

/// What a link `name` replaces.
pub(super) fn old_link(name: &str) -> String {
    format!(".{name}-old")
}

/// The name of the checkpoint of step `step`.
pub(crate) fn name(step: u64) -> String {
    format!("{PREFIX}{step:07}")
}

/// The steps that a directory's name stands for.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
