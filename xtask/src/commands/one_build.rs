//! That the README's two commands compile Burn once: a step of `cargo xtask ci`.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use super::test;
use crate::cargo::{Artifacts, artifacts, cargo};

/// Tells programs what was compiled, and people what failed.
const MESSAGES: &str = "--message-format=json-render-diagnostics";

/// Fails if the tests need another build of a library that the program is made of: other features, for a tool of the tests
/// turned one on, mean that the second command compiles for minutes what the first one has compiled already.
pub(super) fn check_one_build() -> anyhow::Result<()> {
    let program = built(cargo("build").args(["--release", "--package", "sfumato-cli", "--bin", "sfumato", MESSAGES]))?;
    let tests = built(&mut test::command(&["--no-run".to_owned(), MESSAGES.to_owned()]))?;
    let again = built_again(&program, &tests);
    ensure!(
        again.is_empty(),
        "the tests compile {} again, with other features than the program's; `cargo tree -e features -i PACKAGE` shows who turns \
         them on, and crates/kernels/Cargo.toml is where the program gets them too",
        again.join(", ")
    );
    println!("-- {} packages are built once for the program and the tests", program.len());
    Ok(())
}

/// Fails if the program with MPI needs another build of a library than the one without.
pub(super) fn check_one_build_with_mpi() -> anyhow::Result<()> {
    let program = |more: &[&str]| {
        built(cargo("build").args(["--release", "--package", "sfumato-cli", "--bin", "sfumato", MESSAGES]).args(more))
    };
    let (without, with) = (program(&[])?, program(&["--features", "mpi"])?);
    let again = built_again(&without, &with);
    ensure!(
        again.is_empty(),
        "the program with MPI compiles {} again, with other features; crates/cli/Cargo.toml is where the program without gets them too",
        again.join(", ")
    );
    println!("-- {} packages are built once for the program with and without MPI", without.len());
    Ok(())
}

fn built(command: &mut std::process::Command) -> anyhow::Result<Artifacts> {
    match artifacts(command)? {
        Some(artifacts) => Ok(artifacts),
        None => bail!("the build failed"),
    }
}

/// Names of the packages of which `tests` lacks a file that `program` has, or has more files of Burn's packages.
fn built_again(program: &Artifacts, tests: &Artifacts) -> Vec<String> {
    let none = Default::default();
    let differs = |(package, files): &(&String, &std::collections::BTreeSet<String>)| {
        let others = tests.get(*package).unwrap_or(&none);
        if package.starts_with("burn") { *files != others } else { !files.is_subset(others) }
    };
    let again: BTreeMap<_, _> = program.iter().filter(differs).collect();
    again.into_keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(packages: &[(&str, &[&str])]) -> Artifacts {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        packages.iter().map(|(package, names)| ((*package).to_owned(), files(names))).collect()
    }

    #[test]
    fn a_second_build_of_a_library_is_named() {
        let program = artifacts(&[("burn-core", &["a"]), ("rayon", &["b"]), ("syn", &["c"])]);
        let same = artifacts(&[("burn-core", &["a"]), ("rayon", &["b"]), ("syn", &["c", "d"]), ("criterion", &["e"])]);
        assert!(built_again(&program, &same).is_empty());
        let other = artifacts(&[("burn-core", &["a", "a2"]), ("rayon", &["b2"]), ("syn", &["c"])]);
        assert_eq!(built_again(&program, &other), ["burn-core", "rayon"]);
    }
}
