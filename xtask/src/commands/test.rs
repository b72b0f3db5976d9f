//! `cargo xtask test [FILTER…]`: every test and documentation example of the workspace, in the release profile.

use std::process::{Command, ExitCode};

use crate::cargo;
use crate::process::become_program;

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    become_program(command(arguments))
}

/// The cargo command for the arguments.
pub(crate) fn command(arguments: &[String]) -> Command {
    let split = Split::of(arguments);
    let mut command = cargo::cargo("test");
    command.arg("--release");
    if !split.package {
        command.arg("--workspace");
    }
    command.args(split.cargo).arg("--").args(split.tests);
    command
}

/// Arguments sorted into those for cargo and those for the test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    cargo: Vec<String>,
    tests: Vec<String>,
    /// Whether the arguments choose packages.
    package: bool,
}

impl Split {
    /// Words are filters (cargo takes one, the test programs any number); options before `--` are cargo's with their
    /// values; what follows `--` goes to the test programs as it is.
    fn of(arguments: &[String]) -> Split {
        const WITH_VALUE: [&str; 11] = [
            "-p",
            "--package",
            "--exclude",
            "--test",
            "--bin",
            "--example",
            "--bench",
            "--features",
            "-F",
            "-j",
            "--jobs",
        ];
        let mut split = Split::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                split.tests.extend(rest.by_ref().cloned());
            } else if argument.starts_with('-') {
                let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
                split.package |= name == "--package" || name.starts_with("-p");
                split.cargo.push(argument.clone());
                if WITH_VALUE.contains(&argument.as_str()) {
                    split.cargo.extend(rest.next().cloned());
                }
            } else {
                split.tests.push(argument.clone());
            }
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(arguments: &[&str]) -> (Vec<String>, Vec<String>, bool) {
        let split = Split::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        (split.cargo, split.tests, split.package)
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn filters_options_and_test_options_are_told_apart() {
        for (arguments, cargo, tests, package) in [
            (&[][..], &[][..], &[][..], false),
            (&["cosine", "linear"], &[], &["cosine", "linear"], false),
            (&["-p", "sfumato-schedule", "cosine"], &["-p", "sfumato-schedule"], &["cosine"], true),
            (&["--package=x"], &["--package=x"], &[], true),
            (&["-px"], &["-px"], &[], true),
            (&["--test", "tests", "--no-fail-fast"], &["--test", "tests", "--no-fail-fast"], &[], false),
            (&["a", "--doc", "--", "--nocapture", "-q"], &["--doc"], &["a", "--nocapture", "-q"], false),
            (&["-p"], &["-p"], &[], true),
        ] {
            assert_eq!(split(arguments), (strings(cargo), strings(tests), package), "{arguments:?}");
        }
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_chosen() {
        let words = |arguments: &[&str]| -> Vec<String> {
            let command = command(&strings(arguments));
            command.get_args().skip(3).map(|a| a.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(words(&[]), ["--release", "--workspace", "--"]);
        assert_eq!(words(&["-p", "x", "f"]), ["--release", "-p", "x", "--", "f"]);
    }
}
