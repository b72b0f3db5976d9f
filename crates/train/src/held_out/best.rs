//! Which checkpoint is the best: the one whose model predicts the held-out examples best.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sfumato_files::read_text;
use sfumato_kernels::Precision;

use super::Score;
use crate::FoundCheckpoint;

/// Where a checkpoint keeps its score.
pub(crate) const FILE: &str = "training/held_out.json";

/// A checkpoint's score on held-out examples, and what it was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) score: Score,
    /// Scores of other examples, or of other noise, cannot be compared.
    pub(crate) on: MeasuredOn,
}

/// What a score was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MeasuredOn {
    /// SHA-256 of the data; empty where it is not known.
    pub(crate) sha256: String,
    /// Examples that are held out.
    pub(crate) of: usize,
    /// Examples that were scored.
    pub(crate) examples: usize,
    /// Seed of their choice and of the noise.
    pub(crate) seed: u64,
    /// What convolutions multiplied.
    #[serde(default)]
    pub(crate) precision: Precision,
}

/// The score that the checkpoint in `dir` keeps; none where it has none that can be read.
pub(crate) fn read(dir: &Path) -> Option<Measured> {
    serde_json::from_str(&read_text(&dir.join(FILE)).ok()?).ok()
}

/// The best of `checkpoints`, which are in the order of their steps: among those that were measured on what the newest was measured on,
/// the one with the fewest bits, and the first of these.
pub(crate) fn best(checkpoints: &[FoundCheckpoint]) -> Option<&FoundCheckpoint> {
    let scores: Vec<(&FoundCheckpoint, Measured)> =
        checkpoints.iter().filter_map(|found| Some((found, read(&found.path)?))).collect();
    let on = scores.last()?.1.on.clone();
    let same = scores.iter().filter(|(_, measured)| measured.on == on && measured.score.bits_per_dim.is_finite());
    same.min_by(|a, b| a.1.score.bits_per_dim.total_cmp(&b.1.score.bits_per_dim)).map(|(found, _)| *found)
}
