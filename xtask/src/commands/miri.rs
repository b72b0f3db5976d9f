//! `cargo xtask miri`: every public function of the kernels in an interpreter, which checks each pointer that is used.

use std::process::ExitCode;

use super::{Usage, nightly};
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask miri [FILTER...]

Runs crates/cpu/tests/tiny.rs, which calls every public function of the slice kernels with very small sizes, in Miri (some minutes). Miri is
an interpreter: it fails if a pointer is used outside of what it may reach, after another one has been given the right to write there, or by
two threads without order, and if a value is read that was never written. Debug assertions are on.

Miri has no AVX2 and AVX-512, so that it runs the portable code alone. The sizes are too small for some ways through the kernels: blocks of
tiles, chunks of large batches. Memory is borrowed by the rules of Tree Borrows, as Rayon needs them.
";

/// How Miri is to check: Rayon's threads live to the end, and its queues are right by the rules of Tree Borrows.
const FLAGS: &str = "-Zmiri-tree-borrows -Zmiri-ignore-leaks -Zmiri-disable-isolation";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    match arguments.iter().find(|argument| argument.starts_with('-')) {
        Some(argument) if argument == "--help" || argument == "-h" => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(argument) => return Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into()),
        None => {}
    }
    nightly::find("this", &["miri", "rust-src"])?;
    let mut command = nightly::cargo(&["miri", "test", "--package", "sfumato-cpu", "--test", "tiny"]);
    command.arg("--target-dir").arg(cargo::root().join("target/miri")).arg("--").args(arguments);
    command.env("MIRIFLAGS", FLAGS);
    let status = command.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_usage_errors() {
        assert!(run(&["--leaks".to_owned()]).unwrap_err().is::<Usage>());
    }
}
