//! `cargo xtask book`: builds the book in `docs/` with mdBook, if it is installed.

use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use super::Usage;
use crate::cargo;

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let open = match arguments {
        [] => false,
        [flag] if flag == "--open" => true,
        other => {
            return Err(Usage(format!("unexpected arguments `{}`, expected --open or none", other.join(" "))).into());
        }
    };
    build("mdbook", open)
}

fn build(program: &str, open: bool) -> anyhow::Result<ExitCode> {
    let docs = cargo::root().join("docs");
    let mut command = Command::new(program);
    command.arg("build").arg(&docs).args(open.then_some("--open"));
    let status = match command.status() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "{program} is not installed. Get it with `cargo install mdbook` and try again, \
             or read the book as it is, from {}",
            docs.join("SUMMARY.md").display()
        ),
        status => status.with_context(|| format!("cannot run {program}"))?,
    };
    if status.success() {
        println!("{}", cargo::root().join("target/book/index.html").display());
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_mdbook_is_missing_the_error_says_how_to_get_it() {
        let message = build("no-such-mdbook", false).unwrap_err().to_string();
        assert!(message.contains("cargo install mdbook") && message.contains("SUMMARY.md"), "{message}");
        assert!(cargo::root().join("docs/SUMMARY.md").is_file() && cargo::root().join("docs/book.toml").is_file());
    }

    #[test]
    fn unknown_arguments_are_usage_errors() {
        assert!(run(&["--fast".to_owned()]).unwrap_err().is::<Usage>());
    }
}
