//! The peers' Python: one that is named, or a virtual environment with pinned packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::cargo::root;

/// Names an interpreter that has everything already.
const VARIABLE: &str = "SFUMATO_PEER_PYTHON";

/// The interpreter to run a peer with: the one that is named, or that of the environment `name` with these `requirements`.
pub(super) fn interpreter(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    if let Some(python) = std::env::var_os(VARIABLE).filter(|python| !python.is_empty()) {
        return Ok(python.into());
    }
    environment(&root().join(name), &folder().join(requirements))
}

/// Where the peers' programs are.
pub(super) fn folder() -> PathBuf {
    root().join("xtask/peer")
}

/// Takes the variables away that choose kernels for another processor than this one, or another number of threads.
pub(super) fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
}

fn is_setting(variable: &str) -> bool {
    ["OPENBLAS_", "OMP_", "MKL_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// The interpreter of the virtual environment in `dir`, made anew if it is not one with these requirements.
fn environment(dir: &Path, requirements: &Path) -> anyhow::Result<PathBuf> {
    let python = dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    // A copy of what was installed, written last.
    let installed = dir.join("installed.txt");
    if fs::read(&installed).is_ok_and(|found| found == wanted) && python.is_file() {
        return Ok(python);
    }
    eprintln!("Making {} (a download of a few gigabytes; {VARIABLE} names a Python that is ready)", dir.display());
    let base = if cfg!(windows) { "python" } else { "python3" };
    pass(Command::new(base).args(["-m", "venv", "--clear"]).arg(dir))?;
    pass(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(python)
}

fn pass(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_with_the_same_requirements_is_used_again() {
        let dir = std::env::temp_dir().join(format!("sfumato-xtask-venv-{}", std::process::id()));
        let bin = dir.join(if cfg!(windows) { "Scripts" } else { "bin" });
        fs::create_dir_all(&bin).unwrap();
        let python = bin.join(if cfg!(windows) { "python.exe" } else { "python" });
        let requirements = folder().join("requirements.txt");
        fs::write(&python, "").unwrap();
        fs::copy(&requirements, dir.join("installed.txt")).unwrap();
        assert_eq!(environment(&dir, &requirements).unwrap(), python);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn settings_of_the_libraries_are_known_by_their_beginning() {
        assert!(["OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS"].into_iter().all(is_setting));
        assert!(!["PATH", "THREADS", "TORCHINDUCTOR_CACHE_DIR"].into_iter().any(is_setting));
    }

    #[test]
    fn every_requirement_is_pinned() {
        for file in ["requirements.txt", "conformance.txt"] {
            let text = fs::read_to_string(folder().join(file)).unwrap();
            let packages: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(packages.iter().all(|line| line.contains("==")), "{packages:?}");
            assert!(["torch", "diffusers", "safetensors", "numpy"].iter().all(|p| text.contains(&format!("\n{p}=="))));
        }
    }
}
