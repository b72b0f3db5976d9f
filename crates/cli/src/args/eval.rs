//! `sfumato eval`

use std::path::{Path, PathBuf};

use clap::Args;
use sfumato_data::DatasetSpec;

use super::{FeaturesName, MachineArgs, SampleSource, ScoreArgs, flow::FlowArgs, values};

/// Score a model on data: the variational bound in bits per dimension, the likelihood by its flow, its regret, and distances of its samples
///
/// An upper bound on the model's code length for the data, L_T + sum of L_(t-1) + L_0 (Ho et al. 2020, Eq. 5), over the whole split. Ctrl-C ends
/// the work early and reports the examples that are done.
/// 8-bit images get the discretised decoder; points and float images a density, which is not comparable with it. Noise is
/// a function of (seed, example, step, draw): the result does not depend on the batch size or the number of threads.
///
/// Unless --stride is 1, an example visits one random step of each stratum of steps; the standard error holds that too.
///
/// With --samples it also says how far samples are from the training pictures, each figure beside its floor: the same figure of real test
/// pictures. docs/guides/distances.md says what each can tell.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato eval --model runs/fashion-mnist-mini/model --dataset fashion-mnist
  sfumato eval --model runs/fashion-mnist-mini/model --dataset fashion-mnist --limit 100 --stride 1 --json bound.json
  sfumato eval --model runs/roll/model --dataset toy:swiss-roll --curve terms.svg
  sfumato eval --model ddpm-cifar10-32 --dataset cifar10 --variance fixed-large --cdf tanh --noise noise.npy
  sfumato eval --model runs/pets/model --dataset folder:pets --limit 1000
  sfumato eval --model runs/fashion/model --dataset fashion-mnist --fit --variance analytic
  sfumato eval --model runs/fashion/model --dataset fashion-mnist --steps 20 --spacing best
  sfumato eval --model runs/fashion/model --dataset fashion-mnist --steps continuous
  sfumato eval --model runs/fashion/model --dataset fashion-mnist --limit 100 --flow
  sfumato eval --model runs/fashion/model --dataset fashion-mnist --samples 2000 --no-bound --json distances.json
  sfumato eval --dataset fashion-mnist --samples anyones.npy

Exit codes: 0 done (also: stopped on request with what was done reported), 1 failed, 2 wrong usage.")]
pub(crate) struct EvalArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model; not needed to measure samples from files
    #[arg(long, value_name = "DIR", required_unless_present = "samples")]
    pub(crate) model: Option<PathBuf>,

    /// fashion-mnist, mnist, cifar10, folder:PATH, zip:FILE, npy:FILE, toy:swiss-roll, …
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    pub(crate) dataset: DatasetSpec,
    #[command(flatten)]
    pub(crate) score: ScoreArgs,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one [default: what the model says]
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0), requires = "model", help_heading = "Data")]
    pub(crate) null_class: Option<usize>,
    /// Noise to use instead of random numbers, for examples in the order of the data: float32 [K, N, C, H, W], entry t - 1 is the noise of step t
    #[arg(long, value_name = "FILE.npy", help_heading = "Estimate")]
    pub(crate) noise: Option<PathBuf>,

    /// Also measure distances between samples and the data: N that are drawn, or those in a directory or an array of anyone's
    #[arg(long, value_name = "N|DIR|FILE.npy", help_heading = "Distances")]
    pub(crate) samples: Option<SampleSource>,
    /// What distances are measured in: grey-28, for grey pictures of 28x28 pixels, or Inception-v3 with your weights as inception:FILE.pth
    #[arg(long, default_value = "grey-28", value_name = "NAME", requires = "samples", help_heading = "Distances")]
    pub(crate) features: FeaturesName,
    /// Measure the distances, the regret, the fit and the flow alone, without the bound
    #[arg(long, help_heading = "Distances")]
    pub(crate) no_bound: bool,

    /// Also measure the regret: the loss by noise level, beside that of the perfect denoiser of the training set and that on held-out examples; with FILE
    /// also draw it, as SVG or PNG
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "model", help_heading = "Regret")]
    pub(crate) regret: Option<Option<PathBuf>>,
    /// Training examples with noise that the regret is measured on, and held-out ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..), requires = "regret", help_heading = "Regret")]
    pub(crate) regret_examples: u32,
    /// The data whose training split the model was trained on [default: that of --dataset]
    #[arg(long, value_name = "SPEC", requires = "regret", help_heading = "Regret")]
    pub(crate) trained_on: Option<DatasetSpec>,

    /// Also fit the model, on training examples of --dataset: measure what --variance analytic and --spacing best take, and write it to fit.json in the
    /// model's directory
    #[arg(long, requires = "model", help_heading = "Fit")]
    pub(crate) fit: bool,
    /// Training examples that the model is fitted on
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(2..), requires = "fit", help_heading = "Fit")]
    pub(crate) fit_examples: u32,
    /// Most steps from one that is measured to the next, between which is interpolated; 1 measures every step [default: a hundredth of the steps]
    #[arg(long, value_name = "N", requires = "fit", help_heading = "Fit")]
    pub(crate) fit_stride: Option<usize>,

    #[command(flatten)]
    pub(crate) flow: FlowArgs,

    /// Also write the result, with every step's term, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Also draw every step's term, as SVG or PNG
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) curve: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

impl EvalArgs {
    /// The model's directory; empty where there is no model.
    pub(crate) fn model_dir(&self) -> &Path {
        self.model.as_deref().unwrap_or(Path::new(""))
    }
}
