//! A schedule given by its variances; `trained_betas` in diffusers.

use serde::{Deserialize, Serialize};

use super::family::{Family, Parameter};
use crate::error::ScheduleError;

/// The listed variances; `betas[t - 1]` is `beta_t`, in (0, 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explicit {
    /// One variance a step.
    pub betas: Vec<f64>,
}

impl Family for Explicit {
    fn steps(&self) -> usize {
        self.betas.len()
    }

    fn set_steps(&mut self, steps: usize) -> Result<(), ScheduleError> {
        match self.betas.len() {
            betas if betas == steps => Ok(()),
            betas => Err(ScheduleError::FixedLength { betas, steps }),
        }
    }

    fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        Ok(self.betas.clone())
    }

    fn parameters(&mut self) -> Vec<(&'static str, Parameter<'_>)> {
        vec![("betas", Parameter::List(&mut self.betas))]
    }
}
