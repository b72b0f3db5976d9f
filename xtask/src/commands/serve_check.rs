//! `cargo xtask serve-check`: the page of `sfumato serve`, opened and used in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use super::report_check::{TINY, driver};
use super::{Usage, option_value};
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask serve-check [--model DIR] [--screenshots DIR]

Trains a tiny model with classes, or takes a class-conditional one of 28x28 grey pictures, serves it, and uses the page in Chromium:
drawing, cancelling, history, saving, wrong values, a page that is closed, dark colours, a phone's screen, contrast, and the end of the
server. Takes about a minute.

It needs node and npm, which installs playwright-core into the target folder, and a Chromium (found by its name, or named by
SFUMATO_BROWSER). Where one of them is missing, it says so and passes.
";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (mut model, mut screenshots) = (None, None);
    let mut rest = arguments.iter().cloned();
    while let Some(argument) = rest.next() {
        if argument == "--help" || argument == "-h" {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(dir) = option_value(&argument, "--model", &mut rest)? {
            model = Some(PathBuf::from(dir));
        } else if let Some(dir) = option_value(&argument, "--screenshots", &mut rest)? {
            screenshots = Some(PathBuf::from(dir));
        } else {
            return Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into());
        }
    }
    Ok(if check(model.as_deref(), screenshots.as_deref())? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Uses the page; true also where there is no browser.
pub(super) fn check(model: Option<&Path>, screenshots: Option<&Path>) -> anyhow::Result<bool> {
    let Some(program) = cargo::build("sfumato-cli", "sfumato", &[])? else { return Ok(false) };
    let folder = program.parent().unwrap_or(cargo::root()).join("serve-check");
    match driver(&folder) {
        Ok(true) => {}
        Ok(false) => {
            println!("skipped: node and npm are needed to drive a browser");
            return Ok(true);
        }
        Err(error) => {
            println!("skipped: {error:#}");
            return Ok(true);
        }
    }
    let model = match model {
        Some(model) => std::path::absolute(model).context("cannot tell where the model is")?,
        None => trained(&program, &folder)?,
    };
    let script = cargo::root().join("crates/cli/tests/browser/serve.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(&program).arg(model).current_dir(&folder);
    if let Some(dir) = screenshots {
        let dir = std::path::absolute(dir).context("cannot tell where the screenshots go")?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        command.arg(dir);
    }
    Ok(command.status().context("cannot run node")?.success())
}

/// A tiny model that knows classes and guidance.
fn trained(program: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let run = folder.join("run");
    if run.exists() {
        fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    }
    let mut command = Command::new(program);
    command.current_dir(folder).args(["train", "--out", "run"]).args(TINY);
    command.args(["--class-conditional", "--set", "data.label_dropout=0.2"]);
    let status = command.status().context("cannot run sfumato")?;
    if !status.success() {
        bail!("sfumato ended with {status}");
    }
    Ok(run.join("model"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_arguments_are_usage_errors() {
        assert!(run(&["--fast".to_owned()]).unwrap_err().is::<Usage>());
        assert!(cargo::root().join("crates/cli/tests/browser/serve.mjs").is_file());
    }
}
