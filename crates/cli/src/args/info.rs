//! `sfumato info`

use std::path::PathBuf;

use clap::Args;

/// Say what a model directory holds
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  sfumato info runs/fashion-mnist-mini/model")]
pub(crate) struct InfoArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
