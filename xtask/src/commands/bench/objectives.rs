//! `--objectives`: what a training step costs by each loss, weight and density of noise levels, all in one process side by side.

use std::process::{Command, ExitCode};

use super::machine;
use crate::process::become_program;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let mut command = Command::new(super::build(&[])?);
    command.arg("objectives");
    println!("{}", machine::describe());
    become_program(command)
}
