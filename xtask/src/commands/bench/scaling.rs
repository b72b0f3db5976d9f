//! `--scaling`: how times grow with threads, batches and images, and what the other CPU backend makes of it.

use std::process::{Command, ExitCode};

use super::machine;
use crate::process::become_program;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let mut command = Command::new(super::build(&["ndarray"])?);
    command.arg("scaling");
    println!("{}", machine::describe());
    become_program(command)
}
