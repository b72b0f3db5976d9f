//! `--scaling`: how times grow with threads, batches and images, and what the other CPU backend makes of it.

use std::process::{Command, ExitCode};

use super::super::Usage;
use super::machine;
use crate::process::become_program;

/// The part for which the program needs the other CPU backend.
const BACKENDS: &str = "backends";
const PARTS: [&str; 4] = ["threads", "batches", "sizes", BACKENDS];

pub(super) fn run(parts: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = Command::new(super::build(features(parts))?);
    command.arg("scaling").args(parts);
    println!("{}", machine::describe());
    become_program(command)
}

/// The words, if all are parts.
pub(super) fn known(words: &[String]) -> anyhow::Result<Vec<String>> {
    match words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        Some(word) => {
            Err(Usage(format!("--scaling: unknown part `{word}`, expected some of: {}", PARTS.join(", "))).into())
        }
        None => Ok(words.to_vec()),
    }
}

fn features(parts: &[String]) -> &'static [&'static str] {
    if parts.is_empty() || parts.iter().any(|part| part == BACKENDS) { &["ndarray"] } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_backend_is_built_only_where_it_is_measured() {
        assert_eq!(features(&[]), ["ndarray"]);
        assert_eq!(features(&["sizes".into(), "backends".into()]), ["ndarray"]);
        assert!(features(&["threads".into()]).is_empty());
    }
}
