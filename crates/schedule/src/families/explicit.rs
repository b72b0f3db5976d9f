//! A schedule given by its variances; `trained_betas` in diffusers.

use serde::{Deserialize, Serialize};

/// The listed variances; `betas[t - 1]` is `beta_t`, in (0, 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explicit {
    /// One variance a step.
    pub betas: Vec<f64>,
}
