//! `cargo xtask evidence`: the numbers in `docs/results`, made again and compared with those that are kept.

pub(super) mod arrays;
mod date;
mod experiments;
mod figure;
mod figures;
mod job;
mod kept;
mod nearest;
mod options;
mod pages;
mod printed;
mod report;
pub(super) mod scores;
mod table;
mod together;
mod work;

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

use self::experiments::Experiment;
use self::figures::Figures;
use self::kept::Kept;
use self::options::{Mode, Options};
use self::work::Work;
use super::bench::machine;
use crate::cargo::{self, root};

const HELP: &str = "\
Usage: cargo xtask evidence                   what there is, how long it takes, and when it was kept
       cargo xtask evidence NAME... [OPTIONS]  make it again, and compare it with docs/results/NAME.json
       cargo xtask evidence --check            compare the tables of the pages with the kept numbers
       cargo xtask evidence --pages            write the tables of the pages anew from the kept numbers

For every figure it prints what is kept, what it is now, by how much the two may differ, and whether they are the same:
  exact      the same number or word
  interval   at most 3 standard errors of the difference apart
  tolerance  at most so far apart
  ratio, time  shown, and never compared
The exit code is 1 where one differs.

Options:
  --keep          write docs/results/NAME.json and the tables of the pages
  --quick         a much smaller version, in seconds: shows that it runs, and is never kept
  --out DIR       work in this folder and leave it, to look at models and samples; a later call with the same folder uses
                  what is done there, and goes on with what is not
  --threads N     threads of the program [default: all cores]
  --program FILE  use this program instead of building the one of this workspace

Experiments that need a model of the default preset share one run, if they are named in one call or have the same --out.
SFUMATO_PEER_PYTHON names a Python that has torch and diffusers, for those that compare with them.
";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    match Mode::of(arguments)? {
        Mode::Help => print!("{HELP}"),
        Mode::List => report::list()?,
        Mode::Pages { write: false } => check_pages()?,
        Mode::Pages { write: true } => {
            for name in experiments::names() {
                renew(Kept::read(name)?.as_ref())?;
            }
        }
        Mode::Make(options) => return make(&options),
    }
    Ok(ExitCode::SUCCESS)
}

/// A step of `cargo xtask ci`: the pages say what is kept, and the experiments that need no Python run, in small.
pub(super) fn check_short() -> anyhow::Result<()> {
    check_pages()?;
    let mut arguments: Vec<String> = experiments::SHORT.iter().map(|name| (*name).to_owned()).collect();
    arguments.push("--quick".into());
    println!("-- cargo xtask evidence {}", arguments.join(" "));
    ensure!(run(&arguments)? == ExitCode::SUCCESS, "an experiment failed");
    Ok(())
}

fn check_pages() -> anyhow::Result<()> {
    let compared = pages::check(&experiments::names())?;
    println!("-- {compared} tables of the documentation are those of the kept numbers");
    Ok(())
}

/// Makes the experiments; success if all figures are the same.
fn make(options: &Options) -> anyhow::Result<ExitCode> {
    let program = match &options.program {
        Some(file) => file.canonicalize().with_context(|| format!("--program {}", file.display()))?,
        None => match cargo::build("sfumato-cli", "sfumato", &[])? {
            Some(program) => program,
            None => return Ok(ExitCode::FAILURE),
        },
    };
    let tree = Tree::now();
    let folder = folder(options)?;
    let work = Work {
        program,
        folder: folder.clone(),
        quick: options.quick,
        threads: options.threads,
        revision: tree.revision.clone(),
        commands: RefCell::default(),
        pictures: OnceCell::new(),
    };
    work.prepare()?;
    eprintln!("Working in {}", folder.display());
    let mut same = true;
    for experiment in &options.experiments {
        eprintln!("== {}: {}", experiment.name, experiment.about);
        same &= one(experiment, &work, options, &tree)?;
    }
    // What fails leaves the folder, to look at.
    if options.out.is_none() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes one experiment; whether it is the same as what is kept.
fn one(experiment: &Experiment, work: &Work, options: &Options, tree: &Tree) -> anyhow::Result<bool> {
    // Before the work, so that a damaged file is said at once.
    let before = if work.quick { None } else { Kept::read(experiment.name)? };
    work.commands.borrow_mut().clear();
    let mut figures = Figures::default();
    (experiment.run)(work, &mut figures)
        .with_context(|| format!("{} failed, and what it did is in {}", experiment.name, work.folder.display()))?;
    let made: Vec<(String, PathBuf)> =
        figures.pictures.iter().map(|picture| (picture.file.clone(), picture.made.clone())).collect();
    let now = put_together(experiment.name, figures, work, tree);
    let same = report::print(before.as_ref(), &now, work.quick);
    if options.keep {
        now.write()?;
        for (file, path) in made {
            let to = root().join("docs/images").join(&file);
            fs::copy(&path, &to).with_context(|| format!("cannot copy {} to {}", path.display(), to.display()))?;
        }
        println!("kept in docs/results/{}.json", now.name);
        renew(Some(&now))?;
    }
    Ok(same)
}

fn put_together(name: &str, figures: Figures, work: &Work, tree: &Tree) -> Kept {
    let threads = work.threads.map(|threads| format!(" --threads {threads}")).unwrap_or_default();
    let machine = machine::facts().into_iter().filter(|(name, _)| *name != "revision");
    Kept {
        name: name.to_owned(),
        command: format!("cargo xtask evidence {name}{threads}"),
        made: date::today(),
        revision: tree.revision.clone(),
        dirty: tree.dirty,
        machine: machine.map(|(name, value)| (name.to_owned(), value)).collect(),
        tools: figures.tools.into_iter().collect(),
        seeds: figures.seeds.into_iter().collect(),
        checksums: figures.checksums,
        commands: work.commands.borrow().clone(),
        pictures: figures.pictures,
        figures: figures.list,
    }
}

fn renew(kept: Option<&Kept>) -> anyhow::Result<()> {
    for page in kept.map(pages::renew).transpose()?.unwrap_or_default() {
        println!("renewed {page}");
    }
    Ok(())
}

/// Where to work: the folder that is named, or a new one.
fn folder(options: &Options) -> anyhow::Result<PathBuf> {
    let folder = match &options.out {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("sfumato-evidence-{}", std::process::id())),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    folder.canonicalize().with_context(|| folder.display().to_string())
}

/// The state of the code.
struct Tree {
    revision: String,
    /// Whether something but the documentation is changed.
    dirty: bool,
}

impl Tree {
    fn now() -> Self {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.args(arguments).current_dir(root());
            command
        };
        let revision = machine::first_line(&mut git(&["rev-parse", "--short=12", "HEAD"]));
        let changes = git(&["status", "--porcelain", "--", ".", ":!docs"]).output();
        let dirty = changes.map_or(true, |output| !output.status.success() || !output.stdout.is_empty());
        Self { revision, dirty }
    }
}

/// A path as the pages say it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
