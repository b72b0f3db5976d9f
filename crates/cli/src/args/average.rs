//! `sfumato average`

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use super::MachineArgs;

/// Make a model of a run's weights, averaged over another part of the run
///
/// A run that keeps averages (--set averages.widths=[0.05,0.1]) can have its weights averaged over any part of it afterwards. The width
/// is the standard deviation of the steps that the average is made of, as a part of all steps: 0.05 and 0.1 are usual, a small width
/// follows the last steps, a large one is smoother. `--width best` tries widths from 0.02 to 0.2, and takes the one with the fewest bits/dim on
/// up to 128 examples that the run held out, or of its test split.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato train --set averages.widths=[0.05,0.1]
  sfumato average runs/fashion-mnist-mini --width 0.08 --out garments-0.08
  sfumato average runs/fashion-mnist-mini --width best --out garments-best
  sfumato compare runs/fashion-mnist-mini/model garments-0.08 --dataset fashion-mnist")]
pub(crate) struct AverageArgs {
    /// Directory of a run, or one of its checkpoints
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Width of the average, from 0.005 to 0.288 of the run; best chooses it
    #[arg(long, value_name = "PART|best")]
    pub(crate) width: Width,
    /// Directory for the model; must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Which average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Width {
    /// A part of the run.
    Part(f64),
    /// The one that held-out examples have the fewest bits with.
    Best,
}

impl FromStr for Width {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "best" => Ok(Self::Best),
            _ => text.parse().map(Self::Part).map_err(|_| "expected a part of the run, as in 0.1, or best"),
        }
    }
}
