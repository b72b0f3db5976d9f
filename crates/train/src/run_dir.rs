//! The run directory: what lies where, and how it gets there whole.
//!
//! ```text
//! runs/NAME/config.toml                 everything that decides the run
//! runs/NAME/environment.json            program, revision, machine
//! runs/NAME/metrics.jsonl               one JSON object a line
//! runs/NAME/checkpoints/step-0002000/   a pipeline directory with training/
//! runs/NAME/samples/                    grids made while training
//! runs/NAME/model                       -> the newest complete checkpoint
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{TrainConfig, TrainError, error::IoContext};

/// A directory that holds one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes the directory of a new run and writes its configuration and `environment` (JSON).
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if something is there already, [`TrainError::Io`] if it cannot be made or written.
    pub fn create(root: &Path, config: &TrainConfig, environment: &serde_json::Value) -> Result<Self, TrainError> {
        let occupied = match fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(source) => return Err(TrainError::Io { action: "create a run in", path: root.to_path_buf(), source }),
        };
        if occupied {
            return Err(TrainError::RunExists { path: root.to_path_buf() });
        }
        let run = Self { root: root.to_path_buf() };
        for dir in [run.checkpoints(), run.samples()] {
            fs::create_dir_all(&dir).context("create", &dir)?;
        }
        run.write_config(config)?;
        run.write_environment(environment)?;
        Ok(run)
    }

    /// Opens the directory of a run that was begun before.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] if there is no configuration or no complete checkpoint.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        let run = Self { root: root.to_path_buf() };
        let not_a_run = |reason: &str| TrainError::NotARun { path: root.to_path_buf(), reason: reason.to_owned() };
        if !run.config_file().is_file() {
            return Err(not_a_run("there is no config.toml in it"));
        }
        if !run.model().is_dir() {
            return Err(not_a_run("it was stopped before its first checkpoint; start it again"));
        }
        Ok(run)
    }

    /// Writes the configuration, new or changed on resuming.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub fn write_config(&self, config: &TrainConfig) -> Result<(), TrainError> {
        write_atomically(&self.config_file(), config.to_toml().as_bytes())
    }

    /// Records the program and machine that work on the run now.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub fn write_environment(&self, environment: &serde_json::Value) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(environment).expect("a JSON value");
        write_atomically(&self.root.join("environment.json"), (text + "\n").as_bytes())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config.toml`
    pub fn config_file(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// `metrics.jsonl`
    pub fn metrics_file(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// `checkpoints/`
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// `samples/`
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// `model`, the link to the newest complete checkpoint.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// Fills a checkpoint directory with `write` and makes it the newest; on failure nothing of it remains and the link
    /// still shows the one before. Then all but the `keep` newest are removed (0 keeps all).
    ///
    /// # Errors
    /// Whatever `write` returns; [`TrainError::Io`].
    pub fn add_checkpoint(
        &self,
        step: u64,
        keep: usize,
        write: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<PathBuf, TrainError> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).context("create", &checkpoints)?;
        let name = format!("step-{step:07}");
        let path = checkpoints.join(&name);
        let partial = checkpoints.join(format!(".partial-{name}"));
        let _ = fs::remove_dir_all(&partial); // left by a crash
        fs::create_dir(&partial).context("create", &partial)?;
        if let Err(error) = write(&partial) {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        if path.exists() {
            // Resumed from this very step: the same weights again.
            fs::remove_dir_all(&path).context("replace", &path)?;
        }
        fs::rename(&partial, &path).context("create", &path)?;
        sync_dir(&checkpoints)?;
        self.link(&Path::new("checkpoints").join(&name))?;
        self.remove_old(keep, &name)?;
        Ok(path)
    }

    /// Points `model` at `target` (relative to the run) in one step.
    #[cfg(unix)]
    fn link(&self, target: &Path) -> Result<(), TrainError> {
        let fresh = self.root.join(".model-new");
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(target, &fresh).context("link", &fresh)?;
        fs::rename(&fresh, self.model()).context("link", &self.model())?;
        sync_dir(&self.root)
    }

    /// Where links need rights that people lack, `model` is a directory link made by hand: remove, then make.
    #[cfg(windows)]
    fn link(&self, target: &Path) -> Result<(), TrainError> {
        let _ = fs::remove_dir(self.model());
        std::os::windows::fs::symlink_dir(target, self.model()).context("link", &self.model())
    }

    fn remove_old(&self, keep: usize, newest: &str) -> Result<(), TrainError> {
        let dir = self.checkpoints();
        let mut names: Vec<String> = fs::read_dir(&dir)
            .context("read", &dir)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("step-") && name.as_str() != newest)
            .collect();
        names.sort();
        let surplus = if keep == 0 { 0 } else { (names.len() + 1).saturating_sub(keep) };
        for name in &names[..surplus.min(names.len())] {
            let old = dir.join(name);
            fs::remove_dir_all(&old).context("remove", &old)?;
        }
        Ok(())
    }
}

/// The first of `runs/NAME`, `runs/NAME-2`, … that is free.
pub fn free_run_path(name: &str) -> PathBuf {
    let runs = Path::new("runs");
    let first = runs.join(name);
    if !first.exists() {
        return first;
    }
    (2..).map(|n| runs.join(format!("{name}-{n}"))).find(|path| !path.exists()).expect("an endless iterator")
}

/// Makes renames in `dir` durable.
fn sync_dir(dir: &Path) -> Result<(), TrainError> {
    if cfg!(unix) { fs::File::open(dir).and_then(|file| file.sync_all()).context("sync", dir) } else { Ok(()) }
}

/// Writes a file whole or not at all.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    sfumato_nets::tensor_file::write_atomically(path, |file| file.write_all(bytes)).context("write", path)
}
