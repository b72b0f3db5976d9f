//! `sfumato import`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sfumato_model::openai::Project;

/// Convert a checkpoint of another project
///
/// Writes a model directory that `sample`, `info` and diffusers understand. The file is read without executing anything in it.
/// Its flags decide the network, so give those that the project's README prints beside the download.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato import improved-diffusion cifar10_uncond_50M_500K.pt --out cifar10 \\
      --flags \"--image_size 32 --num_channels 128 --num_res_blocks 3 --learn_sigma True --dropout 0.3 \\
               --diffusion_steps 4000 --noise_schedule cosine\"
  sfumato import guided-diffusion lsun_bedroom.pt --out bedroom \\
      --flags \"--attention_resolutions 32,16,8 --diffusion_steps 1000 --image_size 256 --learn_sigma True --noise_schedule linear \\
               --num_channels 256 --num_head_channels 64 --num_res_blocks 2 --resblock_updown True --use_scale_shift_norm True\"

Not every flag has a counterpart in diffusers' UNet2DModel; one that has none is an error, never another network.")]
pub(crate) struct ImportArgs {
    /// The project that made the checkpoint
    #[arg(value_enum, value_name = "PROJECT")]
    pub(crate) project: ProjectName,
    /// The checkpoint, as torch.save wrote it
    #[arg(value_name = "FILE.pt")]
    pub(crate) file: PathBuf,
    /// The model's and the diffusion's flags, all in one argument; what is not given has the project's default
    #[arg(long, default_value = "", allow_hyphen_values = true, value_name = "FLAGS")]
    pub(crate) flags: String,
    /// Directory for the result; must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Projects whose checkpoints are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProjectName {
    /// openai/improved-diffusion: Nichol & Dhariwal (2021)
    ImprovedDiffusion,
    /// openai/guided-diffusion: Dhariwal & Nichol (2021), without its classifiers
    GuidedDiffusion,
}

impl From<ProjectName> for Project {
    fn from(name: ProjectName) -> Self {
        match name {
            ProjectName::ImprovedDiffusion => Self::ImprovedDiffusion,
            ProjectName::GuidedDiffusion => Self::GuidedDiffusion,
        }
    }
}
