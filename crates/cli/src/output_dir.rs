//! Directories for results.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// Refuses `dir` if something is in it, before work that may take long; makes nothing.
pub(crate) fn refuse_full(dir: &Path) -> Result<()> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; name a new directory with --out", dir.display());
    }
    Ok(())
}

/// Makes `dir`, or takes it if it is empty: a model among other files would be a guess for whoever reads it.
pub(crate) fn empty_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty; name a new directory with --out", dir.display());
    }
    Ok(())
}

/// Makes `dir` if it is not there, and refuses it if it holds one of these files already.
pub(crate) fn room_for(dir: &Path, names: &[&str], overwrite: bool) -> Result<()> {
    if let Some(name) = names.iter().find(|name| !overwrite && dir.join(name).exists()) {
        bail!(
            "{} holds {name} already; choose another directory with --out, or replace it with --overwrite",
            dir.display()
        );
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}
