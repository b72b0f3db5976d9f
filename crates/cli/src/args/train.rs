//! `sfumato train`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sfumato_data::{Background, DatasetSpec, ImageSize, LabelsFrom, ValueRange};
use sfumato_process::{Loss, ModelVariance};
use sfumato_train::PRESETS;

use super::image_size::Size;
use super::{MachineArgs, values};

/// Train a model, or resume a run that was stopped
///
/// Configuration comes in layers, later ones winning: defaults, preset, file, flags. Without a preset or a file, data of
/// your own gets a default that suits the size of its pictures. The result is written to config.toml in the run
/// directory. Ctrl-C writes a checkpoint first.
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct TrainArgs {
    /// Configuration in TOML; a run's config.toml is one
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// A configuration that comes with the program
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(crate) preset: Option<String>,
    /// Resume the run in this directory from its newest checkpoint, or from the checkpoint that is named
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// Start from the weights of a trained model, anyone's: a run, a checkpoint, a diffusers pipeline; with its network and its noise schedule
    /// where nothing else is said
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) init_from: Option<PathBuf>,
    /// Directory for the run; must be new [default: runs/PRESET, or the next free name]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) out: Option<PathBuf>,
    /// Set any key of the configuration, as in --set optimizer.ema_decay=0.99; may be repeated
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub(crate) set: Vec<String>,

    /// fashion-mnist-mini, fashion-mnist, mnist, cifar10, folder:PATH, zip:FILE, npy:FILE, toy:swiss-roll, …
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    pub(crate) dataset: Option<DatasetSpec>,
    /// Directory with the files of a named data set
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Size in pixels to which images are resized and cropped: 64, or 64x128 for height and width [default: the size that all images share, else 64]
    #[arg(long, value_name = "N|HxW", value_parser = Size, allow_hyphen_values = true, conflicts_with = "resume", help_heading = "Data")]
    pub(crate) image_size: Option<ImageSize>,
    /// 1 for grey, 3 for RGB [default: what the images are]
    #[arg(long, value_name = "N", conflicts_with = "resume", help_heading = "Data", value_parser = values::count::<usize>())]
    pub(crate) channels: Option<usize>,
    /// Mirror images left to right at random, for pictures that are as likely either way
    #[arg(long, help_heading = "Data")]
    pub(crate) flip: bool,
    /// What transparent images are laid on: white, black, grey or #rrggbb [default: white]
    #[arg(long, value_name = "COLOUR", conflicts_with = "resume", help_heading = "Data")]
    pub(crate) background: Option<Background>,
    /// Where the classes come from: auto (a file of labels, else sub-folders), folders, file-names (cat_001.png), none [default: auto]
    #[arg(long, value_name = "FROM", conflicts_with = "resume", help_heading = "Data")]
    pub(crate) labels: Option<LabelsFrom>,
    /// Numbers of an array that are black and white, as in 0..1 or 0..255 [default: 0..255 for integers, -1..1 for floats]
    #[arg(
        long,
        value_name = "BLACK..WHITE",
        allow_hyphen_values = true,
        conflicts_with = "resume",
        help_heading = "Data"
    )]
    pub(crate) range: Option<ValueRange>,
    /// Fail at an unreadable image instead of leaving it out
    #[arg(long, help_heading = "Data")]
    pub(crate) strict: bool,
    /// Share of the data that is not trained on but scored, from 0 to 0.5 [default: 0 where there is a test split, which is scored then; else 0.02 of 320 examples and more]
    #[arg(long, value_name = "X", conflicts_with = "resume", help_heading = "Data", value_parser = values::share())]
    pub(crate) held_out: Option<f64>,
    /// Learn the classes of the data set too
    #[arg(long, conflicts_with = "resume", help_heading = "Data")]
    pub(crate) class_conditional: bool,

    /// Noise schedule: a name with or without parameters, a file or a directory, as `sfumato schedule` takes it; one that was learned too
    /// [default: linear]
    #[arg(long, value_name = "SCHEDULE", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) schedule: Option<String>,
    /// Variance of the reverse steps [default: fixed-small]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) variance: Option<VarianceArg>,
    /// What is trained towards [default: simple, and hybrid with a learned variance]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) loss: Option<LossArg>,
    /// What the error counts at each noise level [default: simple]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) weight: Option<WeightArg>,
    /// How often each noise level is visited [default: uniform]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) density: Option<DensityArg>,
    /// Steps of the whole run; given without --minutes it lifts the time limit
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = values::count::<u64>())]
    pub(crate) steps: Option<u64>,
    /// End after so many minutes of training, with a checkpoint; 0 for no limit
    #[arg(long, visible_alias = "max-minutes", value_name = "M", help_heading = "Run", value_parser = values::not_negative())]
    pub(crate) minutes: Option<f64>,
    /// Examples per step
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = values::count::<usize>())]
    pub(crate) batch_size: Option<usize>,
    /// Compute the examples of a step in so many parts, one after the other, which takes less memory [default: 1]
    #[arg(long, value_name = "V", help_heading = "Run", value_parser = values::count::<usize>())]
    pub(crate) shards: Option<usize>,
    /// Learning rate after the warm-up; with --resume the rate from here on
    #[arg(long, value_name = "X", help_heading = "Run", value_parser = values::above_zero())]
    pub(crate) learning_rate: Option<f64>,
    /// Seed of every random number
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = values::seed())]
    pub(crate) seed: Option<u64>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = values::count::<u64>())]
    pub(crate) checkpoint_every: Option<u64>,
    /// Steps between sample grids; 0 for one at the end only
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = values::at_least::<u64>(0))]
    pub(crate) sample_every: Option<u64>,
    /// Also write TensorBoard's event files into this directory
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub(crate) tensorboard: Option<PathBuf>,
    /// Do not compare a GPU with the CPU before the first step
    #[arg(long, help_heading = "Run")]
    pub(crate) no_self_check: bool,
    /// Print the configuration that would be used, and stop
    #[arg(long, conflicts_with = "resume", help_heading = "Run")]
    pub(crate) print_config: bool,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The variances that a model can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VarianceArg {
    /// Of the posterior, beta tilde
    FixedSmall,
    /// Of the forward step, beta
    FixedLarge,
    /// Learned, between those two for each value (improved DDPM)
    LearnedRange,
    /// Learned, without limits
    Learned,
}

impl From<VarianceArg> for ModelVariance {
    fn from(name: VarianceArg) -> Self {
        match name {
            VarianceArg::FixedSmall => Self::FixedSmall,
            VarianceArg::FixedLarge => Self::FixedLarge,
            VarianceArg::LearnedRange => Self::LearnedRange,
            VarianceArg::Learned => Self::Learned,
        }
    }
}

/// The losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossArg {
    /// The squared error of the prediction, for good pictures
    Simple,
    /// The same, and a little of the bound, which trains the variance
    Hybrid,
    /// The variational bound, for a good likelihood; best with --density importance
    Vlb,
}

impl From<LossArg> for Loss {
    fn from(name: LossArg) -> Self {
        match name {
            LossArg::Simple => Self::Simple,
            LossArg::Hybrid => Self::Hybrid,
            LossArg::Vlb => Self::Vlb,
        }
    }
}

/// The weights; `--set objective.weight.gamma=3` and its like set their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightArg {
    /// 1, for what the network predicts
    Simple,
    /// The variational bound's: half the fall of the SNR, over the SNR
    Bound,
    /// min(SNR, gamma) / SNR: little for low noise
    MinSnr,
    /// 1 / (k + SNR)^gamma: less for low noise
    P2,
    /// The bound's times sigmoid(k - log SNR): the bound without the lowest noise
    Sigmoid,
}

/// The densities; `--set objective.density.mean=-1` and its like set their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DensityArg {
    /// Every step as often as any other
    Uniform,
    /// The same, evenly spread over each batch
    Stratified,
    /// The oftener, the larger the loss has been there lately
    Importance,
    /// log sigma normal, as in EDM
    LogNormal,
    /// log SNR by Laplace's distribution
    Laplace,
}

/// A choice as files have it.
pub(crate) fn name_of(choice: impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}

fn after_help() -> String {
    let presets: String = PRESETS.iter().map(|preset| format!("  {:<20} {}\n", preset.name, preset.about)).collect();
    format!(
        "Presets:\n{presets}
Going on: without other flags, --resume gives the weights of a run that never stopped, bit for bit.
Other settings make a new section of the run, which is recorded beside config.toml; the shape of the
network and of the data stay. More steps after a cosine that has ended raise the learning rate again,
to what a run of that length has there; --learning-rate X lets it fall anew from X instead.

Examples:
  sfumato train
  sfumato train --preset swiss-roll --out runs/roll
  sfumato train --dataset folder:photos --image-size 32 --minutes 30 --out runs/photos
  sfumato train --init-from runs/photos --dataset folder:paintings --out runs/paintings
  sfumato train --resume runs/photos --minutes 60
  sfumato train --resume runs/photos --steps 40000 --learning-rate 1e-4
  sfumato train --dataset folder:photos --schedule learned.toml
  sfumato train --weight min-snr --set objective.weight.gamma=3 --density stratified
  sfumato train --preset ddpm-cifar10 --data-dir cifar-10-batches-bin --backend cuda"
    )
}
