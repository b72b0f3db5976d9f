//! The Rust files of the workspace, for steps of `cargo xtask ci` that read them.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cargo;

/// Folders that hold the workspace's code.
const FOLDERS: [&str; 4] = ["benches", "crates", "tests", "xtask"];

/// A Rust file.
pub(super) struct Source {
    /// Its path from the workspace's root, with `/` on every system.
    pub(super) name: String,
    pub(super) text: String,
}

/// Every Rust file of the workspace.
pub(super) fn all_sources() -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        files.extend(sources(&cargo::root().join(folder))?);
    }
    Ok(files)
}

/// Every Rust file below a folder, in the order of their names; none if the folder is not there.
pub(super) fn sources(folder: &Path) -> anyhow::Result<Vec<Source>> {
    let mut paths = Vec::new();
    if folder.is_dir() {
        collect(folder, &mut paths)?;
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// Files of other folders that files include by `#[path = "…"]`.
pub(super) fn included(files: &[Source]) -> anyhow::Result<Vec<Source>> {
    let mut included = Vec::new();
    for Source { name, text } in files {
        let folder = cargo::root().join(name);
        let paths = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
        for path in paths.filter(|path| path.starts_with("../")) {
            included.push(read(&folder.with_file_name(path))?);
        }
    }
    Ok(included)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Source> {
    let name = path.strip_prefix(cargo::root()).unwrap_or(path).to_string_lossy().replace('\\', "/");
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Source { name, text })
}
