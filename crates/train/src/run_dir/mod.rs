//! The run directory: what lies where, and how it gets there whole.
//!
//! ```text
//! runs/NAME/config.toml                 everything that decides the run
//! runs/NAME/config-0002000.toml         what decided it up to step 2000, where it went on with other settings
//! runs/NAME/environment.json            program, revision, machine
//! runs/NAME/metrics.jsonl               one JSON object a line
//! runs/NAME/checkpoints/step-0002000/   a pipeline directory with training/
//! runs/NAME/samples/                    grids made while training
//! runs/NAME/model                       -> the newest complete checkpoint, where links can be made
//! ```

mod checkpoints;
mod link;

use checkpoints::missing_file;
pub use checkpoints::{FoundCheckpoint, FoundCheckpoints, IncompleteCheckpoint};

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{TrainConfig, TrainError, error::IoContext};

/// The configuration that a checkpoint keeps.
const CHECKPOINT_CONFIG: &str = "training/config.toml";

/// A directory that holds one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes the directory of a new run and writes its configuration and `environment` (JSON).
    ///
    /// # Errors
    /// [`TrainError::RunExists`] or [`TrainError::NotEmpty`] if something is there already, [`TrainError::Io`] if it cannot be made or written.
    pub fn create(root: &Path, config: &TrainConfig, environment: &serde_json::Value) -> Result<Self, TrainError> {
        let occupied = match fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(source) => return Err(TrainError::Io { action: "create a run in", path: root.to_path_buf(), source }),
        };
        if occupied && !root.join("config.toml").is_file() {
            return Err(TrainError::NotEmpty { path: root.to_path_buf() });
        }
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

    /// Opens the directory of a run that was begun before, with the checkpoint that `path` asks for: `path` is the run, its
    /// `model`, its `checkpoints`, its `config.toml`, or one of its checkpoints.
    ///
    /// Returns the checkpoint to go on from: the one that `path` names, else the newest that is complete; none where the
    /// run was stopped before its first.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] if there is no run, if its checkpoints are gone, or if none of them is complete.
    pub fn open(path: &Path) -> Result<(Self, Option<FoundCheckpoint>), TrainError> {
        let not_a_run = |reason: String| TrainError::NotARun { path: path.to_path_buf(), reason };
        if !path.exists() {
            return Err(not_a_run(format!("it does not exist, so there is no config.toml in it{}", looked_for(path))));
        }
        let (root, named) = locate(path).map_err(not_a_run)?;
        let run = Self { root };
        let found = run.find_checkpoints()?;
        let checkpoint = match named {
            Some(step) => match found.complete.iter().find(|found| found.step == step) {
                Some(found) => Some(found.clone()),
                None => {
                    let lacks = missing_file(path).unwrap_or_default();
                    return Err(not_a_run(format!("the checkpoint lacks {}", lacks.display())));
                }
            },
            None => found.newest().cloned(),
        };
        if checkpoint.is_none() {
            if let Some(incomplete) = found.incomplete.last() {
                let (path, lacks) = (incomplete.path.display(), incomplete.lacks.display());
                return Err(not_a_run(format!("none of its checkpoints is complete: {path} lacks {lacks}")));
            }
            if let Ok(target) = fs::read_link(run.model()) {
                return Err(not_a_run(format!("its checkpoints are gone: model points to {}", target.display())));
            }
            if !run.config_file().is_file() {
                return Err(not_a_run("there is no config.toml and no complete checkpoint in it".to_owned()));
            }
        }
        Ok((run, checkpoint))
    }

    /// The configuration to go on with: `config.toml`, else the one that `checkpoint` keeps.
    ///
    /// # Errors
    /// As [`TrainConfig::layered`].
    pub fn read_config(
        &self,
        checkpoint: Option<&FoundCheckpoint>,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<TrainConfig, TrainError> {
        let own = self.config_file();
        let file = match checkpoint {
            Some(checkpoint) if !own.is_file() => checkpoint.path.join(CHECKPOINT_CONFIG),
            _ => own,
        };
        TrainConfig::layered(None, Some(&file), overrides)
    }

    /// Keeps the configuration that decided the run up to `step` beside the one that decides it from there.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub fn keep_config(&self, step: u64, config: &TrainConfig) -> Result<PathBuf, TrainError> {
        let path = self.root.join(format!("config-{step:07}.toml"));
        write_atomically(&path, config.to_toml().as_bytes())?;
        Ok(path)
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

    /// `model`, the link to the newest complete checkpoint. It is a convenience: [`RunDir::newest_checkpoint`] does without.
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
    ) -> Result<NewCheckpoint, TrainError> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).context("create", &checkpoints)?;
        let name = checkpoints::name(step);
        let path = checkpoints.join(&name);
        let partial = checkpoints.join(format!(".partial-{name}"));
        let _ = fs::remove_dir_all(&partial); // left by a crash
        fs::create_dir(&partial).context("create", &partial)?;
        if let Err(error) = write(&partial) {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        // One of the same step, from before the run went on from an older one: it stays until the new one has its name.
        let replaced = checkpoints.join(format!(".replaced-{name}"));
        let _ = fs::remove_dir_all(&replaced);
        if path.exists() {
            fs::rename(&path, &replaced).context("replace", &path)?;
        }
        fs::rename(&partial, &path).context("create", &path)?;
        let _ = fs::remove_dir_all(&replaced);
        sync_dir(&checkpoints);
        let link = self.link(&Path::new("checkpoints").join(&name));
        self.remove_old(keep)?;
        Ok(NewCheckpoint { path, unlinked: link.err() })
    }

    /// Points `model` at `checkpoint` again; the reason where that cannot be done.
    pub(crate) fn show(&self, checkpoint: &FoundCheckpoint) -> Result<(), String> {
        match checkpoint.path.strip_prefix(&self.root) {
            Ok(target) if checkpoint.path != self.model() => self.link(target),
            _ => Ok(()),
        }
    }
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCheckpoint {
    /// Its directory.
    pub path: PathBuf,
    /// Why `model` does not show it, in a sentence, where that is so.
    pub unlinked: Option<String>,
}

/// The run that `path` belongs to, and the step of the checkpoint that it names; the reason, where it belongs to none.
fn locate(path: &Path) -> Result<(PathBuf, Option<u64>), String> {
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
        _ if path.join("training/state.json").is_file() => {
            let root = parent(&above);
            match checkpoints::step_of(name) {
                Some(step) if above.file_name().is_some_and(|name| name == "checkpoints") => Ok((root, Some(step))),
                _ => Err(format!(
                    "it is a checkpoint outside of a run; make a directory RUN/checkpoints, move it there under a name like {} \
                     and go on with --resume RUN",
                    checkpoints::name(2000)
                )),
            }
        }
        _ => Err(format!("there is no config.toml in it{}", looked_for(path))),
    }
}

/// Where a relative path was looked for; nothing to say of an absolute one.
fn looked_for(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(" (looked for in {})", here.display()),
        _ => String::new(),
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

/// Makes renames in `dir` durable, on file systems that can: many a mounted one cannot, and works nevertheless.
fn sync_dir(dir: &Path) {
    if cfg!(unix) {
        let _ = fs::File::open(dir).and_then(|file| file.sync_all());
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    sfumato_nets::tensor_file::write_atomically(path, |file| file.write_all(bytes)).context("write", path)
}
