//! `sfumato schedule`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sfumato_data::{DatasetSpec, ImageSize};

use super::image_size::Size;
use super::values;

/// Look at noise schedules
#[derive(Clone, Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) command: ScheduleCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Print the coefficients of every step
    Show(ShowArgs),
    /// Draw coefficients over the steps, as SVG or PNG
    Plot(PlotArgs),
    /// Print what tells several schedules apart
    Compare(CompareArgs),
    /// Say what is wrong with a schedule for given data
    Check(CheckArgs),
    /// Make the schedule that a model's losses ask for
    Learn(LearnArgs),
}

/// What a SCHEDULE on the command line may be.
const SOURCES: &str = "A SCHEDULE is
  a name                 linear, quadratic, scaled-linear, cosine, notes-cosine, sigmoid, constant, jensen-shannon, linear-log-snr
  with parameters        cosine:4000   linear:steps=200,beta_end=0.1   explicit:0.1,0.2,0.5
  a file                 a run's config.toml, a TOML table with a kind, a diffusers scheduler_config.json
  a directory            a run, or a model";

/// The help of a subcommand: examples, and what a schedule may be.
fn after_help(examples: &str) -> String {
    format!("{SOURCES}\n\nExamples:\n{examples}")
}

/// Print the coefficients of every step
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help("  sfumato schedule show cosine --steps 1000 --every 100
  sfumato schedule show linear --format csv > linear.csv
  sfumato schedule show runs/NAME/model"))]
pub(crate) struct ShowArgs {
    /// Name, file or directory; see below
    #[arg(default_value = "linear", value_name = "SCHEDULE")]
    pub(crate) schedule: String,
    /// Steps T [default: the schedule's own, 1000]
    #[arg(long, value_name = "T", value_parser = values::count::<usize>())]
    pub(crate) steps: Option<usize>,
    /// Take the schedule from a training configuration; the same as giving the file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schedule", "steps"])]
    pub(crate) config: Option<PathBuf>,
    /// Print every N-th step only, and the first and last [default: about 20 rows for a table, all for csv and json]
    #[arg(long, value_name = "N", value_parser = values::count::<u32>())]
    pub(crate) every: Option<u32>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// Draw coefficients over the steps, as SVG or PNG
///
/// Several schedules are drawn over each other; over t / T, where their lengths differ.
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help("  sfumato schedule plot linear --out linear.svg
  sfumato schedule plot linear cosine notes-cosine --out three.png
  sfumato schedule plot runs/NAME/model --quantity log-snr --out log-snr.svg"))]
pub(crate) struct PlotArgs {
    /// Names, files or directories; see below
    #[arg(default_value = "linear", value_name = "SCHEDULE", num_args = 1..)]
    pub(crate) schedules: Vec<String>,
    /// Steps T of all of them [default: each one's own, 1000]
    #[arg(long, value_name = "T", value_parser = values::count::<usize>())]
    pub(crate) steps: Option<usize>,
    /// What to draw; may be repeated [default: all]
    #[arg(long, value_enum, value_name = "QUANTITY")]
    pub(crate) quantity: Vec<Quantity>,
    /// File to write; its name ends in .svg or .png
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Print what tells several schedules apart
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help("  sfumato schedule compare linear cosine notes-cosine
  sfumato schedule compare cosine:10 cosine:100 cosine:1000 --format json
  sfumato schedule compare linear runs/NAME/model --plot both.svg"))]
pub(crate) struct CompareArgs {
    /// Names, files or directories; see below
    #[arg(required = true, value_name = "SCHEDULE", num_args = 1..)]
    pub(crate) schedules: Vec<String>,
    /// Steps T of all of them [default: each one's own, 1000]
    #[arg(long, value_name = "T", value_parser = values::count::<usize>())]
    pub(crate) steps: Option<usize>,
    /// Also draw them over each other into this .svg or .png
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// Say what is wrong with a schedule for given data
///
/// Errors (the schedule cannot work) end with exit code 1, warnings only with --strict. `train` checks in the same way
/// before it starts.
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help("  sfumato schedule check linear:100
  sfumato schedule check runs/NAME/model --dataset fashion-mnist-mini
  sfumato schedule check cosine:4000 --prediction v --strict"))]
pub(crate) struct CheckArgs {
    /// Names, files or directories; see below
    #[arg(required = true, value_name = "SCHEDULE", num_args = 1..)]
    pub(crate) schedules: Vec<String>,
    /// Steps T of all of them [default: each one's own, 1000]
    #[arg(long, value_name = "T", value_parser = values::count::<usize>())]
    pub(crate) steps: Option<usize>,
    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,
    /// Fail at warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make the schedule that a model's losses ask for
///
/// Of all schedules between the same two noise levels it is the one whose estimate of the variational bound, from one time for each example,
/// varies least: log SNR falls the slower, the larger the loss (Kingma et al. 2021, arXiv:2107.00630, Section 5.2). The losses are those that
/// `sfumato eval --fit` has measured. The file that is written is a configuration for `train --config`, and a schedule for `train --schedule`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato eval --model runs/NAME/model --dataset fashion-mnist --fit --no-bound
  sfumato schedule learn runs/NAME/model --out learned.toml
  sfumato schedule learn runs/NAME/model --steps 4000 --log-snr-first 11 --out longer.toml
  sfumato train --dataset fashion-mnist --schedule learned.toml")]
pub(crate) struct LearnArgs {
    /// Model directory with a fit, as `eval --fit` writes it
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Steps T [default: the model's]
    #[arg(long, value_name = "T", value_parser = values::count::<usize>())]
    pub(crate) steps: Option<usize>,
    /// Natural logarithm of the signal-to-noise ratio at step 1 [default: the model's]
    #[arg(long, value_name = "X", value_parser = values::real("a number", |_| true), allow_hyphen_values = true)]
    pub(crate) log_snr_first: Option<f64>,
    /// The same at step T [default: the model's]
    #[arg(long, value_name = "X", value_parser = values::real("a number", |_| true), allow_hyphen_values = true)]
    pub(crate) log_snr_last: Option<f64>,
    /// How far it falls from step 1 to step 2 at least; 0, for a run with --variance learned-range, is what varies least [default: where the
    /// decoder of a fixed variance costs little]
    #[arg(long, value_name = "X", value_parser = values::not_negative())]
    pub(crate) first_leap: Option<f64>,
    /// File to write; its name ends in .toml
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// What the schedules are to be used for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Use")]
pub(crate) struct ConditionArgs {
    /// Measure the data: fashion-mnist-mini, folder:PATH, npy:FILE.npy, toy:swiss-roll, …
    #[arg(long, value_name = "SPEC", conflicts_with = "mean_square")]
    pub(crate) dataset: Option<DatasetSpec>,
    /// Directory with the files of a named data set
    #[arg(long, value_name = "DIR", requires = "dataset")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Size in pixels to which images are resized and cropped: 64, or 64x128 for height and width
    #[arg(long, value_name = "N|HxW", value_parser = Size, allow_hyphen_values = true, requires = "dataset")]
    pub(crate) image_size: Option<ImageSize>,
    /// Mean of x_0² over the data, instead of measuring it [default: 1, the most that images in [-1, 1] can have]
    #[arg(long, value_name = "X", value_parser = values::not_negative())]
    pub(crate) mean_square: Option<f64>,
    /// What the network predicts [default: what the model or configuration says, or epsilon]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) prediction: Option<PredictionName>,
    /// Most information about the data that x_T may hold, in bits/dim
    #[arg(long, default_value_t = 1e-3, value_name = "B", value_parser = values::not_negative())]
    pub(crate) prior_limit: f64,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PredictionName {
    /// The noise
    Epsilon,
    /// The clean data
    X0,
    /// v, between the two
    V,
}

/// A coefficient to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Quantity {
    /// alpha_bar, the signal power
    AlphaBar,
    /// beta, the variance that a step adds
    Beta,
    /// Natural logarithm of the signal-to-noise ratio
    LogSnr,
    /// Variance of q(x_{t-1} | x_t, x_0)
    PosteriorVariance,
    /// A step's share of the bound for data of unit variance and a perfect denoiser, bits/dim
    Bound,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// Comma-separated values, full precision
    Csv,
    /// An array of objects, full precision
    Json,
}
