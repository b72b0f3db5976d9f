//! `sfumato schedule`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
}

/// Print the coefficients of every step
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sfumato schedule show cosine --steps 1000 --every 100
  sfumato schedule show linear --format csv > linear.csv
  sfumato schedule show --config runs/NAME/config.toml")]
pub(crate) struct ShowArgs {
    /// linear, quadratic, scaled-linear, cosine, notes-cosine, sigmoid, constant, jensen-shannon
    #[arg(default_value = "linear", value_name = "NAME")]
    pub(crate) name: String,
    /// Steps T [default: the schedule's own, 1000]
    #[arg(long, value_name = "T")]
    pub(crate) steps: Option<usize>,
    /// Take the schedule from a training configuration instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "steps"])]
    pub(crate) config: Option<PathBuf>,
    /// Print every N-th step only, and the first and last [default: about 20 rows for a table, all for csv and json]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: Option<u32>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
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
