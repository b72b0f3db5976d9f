//! `sfumato info`

use std::path::PathBuf;

use clap::Args;

/// Say what a model directory holds, or how a picture was made
///
/// Every PNG file that this program writes carries what made it: model, seed, index, sampler, settings, checksums, version.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato info runs/fashion-mnist-mini/model
  sfumato info samples/sample-00003.png")]
pub(crate) struct InfoArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model; or a picture
    #[arg(value_name = "DIR|FILE.png")]
    pub(crate) model: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
