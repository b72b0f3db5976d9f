//! The run directory: what lies where, and how it gets there whole.
//!
//! ```text
//! runs/NAME/config.toml                 everything that decides the run
//! runs/NAME/config-0002000.toml         what decided it up to step 2000, where it went on with other settings
//! runs/NAME/environment.json            program, revision, machine
//! runs/NAME/metrics.jsonl               one JSON object a line
//! runs/NAME/checkpoints/step-0002000/   a pipeline directory with training/
//! runs/NAME/samples/                    grids made while training
//! runs/NAME/averages/                   averages of the weights for afterwards, where they are kept
//! runs/NAME/model                       -> the newest complete checkpoint, where links can be made
//! runs/NAME/best                        -> the one with the best held-out score, where there are scores
//! runs/NAME/.lock                       locked while a process writes the run, see [`RunDir`]
//! ```

mod checkpoints;
mod leftovers;
mod link;
mod locate;
mod lock;
mod names;

use checkpoints::missing_file;
pub use checkpoints::{FoundCheckpoint, FoundCheckpoints, IncompleteCheckpoint, PassedOver};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use leftovers::is_vacant;
use locate::{locate, looked_for};
use lock::RunLock;
use names::{PARTIAL, REPLACED};
pub(crate) use names::{name as step_name, step_of};

use crate::{TrainConfig, TrainError, checkpoint::check_whole, error::IoContext, write::write_atomically};

/// The configuration that a checkpoint keeps.
const CHECKPOINT_CONFIG: &str = "training/config.toml";

/// A directory that holds one run.
///
/// What can lie in it after any interruption, and what is done then:
///
/// | state | what is there | starting a run in it | resuming |
/// | --- | --- | --- | --- |
/// | vacant | nothing, or leftovers of a start without `config.toml` | starts | no run |
/// | foreign | something else | refused | no run |
/// | begun | `config.toml`, no checkpoint | refused: resume it | starts at step 1 |
/// | resumable | at least one whole checkpoint | refused: resume it | goes on from the newest whole one; later ones that are not whole are renamed |
/// | lost | checkpoints, none of them whole | refused | refused, with what each lacks |
/// | held | any of these, and another process has the lock | refused, with its number | refused, with its number |
///
/// A checkpoint gets its name when all of it is on the device, and one that is whole is removed only when enough newer ones are.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Held by whoever may write; copies share it.
    lock: Option<Arc<RunLock>>,
}

/// A run that can go on.
#[derive(Clone, Debug)]
pub struct OpenedRun {
    /// Its directory, locked for this process until the last copy is dropped.
    pub dir: RunDir,
    /// The checkpoint to go on from; none where the run was stopped before its first.
    pub from: Option<FoundCheckpoint>,
    /// Later checkpoints that are not whole, and were renamed.
    pub passed_over: Vec<PassedOver>,
}

impl RunDir {
    /// Makes the directory of a new run, locks it and writes its configuration and `environment` (JSON).
    ///
    /// # Errors
    /// [`TrainError::RunExists`] or [`TrainError::NotEmpty`] if something is there already, [`TrainError::Held`] if another
    /// process writes a run there, [`TrainError::Io`] if it cannot be made or written.
    pub fn create(root: &Path, config: &TrainConfig, environment: &serde_json::Value) -> Result<Self, TrainError> {
        let vacant = || is_vacant(root).context("create a run in", root);
        if !vacant()? && !root.join("config.toml").is_file() {
            return Err(TrainError::NotEmpty { path: root.to_path_buf() });
        }
        fs::create_dir_all(root).context("create", root)?;
        let lock = Some(Arc::new(RunLock::acquire(root)?));
        // Only now is it known that nobody else starts a run here.
        if !vacant()? {
            return Err(TrainError::RunExists { path: root.to_path_buf() });
        }
        let run = Self { root: root.to_path_buf(), lock };
        run.clean()?;
        run.write_config(config)?;
        for dir in [run.checkpoints(), run.samples()] {
            fs::create_dir_all(&dir).context("create", &dir)?;
        }
        run.write_environment(environment)?;
        sync_dir(&run.root);
        Ok(run)
    }

    /// The directory of a run that another process writes, such as rank 0 of several: nothing is locked, looked at or made.
    pub fn of_another(root: &Path) -> Self {
        Self { root: root.to_path_buf(), lock: None }
    }

    /// Opens the directory of a run that was begun before, and locks it: `path` is the run, its `model`, its `checkpoints`,
    /// its `config.toml`, or one of its checkpoints. What an interruption left half done is removed.
    ///
    /// The checkpoint to go on from is the one that `path` names, else the newest that is whole: every byte is compared with
    /// the checksums that it was written with. Later ones, which are damaged then, are renamed and reported.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] if there is no run, if its checkpoints are gone, or if none of them is whole;
    /// [`TrainError::Held`] if another process writes it; [`TrainError::Io`].
    pub fn open(path: &Path) -> Result<OpenedRun, TrainError> {
        let not_a_run = |reason: String| TrainError::NotARun { path: path.to_path_buf(), reason };
        if !path.exists() {
            return Err(not_a_run(format!("it does not exist, so there is no config.toml in it{}", looked_for(path))));
        }
        let (root, named) = locate(path).map_err(not_a_run)?;
        let lock = Some(Arc::new(RunLock::acquire(&root)?));
        let dir = Self { root, lock };
        dir.clean()?;
        if let Some(step) = named {
            let from = dir.named(path, step).map_err(not_a_run)?;
            return Ok(OpenedRun { dir, from: Some(from), passed_over: Vec::new() });
        }
        let (from, mut damaged) = dir.newest_whole()?;
        if from.is_none() {
            if !damaged.is_empty() {
                let all: Vec<String> = damaged.iter().map(ToString::to_string).collect();
                return Err(not_a_run(format!("none of its checkpoints is complete: {}", all.join("; "))));
            }
            if let Ok(target) = fs::read_link(dir.model()) {
                return Err(not_a_run(format!("its checkpoints are gone: model points to {}", target.display())));
            }
            if !dir.config_file().is_file() {
                return Err(not_a_run("there is no config.toml and no complete checkpoint in it".to_owned()));
            }
        }
        for found in &mut damaged {
            found.aside = dir.put_aside(&found.path, "damaged")?;
        }
        if let Some(from) = &from {
            // It can show another where one is damaged, or where it could not be made. That it cannot be made now is said with the
            // next checkpoint.
            let _ = dir.show(from);
            dir.refresh_best()?;
        }
        Ok(OpenedRun { dir, from, passed_over: damaged })
    }

    /// The checkpoint of `step`, which `path` names; the reason, where it is not whole.
    fn named(&self, path: &Path, step: u64) -> Result<FoundCheckpoint, String> {
        let found = self.find_checkpoints().map_err(|error| error.to_string())?.complete;
        let reason = match found.iter().find(|found| found.step == step) {
            Some(found) => match check_whole(&found.path) {
                Ok(()) => return Ok(found.clone()),
                Err(error) => error.to_string(),
            },
            None => format!("the checkpoint lacks {}", missing_file(path).unwrap_or_default().display()),
        };
        let older = found.iter().rev().find(|found| found.step < step && check_whole(&found.path).is_ok());
        let way_out = older.map_or_else(String::new, |older| {
            format!(". The checkpoint before it is there: sfumato train --resume {}", older.path.display())
        });
        Err(format!("{reason}{way_out}"))
    }

    /// The newest checkpoint that is whole, and the later ones that are not, the newest first.
    fn newest_whole(&self) -> Result<(Option<FoundCheckpoint>, Vec<PassedOver>), TrainError> {
        let FoundCheckpoints { mut complete, incomplete } = self.find_checkpoints()?;
        let mut damaged = Vec::new();
        let whole = loop {
            let Some(found) = complete.pop() else { break None };
            match check_whole(&found.path) {
                Ok(()) => break Some(found),
                Err(error) => damaged.push(PassedOver::new(found.step, found.path, error.to_string())),
            }
        };
        let later = |step: u64| whole.as_ref().is_none_or(|whole| whole.step < step);
        damaged.extend(incomplete.into_iter().filter(|found| later(found.step)).map(|found| {
            let reason = format!("it lacks {}", found.lacks.display());
            PassedOver::new(found.step, found.path, reason)
        }));
        damaged.sort_by_key(|found| std::cmp::Reverse(found.step));
        Ok((whole, damaged))
    }

    /// The same directory, locked for this process, if it is not already.
    pub(crate) fn locked(&self) -> Result<Self, TrainError> {
        match &self.lock {
            Some(_) => Ok(self.clone()),
            None => {
                let lock = Some(Arc::new(RunLock::acquire(&self.root)?));
                Ok(Self { root: self.root.clone(), lock })
            }
        }
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
        TrainConfig::read_with(&file, overrides)
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

    /// `averages/`, where a run keeps averages of its weights for afterwards.
    pub fn averages(&self) -> PathBuf {
        self.root.join("averages")
    }

    /// `model`, the link to the newest complete checkpoint. It is a convenience: [`RunDir::newest_checkpoint`] does without.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// `best`, the link to the checkpoint with the best held-out score. It is a convenience too: [`RunDir::best_checkpoint`].
    pub fn best(&self) -> PathBuf {
        self.root.join("best")
    }

    /// Fills a checkpoint directory with `write` and makes it the newest; on failure nothing of it remains and the link
    /// still shows the one before. Then all but the `keep` newest are removed (0 keeps all), and with `keep_best` the one with the best
    /// held-out score stays too.
    ///
    /// # Errors
    /// Whatever `write` returns; [`TrainError::Io`].
    pub fn add_checkpoint(
        &self,
        step: u64,
        (keep, keep_best): (usize, bool),
        write: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<NewCheckpoint, TrainError> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).context("create", &checkpoints)?;
        let name = names::name(step);
        let path = checkpoints.join(&name);
        let partial = checkpoints.join(format!("{PARTIAL}{name}"));
        let _ = fs::remove_dir_all(&partial); // left by a crash
        fs::create_dir(&partial).context("create", &partial)?;
        if let Err(error) = write(&partial) {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        sync_dir(&partial);
        // One of the same step, from before the run went on from an older one: it stays until the new one has its name.
        let replaced = checkpoints.join(format!("{REPLACED}{name}"));
        let _ = fs::remove_dir_all(&replaced);
        if path.exists() {
            fs::rename(&path, &replaced).context("replace", &path)?;
        }
        fs::rename(&partial, &path).context("create", &path)?;
        let _ = fs::remove_dir_all(&replaced);
        sync_dir(&checkpoints);
        let link = self.link(&self.model(), &Path::new("checkpoints").join(&name));
        let best = if keep_best { self.best_checkpoint()? } else { None };
        let best_link = self.show_best(best.as_ref());
        self.remove_old(keep, best.as_ref())?;
        Ok(NewCheckpoint { path, unlinked: link.and(best_link).err() })
    }

    /// Points `model` at `checkpoint` again; the reason where that cannot be done.
    pub(crate) fn show(&self, checkpoint: &FoundCheckpoint) -> Result<(), String> {
        match checkpoint.path.strip_prefix(&self.root) {
            Ok(target) if fs::read_link(self.model()).is_ok_and(|shown| shown == target) => Ok(()),
            Ok(target) if checkpoint.path != self.model() => self.link(&self.model(), target),
            _ => Ok(()),
        }
    }

    /// Points `best` at the best of the checkpoints that there are now, where there is such a link.
    fn refresh_best(&self) -> Result<(), TrainError> {
        if fs::read_link(self.best()).is_ok() {
            let _ = self.show_best(self.best_checkpoint()?.as_ref());
        }
        Ok(())
    }

    /// Points `best` at `checkpoint`, or removes the link where there is none; the reason where that cannot be done.
    fn show_best(&self, checkpoint: Option<&FoundCheckpoint>) -> Result<(), String> {
        let best = self.best();
        match checkpoint.map(|checkpoint| checkpoint.path.strip_prefix(&self.root)) {
            Some(Ok(target)) if fs::read_link(&best).is_ok_and(|shown| shown == target) => Ok(()),
            Some(Ok(target)) if target != Path::new("model") => self.link(&best, target),
            Some(_) => Ok(()),
            None => {
                if fs::read_link(&best).is_ok() {
                    let _ = fs::remove_file(&best);
                }
                Ok(())
            }
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
