//! Which run a path leads to.

use std::path::{Path, PathBuf};

use super::names::{self, step_of};

/// The run that `path` belongs to, and the step of the checkpoint that it names; the reason, where it belongs to none.
pub(super) fn locate(path: &Path) -> Result<(PathBuf, Option<u64>), String> {
    let whole = path.file_name().is_none().then(|| path.canonicalize().ok()).flatten();
    let path = whole.as_deref().unwrap_or(path);
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from(".."),
    };
    let is_run = |dir: &Path| dir.join("config.toml").is_file() || dir.join("checkpoints").is_dir();
    if is_run(path) {
        return Ok((path.to_path_buf(), None));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let above = parent(path);
    match name {
        "config.toml" | "model" | "checkpoints" if is_run(&above) => Ok((above, None)),
        // Where the link leads.
        "best" if is_run(&above) => match std::fs::read_link(path) {
            Ok(target) => Ok((above, target.file_name().and_then(|name| step_of(name.to_str()?)))),
            Err(_) => Err("it is not a link to a checkpoint; name one of RUN/checkpoints".to_owned()),
        },
        _ if path.join("training/state.json").is_file() => {
            let root = parent(&above);
            match step_of(name) {
                Some(step) if above.file_name().is_some_and(|name| name == "checkpoints") => Ok((root, Some(step))),
                _ => Err(format!(
                    "it is a checkpoint outside of a run; make a directory RUN/checkpoints, move it there under a name like {} \
                     and go on with --resume RUN",
                    names::name(2000)
                )),
            }
        }
        _ => Err(format!("there is no config.toml in it{}", looked_for(path))),
    }
}

/// Where a relative path was looked for; nothing to say of an absolute one.
pub(super) fn looked_for(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(" (looked for in {})", here.display()),
        _ => String::new(),
    }
}
