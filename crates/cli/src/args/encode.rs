//! `sfumato encode`

use std::path::PathBuf;

use clap::Args;
use sfumato_data::Background;

use super::{MachineArgs, values, walk::WalkArgs};

/// Find the noise that a model makes given pictures from, and draw them again from it
///
/// Goes up the probability-flow ODE, step by step: DDIM inversion (Song et al. 2021), or Heun's method. Writes noise.npy, which
/// `sfumato sample --noise` draws from and `sfumato interpolate` takes, grid.png with each picture above what comes back, and encode.json with
/// the error of the round trip.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EncodeArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Pictures: a file, a folder, a zip archive or an array (.npy)
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) image: PathBuf,
    /// Directory for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Times that each step looks again where it leads; more is closer to the sampler's inverse. Each costs an evaluation a step (of ddim and euler, all but the first)
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = values::at_least::<usize>(0))]
    pub(crate) refine: usize,
    /// Class of the pictures, by number or name, for a class-conditional model [default: none, for a model that knows such]
    #[arg(long = "class", value_name = "K|NAME", allow_hyphen_values = true)]
    pub(crate) class_name: Option<String>,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one [default: what the model says]
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0))]
    pub(crate) null_class: Option<usize>,
    /// What transparent pictures are laid on
    #[arg(long, default_value_t = Background::default(), value_name = "white|black|grey|#rrggbb")]
    pub(crate) background: Background,
    /// Replace the results of an earlier call in the directory
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) walk: WalkArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

const EXAMPLES: &str = "Samplers: ddim (the default, with 200 steps here), euler and heun; the others cannot be inverted.

Examples:
  sfumato encode --model runs/fashion-mnist-mini/model --image coat.png --out coded
  sfumato sample --model runs/fashion-mnist-mini/model --noise coded/noise.npy --sampler ddim --steps 200 --no-clip --num 1 --out again
  sfumato encode --model runs/fashion-mnist-mini/model --image pictures --sampler heun --steps 50 --out others";
