//! `sfumato sample`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::MachineArgs;

/// Draw samples from a model
///
/// Writes samples.npy (float32, in [-1, 1]), grid.png and one PNG a sample; 2-D data gets samples.npy and scatter.png.
/// Sample n of a seed is the same picture whatever the batch size and the number of threads.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato sample --model runs/fashion-mnist-mini/model --num 64 --out samples
  sfumato sample --model runs/fashion-mnist-mini/model --steps 1000 --out samples
  sfumato sample --model runs/fashion-mnist-mini/model --sampler ddim --steps 20 --out samples
  sfumato sample --model runs/classes/model --class 3 --guidance 2 --out coats")]
pub(crate) struct SampleArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Number of samples
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) num: u32,
    /// Which sampler
    #[arg(long, value_enum, default_value_t = SamplerName::Ddpm, value_name = "NAME")]
    pub(crate) sampler: SamplerName,
    /// Steps of the sampler, spread evenly over the schedule's: all of those, usually 1000, are the chain as it was trained [default: 50]
    #[arg(long, value_name = "S")]
    pub(crate) steps: Option<usize>,
    /// Noise of ddim: 0 is deterministic, 1 has the variance of ddpm
    #[arg(long, default_value_t = 0.0, value_name = "E")]
    pub(crate) eta: f64,
    /// Class to draw, for a class-conditional model [default: all classes in turn]
    #[arg(long, value_name = "K")]
    pub(crate) class: Option<usize>,
    /// Weight of classifier-free guidance: 1 is none, above it samples are more typical of their class
    #[arg(long, default_value_t = 1.0, value_name = "W")]
    pub(crate) guidance: f64,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Samples drawn at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,
    /// Noise to use instead of random numbers: float32 [K, N, C, H, W], entry 0 is x_T, then one a stochastic step
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) noise: Option<PathBuf>,
    /// Also write denoising.gif, the first samples as they emerge
    #[arg(long)]
    pub(crate) gif: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The samplers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerName {
    /// Ancestral sampling (Ho et al. 2020)
    Ddpm,
    /// Song et al. (2021)
    Ddim,
}
