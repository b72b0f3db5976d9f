//! `cargo xtask train|sample|eval|compare|schedule|import|export|info|report`: builds the program with the backend asked for, then
//! becomes it.

use std::process::{Command, ExitCode};

use super::ranks::Job;
use super::{Usage, option_value};
use crate::cargo;
use crate::process::become_program;

/// The program's commands.
pub(crate) const COMMANDS: [&str; 11] =
    ["train", "sample", "eval", "compare", "schedule", "import", "export", "average", "info", "report", "serve"];

/// Backends, each a feature of `sfumato-cli`.
const BACKENDS: [&str; 7] = ["flex", "ndarray", "cuda", "wgpu", "vulkan", "metal", "rocm"];

pub(crate) fn run(command: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut features = features(arguments)?;
    let (job, arguments) = Job::of(arguments)?;
    features.extend(job.as_ref().map(|_| "mpi".to_owned()));
    let Some(program) = cargo::build("sfumato-cli", "sfumato", &features)? else {
        return Ok(ExitCode::FAILURE);
    };
    if let Some(job) = job {
        return job.run(&program, command, &arguments);
    }
    let mut program = Command::new(program);
    program.arg(command).args(arguments);
    become_program(program)
}

/// The features that the arguments call for. All arguments still go to the program, `--backend` too.
fn features(arguments: &[String]) -> anyhow::Result<Vec<String>> {
    let mut features = Vec::new();
    let mut rest = arguments.iter().cloned();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if let Some(backend) = option_value(&argument, "--backend", &mut rest)? {
            if !BACKENDS.contains(&backend.as_str()) {
                let known = BACKENDS.join(", ");
                return Err(Usage(format!("unknown backend `{backend}`, expected one of: {known}")).into());
            }
            features.push(backend);
        }
    }
    Ok(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        features(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_backend_is_found_wherever_it_stands() {
        assert!(of(&[]).unwrap().is_empty());
        assert!(of(&["--steps", "10", "--out", "runs/x"]).unwrap().is_empty());
        assert_eq!(of(&["--steps", "10", "--backend", "cuda", "--seed", "1"]).unwrap(), ["cuda"]);
        assert_eq!(of(&["--backend=vulkan"]).unwrap(), ["vulkan"]);
        assert!(of(&["--", "--backend", "cuda"]).unwrap().is_empty());
        assert!(of(&["--backends", "--backend-x=cuda"]).unwrap().is_empty());
    }

    #[test]
    fn unknown_and_missing_backends_are_usage_errors() {
        for arguments in [&["--backend", "tpu"][..], &["--backend"], &["--backend="]] {
            let error = of(arguments).unwrap_err();
            assert!(error.is::<Usage>(), "{error}");
        }
        assert!(of(&["--backend", "tpu"]).unwrap_err().to_string().contains("flex, ndarray, cuda"));
    }

    #[test]
    fn every_backend_is_a_feature_of_the_program() {
        let manifest = std::fs::read_to_string(cargo::root().join("crates/cli/Cargo.toml")).unwrap();
        for backend in BACKENDS {
            assert!(manifest.lines().any(|line| line.starts_with(&format!("{backend} = ["))), "{backend}");
        }
    }
}
