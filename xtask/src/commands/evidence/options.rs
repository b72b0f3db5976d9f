//! The arguments of `cargo xtask evidence`.

use std::path::PathBuf;

use super::super::{Usage, option_value};
use super::HELP;
use super::experiments::{self, Experiment};

/// What to do.
#[derive(Debug)]
pub(super) enum Mode {
    Help,
    /// Say which experiments there are.
    List,
    /// Compare the pages with the kept numbers, or write the tables of the pages anew.
    Pages {
        write: bool,
    },
    Make(Options),
}

/// Which experiments, and how.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) experiments: Vec<&'static Experiment>,
    pub(super) keep: bool,
    pub(super) quick: bool,
    pub(super) out: Option<PathBuf>,
    pub(super) threads: Option<usize>,
    pub(super) program: Option<PathBuf>,
}

impl Mode {
    pub(super) fn of(arguments: &[String]) -> anyhow::Result<Mode> {
        let mut options =
            Options { experiments: Vec::new(), keep: false, quick: false, out: None, threads: None, program: None };
        let (mut check, mut pages) = (false, false);
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if let Some(folder) = option_value(&argument, "--out", &mut rest)? {
                options.out = Some(folder.into());
            } else if let Some(file) = option_value(&argument, "--program", &mut rest)? {
                options.program = Some(file.into());
            } else if let Some(threads) = option_value(&argument, "--threads", &mut rest)? {
                let positive = threads.parse::<usize>().ok().filter(|threads| *threads > 0);
                let wrong = || Usage(format!("--threads {threads}: expected a number above 0"));
                options.threads = Some(positive.ok_or_else(wrong)?);
            } else {
                match argument.as_str() {
                    "--help" | "-h" => return Ok(Mode::Help),
                    "--keep" => options.keep = true,
                    "--quick" => options.quick = true,
                    "--check" => check = true,
                    "--pages" => pages = true,
                    option if option.starts_with('-') => {
                        return Err(Usage(format!("unexpected argument `{option}`\n\n{HELP}")).into());
                    }
                    name => options.experiments.push(experiments::find(name)?),
                }
            }
        }
        if options.keep && options.quick {
            return Err(Usage("--keep and --quick exclude each other: small versions are never kept".into()).into());
        }
        let alone = options.experiments.is_empty();
        match (alone, check, pages) {
            (true, false, false) if options.keep => Err(Usage("--keep needs the name of an experiment".into()).into()),
            (true, false, false) => Ok(Mode::List),
            (false, false, false) => Ok(Mode::Make(options)),
            (true, true, false) => Ok(Mode::Pages { write: false }),
            (true, false, true) => Ok(Mode::Pages { write: true }),
            _ => Err(Usage("--check and --pages stand alone".into()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> anyhow::Result<Mode> {
        Mode::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_options_come_in_any_order() {
        let Mode::Make(options) = of(&["--threads=1", "torture", "--quick", "--out", "here", "reference"]).unwrap()
        else {
            panic!("experiments were named")
        };
        let names: Vec<&str> = options.experiments.iter().map(|experiment| experiment.name).collect();
        assert_eq!((names, options.threads, options.quick), (vec!["torture", "reference"], Some(1), true));
        assert!(matches!(of(&[]).unwrap(), Mode::List));
        assert!(matches!(of(&["--check"]).unwrap(), Mode::Pages { write: false }));
        assert!(matches!(of(&["--pages"]).unwrap(), Mode::Pages { write: true }));
    }

    #[test]
    fn unknown_names_are_usage_errors_with_the_nearest_ones() {
        for (name, nearest) in [
            ("tortur", "`torture`"),
            ("conformence", "`conformance`"),
            ("bits", "`bits-per-dim`"),
            ("round-trip", "`diffusers-round-trip`"),
        ] {
            let error = of(&[name]).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains(&format!("did you mean {nearest}")), "{error}");
        }
        let error = of(&["xyzzy"]).unwrap_err().to_string();
        assert!(error.contains("bits-per-dim, ") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for arguments in [
            &["--fast"][..],
            &["--keep"],
            &["--keep", "--quick", "torture"],
            &["--threads", "0", "torture"],
            &["--check", "torture"],
            &["--check", "--pages"],
            &["--out"],
        ] {
            let error = of(arguments).err().unwrap_or_else(|| panic!("{arguments:?} was taken"));
            assert!(error.is::<Usage>(), "{arguments:?}: {error}");
        }
    }
}
