//! The arguments of the torture.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{HELP, Kind};
use crate::commands::{Usage, option_value};

/// Rounds, unless another number is asked for.
const ROUNDS: u64 = 200;

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Mode {
    Help,
    Torture(Options),
}

/// How to torture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rounds: u64,
    pub(super) seed: u64,
    /// Kinds of rounds; all where none is named.
    pub(super) only: Vec<Kind>,
    /// One round of the seed, in place of the first `rounds`.
    pub(super) round: Option<u64>,
    pub(super) program: Option<PathBuf>,
    pub(super) keep_going: bool,
}

impl Mode {
    pub(super) fn of(arguments: &[String]) -> anyhow::Result<Mode> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64 % 1_000_000);
        let mut options =
            Options { rounds: ROUNDS, seed: clock, only: vec![], round: None, program: None, keep_going: false };
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if let Some(value) = option_value(&argument, "--rounds", &mut rest)? {
                options.rounds = number("--rounds", &value)?;
                if options.rounds == 0 {
                    return Err(Usage("--rounds 0: expected a number above 0".to_owned()).into());
                }
            } else if let Some(value) = option_value(&argument, "--seed", &mut rest)? {
                options.seed = number("--seed", &value)?;
            } else if let Some(value) = option_value(&argument, "--round", &mut rest)? {
                options.round = Some(number("--round", &value)?);
            } else if let Some(value) = option_value(&argument, "--only", &mut rest)? {
                options.only.push(kind(&value)?);
            } else if let Some(value) = option_value(&argument, "--program", &mut rest)? {
                options.program = Some(value.into());
            } else if argument == "--keep-going" {
                options.keep_going = true;
            } else if argument == "--help" || argument == "-h" {
                return Ok(Mode::Help);
            } else {
                return Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into());
            }
        }
        Ok(Mode::Torture(options))
    }
}

impl Options {
    /// The kinds of rounds to choose from.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.only.is_empty() || self.only.contains(kind)).collect()
    }

    /// The numbers of the rounds.
    pub(super) fn numbers(&self) -> std::ops::Range<u64> {
        match self.round {
            Some(round) => round..round + 1,
            None => 0..self.rounds,
        }
    }

    /// The command that repeats round `number`, which was one of `kind`.
    pub(super) fn repeat(&self, number: u64, kind: Kind) -> String {
        let program = self.program.as_ref().map(|program| format!(" --program {}", program.display()));
        // The kind is named because its choice depends on what else there was to choose from.
        let command = format!("cargo xtask torture --seed {} --round {number} --only {}", self.seed, kind.name());
        command + &program.unwrap_or_default()
    }
}

fn number(option: &str, value: &str) -> anyhow::Result<u64> {
    value.parse().map_err(|_| Usage(format!("{option} {value}: expected a whole number")).into())
}

fn kind(name: &str) -> anyhow::Result<Kind> {
    let names = Kind::ALL.map(Kind::name).join(", ");
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| Usage(format!("unknown kind `{name}`, expected one of: {names}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(arguments: &[&str]) -> anyhow::Result<Mode> {
        Mode::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    fn options(arguments: &[&str]) -> Options {
        match mode(arguments).unwrap() {
            Mode::Torture(options) => options,
            Mode::Help => panic!("help was not asked for"),
        }
    }

    #[test]
    fn two_hundred_rounds_of_all_kinds_unless_told_otherwise() {
        let default = options(&[]);
        assert_eq!((default.numbers(), default.kinds()), (0..200, Kind::ALL.to_vec()));
        let some = options(&["--rounds", "50", "--seed=7", "--only", "pairs", "--keep-going"]);
        assert_eq!((some.numbers(), some.seed, some.kinds()), (0..50, 7, vec![Kind::Pairs]));
        assert!(some.keep_going);
    }

    #[test]
    fn a_round_is_repeated_by_the_command_that_is_printed() {
        let words = ["--seed", "7", "--only", "kill", "--only=power", "--program", "x/sfumato"];
        let command = options(&words).repeat(31, Kind::Power);
        let again: Vec<&str> = command.strip_prefix("cargo xtask torture ").unwrap().split(' ').collect();
        let again = options(&again);
        assert_eq!((again.numbers(), again.seed, again.kinds()), (31..32, 7, vec![Kind::Power]));
        assert_eq!(again.program, Some("x/sfumato".into()));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for arguments in
            [&["--rounds", "0"][..], &["--rounds", "x"], &["--only", "fire"], &["--seed"], &["fast"], &["--fast"]]
        {
            let error = mode(arguments).unwrap_err();
            assert!(error.is::<Usage>(), "{arguments:?}: {error}");
        }
        assert!(mode(&["--only", "fire"]).unwrap_err().to_string().contains("kill, stop, errors"));
        assert_eq!(mode(&["--help"]).unwrap(), Mode::Help);
    }
}
