//! The nightly toolchain, for tools that stable Rust does not have.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cargo;

/// Cargo of the nightly toolchain, on this workspace's manifest.
pub(super) fn cargo(subcommand: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(subcommand);
    command.arg("--manifest-path").arg(cargo::root().join("Cargo.toml"));
    // The variables of the cargo that runs this program name the stable toolchain.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}

/// Fails unless the nightly toolchain is there with the components that `tool` needs.
pub(super) fn find(tool: &str, components: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("rustup")
        .args(["component", "list", "--installed", "--toolchain", "nightly"])
        .stderr(Stdio::null())
        .output();
    let installed = output.ok().filter(|output| output.status.success());
    let installed = installed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    missing(tool, components, &installed)
}

/// Fails unless all components are among those that rustup listed.
fn missing(tool: &str, components: &[&str], installed: &str) -> anyhow::Result<()> {
    let has = |component: &&&str| installed.lines().any(|line| line.starts_with(**component));
    if components.iter().all(|component| has(&component)) {
        return Ok(());
    }
    let wanted = components.join(" ");
    bail!(
        "{tool} needs the nightly toolchain with {wanted}, which is not installed here\n\
         (rustup toolchain install nightly, then rustup component add --toolchain nightly {wanted})"
    );
}

/// The target that this machine builds for, which has to be named where only the tests are to be instrumented, not the build scripts.
pub(super) fn host() -> anyhow::Result<String> {
    let output =
        Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).output().context("cannot run rustup")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc of the nightly toolchain does not say its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_components_are_named_with_the_way_to_get_them() {
        let installed = "cargo-x86_64-unknown-linux-gnu\nrust-src\n";
        assert!(missing("a tool", &["rust-src", "cargo"], installed).is_ok());
        let error = missing("a tool", &["rust-src", "miri"], installed).unwrap_err().to_string();
        assert!(error.contains("a tool needs") && error.contains("--toolchain nightly rust-src miri"), "{error}");
    }
}
