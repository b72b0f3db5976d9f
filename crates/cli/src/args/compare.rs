//! `sfumato compare`

use std::path::PathBuf;

use clap::Args;
use sfumato_data::DatasetSpec;

use super::{MachineArgs, ScoreArgs, given::Given};

/// Say which of two models is better, by the bound on the same data
///
/// Both models score the same images, with the same noise at the same steps. What is compared is the difference of each image, so that
/// the spread of the images does not hide it. Less is better, and B - A below 0 means that B is better.
///
/// A model is called better if the 95 % interval of the mean difference (Student's t) does not hold 0. If it holds 0, the program says how
/// many images would settle a difference of the size seen.
///
/// The models may have any schedules, parameterizations, variances and classes. Where the chains have different numbers of steps, only
/// the images are the same, not steps and noise; the program says so. Ctrl-C ends the work early and compares the images that both have
/// done.
///
/// A and B may also be two files of `eval --json` with the same data, images, seed and strata: then no network is evaluated.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato compare runs/a/model runs/b/model --dataset fashion-mnist --limit 1000
  sfumato compare runs/a/model runs/b/model --dataset folder:pets --json difference.json
  sfumato compare runs/a/checkpoints/step-0001000 runs/a/model --dataset fashion-mnist --limit 500 --draws 4
  sfumato compare a.json b.json

Exit codes: 0 done, whichever is better or if nobody knows (also: stopped on request with what was done reported), 1 failed, 2 wrong usage.")]
pub(crate) struct CompareModelsArgs {
    /// The options that were typed. It reads them first: what is read is taken out.
    #[command(flatten)]
    pub(crate) given: Given,
    /// Model directory: a diffusers pipeline, such as runs/NAME/model; or what `eval --json` wrote, a file that ends in .json
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The same of the other model
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,

    /// fashion-mnist, mnist, cifar10, folder:PATH, zip:FILE, npy:FILE, toy:swiss-roll, …; needed for models, not for files
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    pub(crate) dataset: Option<DatasetSpec>,
    #[command(flatten)]
    pub(crate) score: ScoreArgs,

    /// Also write the result, with each image's terms, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
