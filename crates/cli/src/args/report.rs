//! `sfumato report`

use std::path::PathBuf;

use clap::Args;

/// Make one page of one or several runs: curves, pictures, what differs
#[derive(Clone, Debug, Args)]
#[command(after_help = "Every run has its page already, RUN/report.html, which is renewed at each checkpoint.

Examples:
  sfumato report runs/photos
  sfumato report runs/photos runs/photos-2 --out compared.html")]
pub(crate) struct ReportArgs {
    /// Directories of runs
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page [default: RUN/report.html for one run, report.html here for several]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
