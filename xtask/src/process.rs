//! Handing over to another program, so that signals and the exit code are its own.

use std::process::{Command, ExitCode};

use anyhow::Context;

/// Becomes the program. Its process takes this one's place, as this one took cargo's: Ctrl-C, SIGTERM and job control
/// reach it directly, and its exit code is what the caller sees.
#[cfg(unix)]
pub(crate) fn become_program(mut command: Command) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Runs the program and returns its exit code. Ctrl-C goes to every process of the console, so this one only has to
/// survive it and wait.
#[cfg(windows)]
pub(crate) fn become_program(mut command: Command) -> anyhow::Result<ExitCode> {
    ctrlc::set_handler(|| {}).context("cannot wait through Ctrl-C")?;
    let status = command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| std::process::exit(code)))
}
