//! Whose weights a run starts from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A trained model whose weights a run starts from, in place of random ones: see [`Source`](crate::Source).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitConfig {
    /// Its directory: whatever opens as a model.
    pub from: PathBuf,
    /// [Checksum](crate::Source::sha256) of that model: with another one the run does not start. Left out, it is whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
