//! `report.html`: one page for one or several runs, which needs no network and no other file.
//!
//! | file | what it does |
//! | --- | --- |
//! | `run` | reads a run's directory |
//! | `metrics`, `thin`, `panels` | lines of numbers as curves, curves as few points, points as charts |
//! | `pictures`, `scores` | the grids of `samples/`, the results of `sfumato eval` |
//! | `differences` | what differs between the configurations of runs |
//! | `html`, `sections` | the page; everything from outside is escaped there |
//! | `page/` | its styles and its program, and uPlot, which draws the charts |
//!
//! Everything is bounded: curves are thinned, pictures are chosen and made smaller, and the page says so.

mod differences;
mod escape;
mod html;
mod metrics;
mod panels;
mod pictures;
mod run;
mod scores;
mod sections;
mod thin;

use std::path::{Path, PathBuf};

use sfumato_files::write_atomically;

pub(crate) use self::metrics::numbers;
pub(crate) use self::pictures::PictureCache;
use self::run::RunFacts;
pub(crate) use self::run::locate;

/// The page of a run, in its directory.
pub(crate) const FILE: &str = "report.html";
/// Pictures in a page, over all of its runs, and of a run at least.
const MOST_PICTURES: usize = 40;
const FEW_PICTURES: usize = 4;
/// Points of a line, likewise.
const MOST_POINTS: usize = 2000;
const FEW_POINTS: usize = 100;
/// Points of a line of the page of one run.
const MOST_OF_ONE: usize = 700;

/// The page of the runs in `roots`.
pub(crate) fn page(roots: &[PathBuf], cache: &mut PictureCache) -> String {
    let share = |all: usize, few: usize| (all / roots.len().max(1)).max(few);
    let pictures = share(MOST_PICTURES, FEW_PICTURES);
    let mut runs: Vec<RunFacts> = roots.iter().map(|root| RunFacts::read(root, pictures, cache)).collect();
    tell_apart(&mut runs);
    html::page(&runs, share(MOST_POINTS, FEW_POINTS).min(MOST_OF_ONE))
}

/// Whether a text is a page that was made here.
pub(crate) fn is_ours(text: &str) -> bool {
    text.contains(html::GENERATOR)
}

/// Runs of the same name get their paths.
fn tell_apart(runs: &mut [RunFacts]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for run in runs {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = run.root.display().to_string();
        }
    }
}

/// The page of a run that goes on.
#[derive(Debug)]
pub(crate) struct Renewal {
    root: PathBuf,
    cache: PictureCache,
    failed: bool,
}

impl Renewal {
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), cache: PictureCache::default(), failed: false }
    }

    /// Writes the page anew; a sentence if that cannot be done, the first time.
    pub(crate) fn renew(&mut self) -> Option<String> {
        let page = page(std::slice::from_ref(&self.root), &mut self.cache);
        let written = write_atomically(&self.root.join(FILE), page.as_bytes());
        let error = written.err()?;
        (!std::mem::replace(&mut self.failed, true)).then(|| format!("{error}; the run goes on without its page"))
    }
}
