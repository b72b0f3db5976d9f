//! `cargo xtask memcheck --threads`: the kernels' tests under ThreadSanitizer, which sees two threads touch one value without order.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use crate::cargo;
use crate::commands::nightly;

/// Test programs: every way to share out work, and every public function.
pub(super) const TESTS: [&str; 2] = ["threads", "tiny"];
/// The one with a race on purpose.
pub(super) const RACES: &str = "races";

/// ThreadSanitizer's exit code if it found a race, which no test program has.
const FOUND: i32 = 66;

pub(super) fn run(filters: &[String]) -> anyhow::Result<ExitCode> {
    nightly::find("ThreadSanitizer", &["rust-src"])?;
    let host = nightly::host()?;
    // The standard library is built with it too: without that, it would not see what locks and threads order.
    let mut build = nightly::cargo(&["test", "-Zbuild-std", "--release", "--package", "sfumato-cpu", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics", "--target", &host]);
    build.arg("--target-dir").arg(cargo::root().join("target/thread-sanitizer"));
    build.args(TESTS.iter().chain([&RACES]).flat_map(|test| ["--test", test]));
    build.env("RUSTFLAGS", "-Zsanitizer=thread");
    let Some(programs) = cargo::executables(&mut build)? else { return Ok(ExitCode::FAILURE) };
    let mut race = command(program(&programs, RACES)?);
    let status = race.args(["--ignored", "--quiet"]).output().context("cannot run a test program")?.status;
    if status.code() != Some(FOUND) {
        bail!("ThreadSanitizer did not find a race that was made on purpose ({status}): it finds nothing here");
    }
    println!("== {RACES}: the race on purpose was found");
    let mut clean = true;
    for test in TESTS {
        println!("== {test}");
        let status = command(program(&programs, test)?).args(["--test-threads", "1"]).args(filters).status();
        let status = status.context("cannot run a test program")?;
        let verdict = match status.code() {
            Some(0) => "no race",
            Some(FOUND) => "ThreadSanitizer found races",
            _ => "the tests themselves failed",
        };
        println!("== {test}: {verdict} ({status})\n");
        clean &= status.success();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn program<'a>(programs: &'a [(String, PathBuf)], test: &str) -> anyhow::Result<&'a Path> {
    let found = programs.iter().find(|(name, _)| name == test);
    Ok(&found.with_context(|| format!("cargo built the test {test} without saying where it is"))?.1)
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("TSAN_OPTIONS", format!("exitcode={FOUND}"));
    command
}
