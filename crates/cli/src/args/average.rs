//! `sfumato average`

use std::path::PathBuf;

use clap::Args;

/// Make a model of a run's weights, averaged over another part of the run
///
/// A run that keeps averages (--set averages.widths=[0.05,0.1]) can have its weights averaged over any part of it afterwards. The width
/// is the standard deviation of the steps that the average is made of, as a part of all steps: 0.05 and 0.1 are usual, a small width
/// follows the last steps, a large one is smoother.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato train --set averages.widths=[0.05,0.1]
  sfumato average runs/fashion-mnist-mini --width 0.08 --out garments-0.08
  sfumato compare runs/fashion-mnist-mini/model garments-0.08 --dataset fashion-mnist")]
pub(crate) struct AverageArgs {
    /// Directory of a run, or one of its checkpoints
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Width of the average, from 0.005 to 0.288 of the run
    #[arg(long, value_name = "PART")]
    pub(crate) width: f64,
    /// Directory for the model; must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
