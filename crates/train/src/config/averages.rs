//! Averages of the weights that are kept beside the moving average.

use serde::{Deserialize, Serialize};

use super::{TrainConfig, check};
use crate::{
    TrainError,
    averages::{NARROWEST, WIDEST},
};

/// Most averages that are kept: each costs a copy of the weights and a pass over them per step.
const MOST: usize = 8;
/// Files of averages that a run writes, where nothing is said.
const SNAPSHOTS: u64 = 16;

/// Power-function averages of the weights (Karras et al. (2024), arXiv:2312.02696), from which `sfumato average` makes one of any width
/// after the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AveragesConfig {
    /// Their widths, as parts of the run: the standard deviation of the steps that an average is made of, over the number of steps. 0.005
    /// to 0.288; an empty list keeps no averages. Two are enough for all others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub widths: Vec<f64>,
    /// Steps between two files of averages. Chosen so that `training.steps` steps write 16: a run that its time limit ends earlier writes fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
}

impl AveragesConfig {
    /// Whether none are kept.
    pub(super) fn is_off(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let Self { widths, every } = self;
        for &width in widths {
            let range = format!("numbers from {NARROWEST} to {WIDEST}");
            check("averages.widths", width, (NARROWEST..=WIDEST).contains(&width), &range)?;
        }
        let shown = || format!("{widths:?}");
        check("averages.widths", shown(), widths.len() <= MOST, &format!("at most {MOST} numbers"))?;
        let twice = (1..widths.len()).any(|i| widths[..i].contains(&widths[i]));
        check("averages.widths", shown(), !twice, "different numbers")?;
        check("averages.every", every.unwrap_or(1), *every != Some(0), "at least 1")
    }
}

impl TrainConfig {
    /// Whether averages are written after `step`.
    pub(crate) fn averages_are_due(&self, step: u64) -> bool {
        let every = self.averages.every.unwrap_or(self.training.steps.div_ceil(SNAPSHOTS)).max(1);
        !self.averages.widths.is_empty() && step.is_multiple_of(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(widths: &[f64], every: Option<u64>) -> TrainConfig {
        TrainConfig { averages: AveragesConfig { widths: widths.to_vec(), every }, ..TrainConfig::default() }
    }

    #[test]
    fn widths_are_within_their_range_and_different() {
        for widths in [&[][..], &[0.05, 0.1], &[0.005, 0.288]] {
            with(widths, None).validate().unwrap();
        }
        for widths in [&[0.0][..], &[-0.1], &[0.3], &[f64::NAN], &[0.1, 0.05, 0.1], &[0.1; 9]] {
            let error = with(widths, None).validate().unwrap_err().to_string();
            assert!(error.starts_with("averages.widths must be "), "{error}");
        }
        assert!(with(&[0.1], Some(0)).validate().is_err());
    }

    #[test]
    fn a_run_writes_about_sixteen_files() {
        for steps in [1, 5, 16, 100, 3200, 99_999] {
            let mut config = with(&[0.1], None);
            config.training.steps = steps;
            let files = (1..=steps).filter(|&step| config.averages_are_due(step)).count();
            assert!(files as u64 == steps.min(16) || (8..=16).contains(&files), "{steps} steps: {files}");
        }
        assert!((1..100).all(|step| !with(&[], Some(1)).averages_are_due(step)));
    }
}
