//! `cargo xtask report-check`: the pages of short runs, opened and used in a real browser.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use super::{Usage, option_value};
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask report-check [--screenshots DIR]

Trains three tiny runs, makes a page of one and a page of all, and uses both in Chromium: charts, readout, zoom, legend, slider, dark
colours, a phone's screen, contrast, and that nothing is said on the console or asked of the network. Takes about a minute.

It needs node and npm, which installs playwright-core into the target folder, and a Chromium (found by its name, or named by
SFUMATO_BROWSER). Where one of them is missing, it says so and passes.
";

/// The version of playwright-core that drives the browser.
const DRIVER: &str = "playwright-core@1.65.1";

/// A network of a few thousand parameters.
pub(super) const TINY: [&str; 20] = [
    "--set",
    "model.channels=[8, 16]",
    "--set",
    "model.attention=[false, true]",
    "--set",
    "model.groups=4",
    "--set",
    "model.blocks_per_level=1",
    "--set",
    "training.log_every=1",
    "--set",
    "samples.num=16",
    "--set",
    "samples.steps=4",
    "--batch-size",
    "8",
    "--steps",
    "60",
    "--sample-every",
    "20",
];

/// The runs: a name, and what is special about it. The first name is one that a page must not take for elements.
const RUNS: [(&str, &[&str]); 3] = [
    (if cfg!(unix) { "<img src=x onerror=alert(1)>" } else { "first" }, &[]),
    ("fast", &["--learning-rate", "0.004"]),
    ("v", &["--set", "diffusion.parameterization=v", "--set", "diffusion.schedule.kind=cosine"]),
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut screenshots = None;
    let mut rest = arguments.iter().cloned();
    while let Some(argument) = rest.next() {
        if argument == "--help" || argument == "-h" {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        match option_value(&argument, "--screenshots", &mut rest)? {
            Some(dir) => screenshots = Some(PathBuf::from(dir)),
            None => return Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into()),
        }
    }
    let Some(program) = cargo::build("sfumato-cli", "sfumato", &[])? else { return Ok(ExitCode::FAILURE) };
    let folder = program.parent().unwrap_or(cargo::root()).join("report-check");
    if !driver(&folder)? {
        println!("skipped: node and npm are needed to drive a browser");
        return Ok(ExitCode::SUCCESS);
    }
    let pages = pages(&program, &folder)?;
    let mut works = true;
    for (name, page) in pages {
        println!("== {name}");
        let shots = screenshots.as_ref().map(|dir| dir.join(name));
        works &= check(&folder, &page, shots.as_deref())?;
    }
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what drives the browser; false where there is no npm.
pub(super) fn driver(folder: &Path) -> anyhow::Result<bool> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(npm);
    command
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(folder)
        .arg(DRIVER);
    match command.status() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Ok(status) if status.success() => Ok(true),
        Ok(status) => bail!("{DRIVER} could not be installed: {status}"),
        Err(error) => Err(error).with_context(|| format!("cannot run {npm}")),
    }
}

/// The page of one run and that of all.
fn pages(program: &Path, folder: &Path) -> anyhow::Result<[(&'static str, PathBuf); 2]> {
    let runs = folder.join("runs");
    if runs.exists() {
        fs::remove_dir_all(&runs).with_context(|| format!("cannot remove {}", runs.display()))?;
    }
    let call = |arguments: &mut dyn Iterator<Item = &str>| {
        let status =
            Command::new(program).args(arguments).current_dir(folder).status().context("cannot run sfumato")?;
        if status.success() { Ok(()) } else { bail!("sfumato ended with {status}") }
    };
    let paths = RUNS.map(|(name, _)| format!("runs/{name}"));
    for ((_, special), out) in RUNS.iter().zip(&paths) {
        call(&mut ["train", "--out", out].into_iter().chain(TINY).chain(special.iter().copied()))?;
    }
    call(&mut ["report", "--out", "compared.html"].into_iter().chain(paths.iter().map(String::as_str)))?;
    Ok([("one run", folder.join(&paths[0]).join("report.html")), ("three runs", folder.join("compared.html"))])
}

/// Uses a page in the browser.
fn check(folder: &Path, page: &Path, screenshots: Option<&Path>) -> anyhow::Result<bool> {
    let script = cargo::root().join("crates/cli/tests/browser/check.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(page).current_dir(folder);
    if let Some(dir) = screenshots {
        let dir = std::path::absolute(dir).context("cannot tell where the screenshots go")?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        command.arg(dir);
    }
    Ok(command.status().context("cannot run node")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_arguments_are_usage_errors() {
        assert!(run(&["--fast".to_owned()]).unwrap_err().is::<Usage>());
        assert!(cargo::root().join("crates/cli/tests/browser/check.mjs").is_file());
    }
}
