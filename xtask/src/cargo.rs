//! Cargo, called on this workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The cargo that runs this program, on this workspace's manifest whatever the current folder is.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).arg("--manifest-path").arg(root().join("Cargo.toml"));
    command
}

/// Builds one binary in release mode and returns its path as cargo reports it, which is right for every setting of the
/// target folder, target triple or configuration file. `None` if the build failed (cargo has said why).
pub(crate) fn build(package: &str, binary: &str, features: &[String]) -> anyhow::Result<Option<PathBuf>> {
    let mut command = cargo("build");
    command.args(["--release", "--package", package, "--bin", binary, "--message-format", "json-render-diagnostics"]);
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    let Some(executables) = executables(&mut command)? else { return Ok(None) };
    match executables.into_iter().find(|(name, _)| name == binary) {
        Some((_, path)) => Ok(Some(path)),
        None => bail!("cargo built {package} without reporting where the program `{binary}` is"),
    }
}

/// Runs a command of cargo that builds, with `--message-format json-render-diagnostics`: names and paths of the programs
/// that it made. `None` if the build failed (cargo has said why).
pub(crate) fn executables(command: &mut Command) -> anyhow::Result<Option<Vec<(String, PathBuf)>>> {
    let mut executables = Vec::new();
    let passed = each_artifact(command, |line| {
        // The only member called so: packages and profiles have other ones.
        let program = json_string(line, "name").zip(json_string(line, "executable"));
        executables.extend(program.map(|(name, path)| (name, PathBuf::from(path))));
    })?;
    Ok(passed.then_some(executables))
}

/// The compiled files of every package from a registry, by its name.
pub(crate) type Artifacts = BTreeMap<String, BTreeSet<String>>;

/// Runs a command of cargo that builds, and tells which library files it made or found ready. `None` if the build failed.
pub(crate) fn artifacts(command: &mut Command) -> anyhow::Result<Option<Artifacts>> {
    let mut artifacts = Artifacts::new();
    let passed = each_artifact(command, |line| {
        let package = json_string(line, "package_id").filter(|id| id.starts_with("registry+"));
        let name = package.as_ref().and_then(|id| id.rsplit_once('#')).and_then(|(_, name)| name.split_once('@'));
        if let Some(((name, _), file)) = name.zip(first_string(line, "filenames")) {
            artifacts.entry(name.to_owned()).or_default().insert(file);
        }
    })?;
    Ok(passed.then_some(artifacts))
}

/// Runs a command of cargo and gives every message about something compiled to `each`. Whether the command succeeded.
fn each_artifact(command: &mut Command, mut each: impl FnMut(&str)) -> anyhow::Result<bool> {
    // Messages for programs come on standard output, those for people stay on standard error.
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    for line in BufReader::new(child.stdout.take().expect("standard output is piped")).lines() {
        let line = line.context("cannot read cargo's messages")?;
        if line.contains(r#""reason":"compiler-artifact""#) {
            each(&line);
        }
    }
    Ok(child.wait().context("cannot wait for cargo")?.success())
}

/// The value of a string member of a one-line JSON object, by its name. Enough for cargo's messages, where the name
/// stands once; a full parser would be the largest part of this program.
fn json_string(line: &str, name: &str) -> Option<String> {
    string_after(line, &format!(r#""{name}":""#))
}

/// The first string of a member that is an array of strings.
fn first_string(line: &str, name: &str) -> Option<String> {
    string_after(line, &format!(r#""{name}":[""#))
}

/// The string that begins behind `opening`.
fn string_after(line: &str, opening: &str) -> Option<String> {
    let (_, rest) = line.split_once(opening)?;
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'u' => {
                    let code: String = characters.by_ref().take(4).collect();
                    value.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                character => value.push(character),
            },
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_read_out_of_cargos_message() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"sfumato"},"executable":"C:\\t \"x\"\\sfumato\u002eexe","fresh":true}"#;
        assert_eq!(json_string(line, "executable").unwrap(), r#"C:\t "x"\sfumato.exe"#);
        assert_eq!(json_string(r#"{"executable":null}"#, "executable"), None);
        assert_eq!(first_string(r#"{"filenames":["/a/b.rlib","/a/b.rmeta"]}"#, "filenames").unwrap(), "/a/b.rlib");
        assert_eq!(first_string(r#"{"filenames":[]}"#, "filenames"), None);
        assert_eq!(json_string(r#"{"executable":"cut of"#, "executable"), None);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("xtask/Cargo.toml").is_file());
    }
}
