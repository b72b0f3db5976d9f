//! `cargo xtask conformance`: randomly initialised pipelines across the configuration space, here and in diffusers.
//!
//! The Python side makes them, with noise and its own answers; the program samples from each with the same noise; the Python
//! side compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use super::{Usage, python};
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask conformance [--quick]

Makes small randomly initialised pipelines with diffusers, samples from each on both sides with the same noise, and prints a
table of the largest differences. The exit code is 1 where one is above the tolerance. Takes about two minutes on two cores.
--quick compares one network and the samplers of one configuration: a look, no result.

SFUMATO_PEER_PYTHON names a Python that has torch and diffusers; without it, .venv-conformance is made with the pinned ones.
SFUMATO_CONFORMANCE_PROGRAM names a sfumato that is built already.
";

/// Names a program to test instead of the one of this workspace.
pub(super) const PROGRAM: &str = "SFUMATO_CONFORMANCE_PROGRAM";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let quick = match arguments {
        [] => false,
        [quick] if quick == "--quick" => true,
        [help] if help == "--help" || help == "-h" => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        [unexpected, ..] => return Err(Usage(format!("unexpected argument `{unexpected}`\n\n{HELP}")).into()),
    };
    let python = python::interpreter(".venv-conformance", "conformance.txt")?;
    let Some(program) = program()? else { return Ok(ExitCode::FAILURE) };
    // Beside the programs, in the target folder.
    let built = cargo::root().join("target");
    let folder = program.parent().unwrap_or(&built).join("conformance");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    eprintln!("Making pipelines in {}", folder.display());
    let cases = Case::all(&make(&python, &folder, quick)?)?;
    eprintln!("Sampling {} times", cases.len());
    for case in &cases {
        case.sample(&program, &folder)?;
    }
    let status = peer(&python, "compare", &folder).status().context("cannot compare")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program to test; none if it could not be built.
fn program() -> anyhow::Result<Option<PathBuf>> {
    match std::env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
        Some(program) => Ok(Some(program.into())),
        None => cargo::build("sfumato-cli", "sfumato", &[]),
    }
}

fn peer(python: &Path, verb: &str, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(python::folder().join("conformance.py")).arg(verb).arg(folder);
    python::forget_settings(&mut command);
    command
}

/// Has the Python side make the pipelines; what it says about them.
fn make(python: &Path, folder: &Path, quick: bool) -> anyhow::Result<String> {
    let output = peer(python, "make", folder).args(quick.then_some("quick")).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        bail!("the pipelines could not be made: {}", output.status);
    }
    String::from_utf8(output.stdout).context("the list of pipelines is not UTF-8")
}

/// One run of the program.
#[derive(Debug, PartialEq)]
struct Case {
    /// Where its noise is and its samples go.
    folder: String,
    /// The model.
    model: String,
    arguments: Vec<String>,
}

impl Case {
    /// The cases in a list of lines: folder, model and arguments, separated by tabs. Other lines are somebody's remarks.
    fn all(text: &str) -> anyhow::Result<Vec<Case>> {
        let cases: Vec<Case> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split('\t').map(str::to_owned);
                let (folder, model) = (words.next()?, words.next()?);
                Some(Case { folder, model, arguments: words.collect() })
            })
            .collect();
        if cases.is_empty() {
            bail!("no pipelines were made");
        }
        Ok(cases)
    }

    /// Samples. A failure is said and leaves no result, which the comparison reports in its place.
    fn sample(&self, program: &Path, folder: &Path) -> anyhow::Result<()> {
        let here = folder.join(&self.folder);
        let mut command = Command::new(program);
        command.arg("sample").args(&self.arguments);
        command.arg("--model").arg(folder.join(&self.model));
        command.arg("--noise").arg(here.join("noise.npy")).arg("--out").arg(here.join("out"));
        let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
        if !output.status.success() {
            eprintln!("{}: {}", self.folder, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_tabs_is_a_case() {
        let cases = Case::all("a warning\nb\tb/model\t--num\t2\nc\tb/model\n").unwrap();
        assert_eq!((cases.len(), &cases[1].arguments[..]), (2, &[][..]));
        let expected =
            Case { folder: "b".into(), model: "b/model".into(), arguments: vec!["--num".into(), "2".into()] };
        assert_eq!(cases[0], expected);
        assert!(Case::all("nothing\n").is_err());
    }
}
