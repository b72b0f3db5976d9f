//! What is scored and how: the arguments that `eval` and `compare` share.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use sfumato_data::{Background, LabelsFrom, Split, ValueRange};
use sfumato_model::fitted::Placement;
use sfumato_process::VarianceRule;
use sfumato_schedule::probability::LikelihoodCdf;

use super::names::Spacings;

/// All of it but the data set's name, which not every call needs, and the machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) estimate: EstimateArgs,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

/// Which examples, and how they are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Which part of the data set; of a folder, test is its folder test, or else val. held-out are the examples that the model's run held out of
    /// the data that it was trained on
    #[arg(long, value_enum, default_value_t = SplitName::Test, value_name = "NAME")]
    pub(crate) split: SplitName,
    /// Score only N examples: a random part that depends on --seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Score the examples in the order of the data set, so that --limit N takes the first N
    #[arg(long)]
    pub(crate) in_order: bool,
    /// Directory with the files of a named data set
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What transparent images are laid on: white, black, grey or #rrggbb [default: white]
    #[arg(long, value_name = "COLOUR")]
    pub(crate) background: Option<Background>,
    /// Where the classes come from: auto (a file of labels, else sub-folders), folders, file-names (cat_001.png), none [default: auto]
    #[arg(long, value_name = "FROM")]
    pub(crate) labels: Option<LabelsFrom>,
    /// Numbers of an array that are black and white, as in 0..1 or 0..255 [default: 0..255 for integers, -1..1 for floats]
    #[arg(long, value_name = "BLACK..WHITE", allow_hyphen_values = true)]
    pub(crate) range: Option<ValueRange>,
    /// Fail at an unreadable image instead of leaving it out
    #[arg(long)]
    pub(crate) strict: bool,
    /// Tell a class-conditional model nothing about the class, even where the data has labels
    #[arg(long)]
    pub(crate) ignore_labels: bool,
}

/// How the sum over the steps is estimated.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Estimate")]
pub(crate) struct EstimateArgs {
    /// Longest stratum of steps that one evaluation stands for; 1 evaluates every step [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    pub(crate) stride: Option<usize>,
    /// Noise draws for each example and stratum
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) draws: u16,
    /// Seed of the noise, of the choice of steps and of the part that --limit takes
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Evaluations of the network at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,
}

/// Which chain.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(crate) struct ChainArgs {
    /// Variance of the reverse steps; analytic and optimal after `eval --fit` [default: the model's]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) variance: Option<VarianceName>,
    /// Score the chain of only S steps; it is another model than the full chain. continuous scores the limit of ever more steps between the first
    /// and the last (Kingma et al. 2021), where --variance is the decoder's alone [default: all]
    #[arg(long, value_name = "S|continuous")]
    pub(crate) steps: Option<ChainSteps>,
    /// How these steps are spread; best is where the bound is least, after `eval --fit` [default: linspace]
    #[arg(long, value_name = "leading|linspace|trailing|best", value_parser = Spacings)]
    pub(crate) spacing: Option<Placement>,
    /// Distribution function of the discretised decoder: exact, or DDPM's tanh approximation [default: exact]
    #[arg(long, value_name = "NAME")]
    pub(crate) cdf: Option<LikelihoodCdf>,
}

impl ChainArgs {
    /// The number of steps, where one is given.
    pub(crate) fn count(&self) -> Option<usize> {
        match self.steps {
            Some(ChainSteps::Count(count)) => Some(count),
            Some(ChainSteps::Continuous) | None => None,
        }
    }

    /// Whether there are infinitely many steps.
    pub(crate) fn continuous(&self) -> bool {
        self.steps == Some(ChainSteps::Continuous)
    }
}

/// How many steps a chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainSteps {
    /// So many.
    Count(usize),
    /// Infinitely many, between the first and the last.
    Continuous,
}

impl FromStr for ChainSteps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("continuous") {
            return Ok(Self::Continuous);
        }
        text.trim().parse().map(Self::Count).map_err(|_| "expected a number of steps, or continuous".to_owned())
    }
}

/// The parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    /// What a model has not seen
    Test,
    /// What a model is trained on
    Train,
    /// What the model's run held out of that
    HeldOut,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Test => Self::Test,
            SplitName::Train | SplitName::HeldOut => Self::Train,
        }
    }
}

/// The variances of the reverse steps that a network does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VarianceName {
    /// Of the posterior, beta tilde
    FixedSmall,
    /// Of the forward step, beta
    FixedLarge,
    /// The best one for a perfect network, from its mean squared noise (Bao et al. 2022)
    Analytic,
    /// The best one for the network as it is, from its mean squared error
    Optimal,
}

impl From<VarianceName> for VarianceRule {
    fn from(name: VarianceName) -> Self {
        match name {
            VarianceName::FixedSmall => Self::FixedSmall,
            VarianceName::FixedLarge => Self::FixedLarge,
            VarianceName::Analytic => Self::Analytic,
            VarianceName::Optimal => Self::Optimal,
        }
    }
}
