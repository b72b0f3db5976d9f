//! `cargo xtask bench`: how fast it is, alone and beside PyTorch.

mod chart;
mod curve;
mod grid;
pub(super) mod machine;
pub(super) mod measured;
mod objectives;
mod peer;
mod profile;
mod report;
mod scaling;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;

use super::{Usage, option_value};
use crate::cargo;
use crate::process::become_program;

const HELP: &str = "\
Usage: cargo xtask bench [FILTER...]                    criterion: kernels, training steps, evaluations, sampling
       cargo xtask bench --peer torch [OPTIONS]         beside PyTorch: the same networks, weights and batches
       cargo xtask bench --scaling [PART...]            threads, batches, sizes (of images), backends (flex and ndarray)
       cargo xtask bench --profile                      where a training step's time goes, and the arithmetic ceiling
       cargo xtask bench --objectives                   a training step by each loss, weight and density, beside simple
       cargo xtask bench --curve                        200 steps with the fast kernels and in double precision

Options of --peer:
  --grid          f32 alone, at batches of 1 to 64 and sizes of 16×16 to 256×256: a table of ratios
  --rounds N      rounds in which all are measured in turns [default: 3]
  --quick         one round of the small network, without torch.compile: a look, no result
  --work FILTER   only works whose name contains this, e.g. \"training step\" or cifar10
  --json FILE     also write the rows as JSON
  --patience S    seconds spent in all on waiting for a quiet machine and repeating disturbed runs [default: 300]

SFUMATO_PEER_PYTHON names a Python that has torch and diffusers; without it, .venv-peer is made with the pinned ones.
";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    match Mode::of(arguments)? {
        Mode::Help => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Mode::Criterion(arguments) => become_program(criterion(&arguments)),
        Mode::Peer(options) if options.grid => grid::run(&options),
        Mode::Peer(options) => peer::run(&options),
        Mode::Scaling(parts) => scaling::run(&parts),
        Mode::Profile => profile::run(),
        Mode::Objectives => objectives::run(),
        Mode::Curve => curve::run(),
    }
}

/// What to measure.
#[derive(Debug, PartialEq)]
enum Mode {
    Help,
    Criterion(Vec<String>),
    Peer(Options),
    /// Which parts; all where none is named.
    Scaling(Vec<String>),
    Profile,
    Objectives,
    Curve,
}

/// Options of `--peer`.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    grid: bool,
    rounds: usize,
    quick: bool,
    work: String,
    json: Option<PathBuf>,
    patience: f64,
}

impl Mode {
    fn of(arguments: &[String]) -> anyhow::Result<Mode> {
        let Some(given) = Given::of(arguments)? else { return Ok(Mode::Help) };
        let for_peer = given.quick
            || given.grid
            || given.rounds.is_some()
            || given.work.is_some()
            || given.json.is_some()
            || given.patience.is_some();
        let words = given.words.clone();
        let mode = given.mode()?;
        match &mode {
            Mode::Peer(_) => {
                if let Some(word) = words.first() {
                    return Err(Usage(format!("unexpected `{word}`: --work filters")).into());
                }
            }
            Mode::Profile | Mode::Objectives | Mode::Curve if !words.is_empty() => {
                return Err(Usage(format!("unexpected argument `{}`", words[0])).into());
            }
            _ if for_peer => {
                return Err(
                    Usage("--grid, --rounds, --quick, --work, --json and --patience need --peer torch".into()).into()
                );
            }
            _ => {}
        }
        Ok(mode)
    }
}

/// The arguments, before it is known whether they go together.
#[derive(Default)]
struct Given {
    modes: Vec<&'static str>,
    rounds: Option<usize>,
    grid: bool,
    quick: bool,
    work: Option<String>,
    json: Option<PathBuf>,
    patience: Option<f64>,
    words: Vec<String>,
}

impl Given {
    /// The arguments; none if they ask for help.
    fn of(arguments: &[String]) -> anyhow::Result<Option<Given>> {
        let mut given = Given::default();
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                given.words.extend(rest.by_ref());
            } else if let Some(peer) = option_value(&argument, "--peer", &mut rest)? {
                if peer != "torch" {
                    return Err(Usage(format!("unknown peer `{peer}`, expected torch")).into());
                }
                given.modes.push("--peer");
            } else if let Some(value) = option_value(&argument, "--rounds", &mut rest)? {
                let positive = value.parse::<usize>().ok().filter(|&rounds| rounds > 0);
                let wrong = || Usage(format!("--rounds {value}: expected a number above 0"));
                given.rounds = Some(positive.ok_or_else(wrong)?);
            } else if let Some(value) = option_value(&argument, "--patience", &mut rest)? {
                let seconds = value.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
                given.patience = Some(seconds.ok_or_else(|| Usage(format!("--patience {value}: expected seconds")))?);
            } else if let Some(value) = option_value(&argument, "--work", &mut rest)? {
                given.work = Some(value);
            } else if let Some(value) = option_value(&argument, "--json", &mut rest)? {
                given.json = Some(PathBuf::from(value));
            } else {
                match argument.as_str() {
                    "--quick" => given.quick = true,
                    "--grid" => given.grid = true,
                    "--scaling" => given.modes.push("--scaling"),
                    "--profile" => given.modes.push("--profile"),
                    "--objectives" => given.modes.push("--objectives"),
                    "--curve" => given.modes.push("--curve"),
                    "--help" | "-h" => return Ok(None),
                    option if option.starts_with('-') => {
                        return Err(Usage(format!("unexpected argument `{option}`\n\n{HELP}")).into());
                    }
                    _ => given.words.push(argument),
                }
            }
        }
        Ok(Some(given))
    }

    /// What they ask for.
    fn mode(self) -> anyhow::Result<Mode> {
        Ok(match self.modes[..] {
            [] => Mode::Criterion(self.words),
            ["--peer"] if self.grid && (self.rounds.is_some() || self.patience.is_some()) => {
                return Err(Usage("--grid takes neither --rounds nor --patience".into()).into());
            }
            ["--peer"] => Mode::Peer(Options {
                grid: self.grid,
                rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
                quick: self.quick,
                work: self.work.unwrap_or_default(),
                json: self.json,
                patience: self.patience.unwrap_or(if self.quick { 0.0 } else { 300.0 }),
            }),
            ["--scaling"] => Mode::Scaling(scaling::known(&self.words)?),
            ["--profile"] => Mode::Profile,
            ["--objectives"] => Mode::Objectives,
            ["--curve"] => Mode::Curve,
            _ => return Err(Usage(format!("{} exclude each other", self.modes.join(" and "))).into()),
        })
    }
}

/// The criterion benchmarks of all packages that have some.
fn criterion(arguments: &[String]) -> Command {
    let mut command = cargo::cargo("bench");
    command.args([
        "--profile",
        "release",
        "--package",
        "sfumato-cpu",
        "--package",
        "sfumato-kernels",
        "--package",
        "sfumato-bench",
        "--bench",
        "*",
    ]);
    command.arg("--").args(arguments);
    command
}

/// The measured program, built.
fn build(features: &[&str]) -> anyhow::Result<PathBuf> {
    let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
    cargo::build("sfumato-bench", "sfumato-bench", &features)?.context("sfumato-bench cannot be built")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(arguments: &[&str]) -> anyhow::Result<Mode> {
        Mode::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_filters_for_criterion() {
        assert_eq!(mode(&[]).unwrap(), Mode::Criterion(vec![]));
        assert_eq!(
            mode(&["small", "--", "--noplot"]).unwrap(),
            Mode::Criterion(vec!["small".into(), "--noplot".into()])
        );
    }

    #[test]
    fn the_peer_takes_its_options_in_any_order() {
        let Mode::Peer(options) =
            mode(&["--json=rows.json", "--work", "small", "--peer", "torch", "--rounds", "5"]).unwrap()
        else {
            panic!("the peer was asked for")
        };
        assert_eq!((options.rounds, options.quick, options.work.as_str()), (5, false, "small"));
        assert_eq!(options.json, Some("rows.json".into()));
        let Mode::Peer(quick) = mode(&["--peer=torch", "--quick"]).unwrap() else { panic!("the peer was asked for") };
        assert_eq!((quick.rounds, quick.patience, quick.grid), (1, 0.0, false));
        let Mode::Peer(grid) = mode(&["--peer=torch", "--grid"]).unwrap() else { panic!("the peer was asked for") };
        assert!(grid.grid);
    }

    #[test]
    fn parts_of_the_scaling_are_chosen_by_name() {
        let parts = |arguments: &[&str]| mode(arguments).unwrap();
        assert_eq!(parts(&["--scaling", "backends"]), Mode::Scaling(vec!["backends".into()]));
        assert_eq!(parts(&["sizes", "--scaling", "threads"]), Mode::Scaling(vec!["sizes".into(), "threads".into()]));
        assert!(mode(&["--scaling", "backend"]).unwrap_err().to_string().contains("threads, batches, sizes, backends"));
    }

    #[test]
    fn what_does_not_go_together_is_a_usage_error() {
        for arguments in [
            &["--peer", "jax"][..],
            &["--peer"],
            &["--peer", "torch", "small"],
            &["--peer", "torch", "--rounds", "0"],
            &["--peer", "torch", "--scaling"],
            &["--scaling", "small"],
            &["--json", "x"],
            &["--grid"],
            &["--grid", "--peer", "torch", "--rounds", "2"],
            &["--quick"],
            &["--patience", "-1", "--peer", "torch"],
            &["--fast"],
        ] {
            let error = mode(arguments).unwrap_err();
            assert!(error.is::<Usage>(), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_other_modes_are_one_word() {
        assert_eq!(mode(&["--scaling"]).unwrap(), Mode::Scaling(vec![]));
        assert_eq!(mode(&["--profile"]).unwrap(), Mode::Profile);
        assert_eq!(mode(&["--objectives"]).unwrap(), Mode::Objectives);
        assert_eq!(mode(&["--curve"]).unwrap(), Mode::Curve);
        assert_eq!(mode(&["--help"]).unwrap(), Mode::Help);
    }
}
