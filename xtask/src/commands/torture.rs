//! `cargo xtask torture`: disturbs tiny runs in every way that a machine can, and looks whether anything is lost.
//!
//! A round takes one kind of disturbance, random sizes and a directory of its own. It makes an undisturbed run first,
//! then a disturbed one with the same settings, and compares what both leave.

mod commands;
mod crash;
mod damage;
mod disk;
mod errors;
mod expected;
mod injection;
mod kill;
mod launch;
mod look;
mod options;
mod pairs;
mod power;
mod random;
mod replay;
mod round;
mod settings;
mod stop;
mod streams;
mod table;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use self::options::{Mode, Options};
use self::random::Random;
use self::round::{Round, Tools};
use self::table::Table;
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask torture [--rounds N] [--seed S] [--only KIND] [--round N] [--program FILE] [--keep-going]

Trains tiny models, disturbs the runs, lets them go on, and compares them with undisturbed runs: the same
bits in the last checkpoint, the same lines in metrics.jsonl, nothing left over, and no step lost that a complete
checkpoint holds. The program must never panic, and never die of a signal that was not sent to it.

Kinds of rounds:
  kill     SIGKILL at a random time or at a random system call, several times, also while the run is resumed, and
           while a finished run goes on to more steps
  stop     Ctrl-C (SIGINT) and SIGTERM at a random time or system call: the program ends in good order
  errors   a system call fails (no space, an input or output error, no permission), once or from then on; or the
           size of files is limited
  damage   a file of the newest checkpoint is cut, emptied, deleted, or one of its bits is changed
  streams  standard output and standard error are closed, full, or a pipe whose reader goes away
  pairs    two processes start one run at the same instant, and two resume one: one does the work, the other says
           who holds the run
  power    the power fails: what was not synced is lost, wholly or in part

Options:
  --rounds N      how many rounds [default: 200]
  --seed S        chooses all that is random [default: by the clock; it is printed]
  --only KIND     only rounds of this kind; may be given several times
  --round N       only this round of the seed, to repeat a failure
  --program FILE  torture this program instead of building the one of this workspace
  --keep-going    go on after a failed round; otherwise the first one ends the torture

A failed round prints its commands and keeps its directory. System calls are chosen, failed and recorded by strace. Where it is
missing (on Debian and Ubuntu: apt install strace), kills come by time alone, the only error is the limit on sizes,
and there are no rounds of the kind `power`; the torture says so. A kill by time is not repeated to the same microsecond.

What a power loss leaves is a model: names are made, renamed and removed in order, as a file system with a journal
does it, and those since the last fsync of a directory may be lost from any point on; the bytes of a file since its last fsync
are lost, cut, or zeros. It does not cover file systems that reorder names, disks that lie about a sync, or sectors
that can no longer be read.
";

/// Rounds that `cargo xtask ci` runs, three of each kind, and their seed.
const SHORT: (u64, u64) = (21, 1);

/// How to disturb a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kill,
    Stop,
    Errors,
    Damage,
    Streams,
    Pairs,
    Power,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Kill, Kind::Stop, Kind::Errors, Kind::Damage, Kind::Streams, Kind::Pairs, Kind::Power];

    fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Stop => "stop",
            Kind::Errors => "errors",
            Kind::Damage => "damage",
            Kind::Streams => "streams",
            Kind::Pairs => "pairs",
            Kind::Power => "power",
        }
    }

    fn run(self, round: &mut Round) -> anyhow::Result<()> {
        match self {
            Kind::Kill => kill::run(round),
            Kind::Stop => stop::run(round),
            Kind::Errors => errors::run(round),
            Kind::Damage => damage::run(round),
            Kind::Streams => streams::run(round),
            Kind::Pairs => pairs::run(round),
            Kind::Power => power::run(round),
        }
    }
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let options = match Mode::of(arguments)? {
        Mode::Help => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Mode::Torture(options) => options,
    };
    if !cfg!(unix) {
        bail!("the torture sends signals and closes streams as Unix does; it does not run on this system");
    }
    let program = match &options.program {
        Some(file) => file.canonicalize().with_context(|| format!("--program {}", file.display()))?,
        None => match cargo::build("sfumato-cli", "sfumato", &[])? {
            Some(program) => program,
            None => return Ok(ExitCode::FAILURE),
        },
    };
    Ok(if torture(program, &options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The short form, a step of `cargo xtask ci`: fails if a round does.
pub(super) fn check_short() -> anyhow::Result<()> {
    let (rounds, seed) = SHORT;
    let arguments = [format!("--rounds={rounds}"), format!("--seed={seed}")];
    println!("-- cargo xtask torture {}", arguments.join(" "));
    ensure!(run(&arguments)? == ExitCode::SUCCESS, "a round of the torture failed");
    Ok(())
}

/// Runs the rounds; whether all of them passed.
fn torture(program: PathBuf, options: &Options) -> anyhow::Result<bool> {
    let strace = injection::find_strace();
    let mut kinds = options.kinds();
    if let Err(reason) = &strace {
        println!("note: {reason}; kills come by time alone, and the kind `power` is left out");
        kinds.retain(|kind| *kind != Kind::Power);
        if kinds.is_empty() {
            bail!("the kind `power` needs strace, and {reason}");
        }
    }
    let place = std::env::temp_dir().join(format!("sfumato-torture-{}", std::process::id()));
    std::fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    let place = place.canonicalize()?; // as the system names it in records of calls
    println!("seed {}, {}, in {}", options.seed, program.display(), place.display());
    let tools = Tools { program, strace: strace.is_ok() };
    let mut table = Table::default();
    for number in options.numbers() {
        let kind = kind_of(options.seed, number, &kinds);
        let dir = place.join(format!("round-{number}"));
        let start = Instant::now();
        let mut round = Round::new(&tools, Random::new(options.seed, number), dir)?;
        let result = kind.run(&mut round);
        table.add(kind, &round.counts, result.is_ok());
        match result {
            Ok(()) => {
                println!("{number:>4}  {:<8}{:>6.1} s  {}", kind.name(), start.elapsed().as_secs_f64(), round.about());
                round.remove();
            }
            Err(error) => {
                println!("{number:>4}  {:<8}FAILED: {error:#}", kind.name());
                println!("\n{}", round.report());
                println!("To repeat it: {}\n", options.repeat(number, kind));
                if !options.keep_going {
                    break;
                }
            }
        }
    }
    let _ = std::fs::remove_dir(&place); // where nothing was kept
    print!("{table}");
    Ok(table.passed())
}

/// The kind of a round: within each group of as many rounds as there are kinds, every kind comes once, in random order.
fn kind_of(seed: u64, number: u64, kinds: &[Kind]) -> Kind {
    let length = kinds.len() as u64;
    let mut kinds = kinds.to_vec();
    // The groups have random numbers of their own, unlike those of any round.
    Random::new(seed ^ 0x6b69_6e64_7321, number / length).shuffle(&mut kinds);
    kinds[(number % length) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_has_every_kind() {
        let (rounds, seed) = SHORT;
        for kind in Kind::ALL {
            let times = (0..rounds).filter(|number| kind_of(seed, *number, &Kind::ALL) == kind).count();
            assert_eq!(times, 3, "{kind:?}");
        }
    }

    #[test]
    fn a_round_has_its_kind_by_seed_and_number() {
        let kinds = |seed| (0..70).map(|number| kind_of(seed, number, &Kind::ALL)).collect::<Vec<_>>();
        assert_eq!(kinds(5), kinds(5));
        assert_ne!(kinds(5), kinds(6));
        assert_eq!(kind_of(5, 3, &[Kind::Pairs]), Kind::Pairs);
    }

    #[test]
    fn every_kind_is_in_the_help() {
        for kind in Kind::ALL {
            assert!(HELP.contains(&format!("\n  {:<9}", kind.name())), "{kind:?}");
        }
    }
}
