//! Where the parts of a pipeline are.
//!
//! Each part is looked for by itself, as diffusers does: in the folder of its name if that is there, else in the root. Around
//! that are the directories that people point at: a checkpoint of a trainer, the folder of one part, a run, a repository of
//! the hub's cache.

use std::{
    cmp::Reverse,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Note, PipelineError, Warning, index::Index, weights};
use crate::json;

const CONFIG: &str = "config.json";
const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler_config.json";
/// Longest name of a revision that is read: far longer than a hash.
const LONGEST_REVISION: u64 = 4096;

/// The folder in which trainers keep the moving average beside `unet`.
const AVERAGE: &str = "unet_ema";
/// Models named in a message.
const SHOWN: usize = 8;
/// Directories above that may hold the scheduler: those of a pipeline with checkpoints with parts.
const ABOVE: usize = 2;

/// The files of a pipeline.
#[derive(Debug)]
pub(super) struct Layout {
    /// The root: the directory that was asked for, or the one in it that is a model.
    pub(super) root: PathBuf,
    /// The folder of the network.
    pub(super) model: PathBuf,
    /// The index, if there is one, already read.
    pub(super) index: Option<Index>,
    pub(super) scheduler: Option<PathBuf>,
    pub(super) notes: Vec<Note>,
    pub(super) warnings: Vec<Warning>,
}

impl Layout {
    /// Finds the model that `dir` is or holds.
    pub(super) fn find(dir: &Path) -> Result<Self, PipelineError> {
        check_directory(dir)?;
        let mut notes = Vec::new();
        let mut root = dir.to_owned();
        if model_in(dir).is_none()
            && let Some((kind, opened)) = within(dir)
        {
            notes.push(Note::Within { asked: dir.into(), kind, opened: opened.clone() });
            root = opened;
        }
        let Some(model) = model_in(&root) else {
            return Err(PipelineError::NoModel { dir: dir.into(), hint: hint(dir) });
        };
        let index = Index::read(&root.join(INDEX))?;
        let scheduler = scheduler(&root, &mut notes);
        let mut warnings = Vec::new();
        if let Some(average) = average_beside(&model) {
            warnings.push(Warning::RawWeights { weights: model.clone(), average: Some(average) });
        }
        Ok(Self { root, model, index, scheduler, notes, warnings })
    }
}

/// The scheduler's configuration of the pipeline that `dir` is or is a part of.
pub(super) fn scheduler(dir: &Path, notes: &mut Vec<Note>) -> Option<PathBuf> {
    if let Some(path) = scheduler_in(dir) {
        return Some(path);
    }
    let mut here = dir.to_owned();
    for _ in 0..ABOVE {
        let above = parent(&here)?;
        // Only out of what is a part of something: a checkpoint, the folder of a part, or a folder in a pipeline.
        if !is_part(&here) && !present(&above.join(INDEX)) {
            return None;
        }
        if let Some(path) = scheduler_in(&above) {
            notes.push(Note::SchedulerAbove { path: path.clone() });
            return Some(path);
        }
        here = above;
    }
    None
}

/// In its folder, else in the root.
fn scheduler_in(dir: &Path) -> Option<PathBuf> {
    let places = [dir.join("scheduler").join(SCHEDULER), dir.join(SCHEDULER)];
    places.into_iter().find(|path| present(path))
}

/// The folder of the network of the pipeline `dir`, if it is one.
fn model_in(dir: &Path) -> Option<PathBuf> {
    let folder = dir.join("unet");
    let average = dir.join(AVERAGE);
    if present(&folder.join(CONFIG)) {
        Some(folder)
    } else if present(&dir.join(CONFIG)) {
        Some(dir.into())
    } else if present(&average.join(CONFIG)) {
        Some(average)
    } else if present(&dir.join(INDEX)) {
        // Incomplete: the missing file will be named.
        Some(if folder.is_dir() { folder } else { dir.into() })
    } else {
        None
    }
}

/// The average beside the raw weights in `model`.
fn average_beside(model: &Path) -> Option<PathBuf> {
    let name = real_name(model)?;
    let average = parent(model)?.join(AVERAGE);
    (name == "unet" && present(&average.join(CONFIG))).then_some(average)
}

/// The model in a directory that is none itself, and what that directory is.
fn within(dir: &Path) -> Option<(&'static str, PathBuf)> {
    let is_model = |path: &Path| model_in(path).is_some();
    let snapshots = dir.join("snapshots");
    if snapshots.is_dir() {
        // The revision that `main` names, or the only one.
        let named = dir.join("refs").join("main");
        let main = fs::metadata(&named).is_ok_and(|file| file.is_file() && file.len() <= LONGEST_REVISION);
        let main = main.then(|| fs::read_to_string(&named).ok()).flatten();
        let main = main.map(|revision| snapshots.join(revision.trim())).filter(|path| is_model(path));
        let mut all: Vec<PathBuf> = folders(&snapshots).into_iter().filter(|path| is_model(path)).collect();
        let only = if all.len() == 1 { all.pop() } else { None };
        return main.or(only).map(|path| ("a repository in the hub's cache", path));
    }
    let (link, checkpoints) = (dir.join("model"), dir.join("checkpoints"));
    let newest = newest_checkpoint(if checkpoints.is_dir() { &checkpoints } else { dir });
    if is_model(&link) {
        // A link is never older than the checkpoints; a copy may be.
        let newer = newest.filter(|newest| !is_link(&link) && step(newest) > step(&link));
        return Some(("a run", newer.unwrap_or(link)));
    }
    newest.map(|path| ("a run", path))
}

/// The newest complete checkpoint `step-N` in `dir`.
fn newest_checkpoint(dir: &Path) -> Option<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = folders(dir)
        .into_iter()
        .filter_map(|path| {
            let number = path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
            // The index of a pipeline is written last.
            (present(&path.join(INDEX)) && model_in(&path).is_some()).then_some((number, path))
        })
        .collect();
    found.sort_by_key(|(number, path)| Reverse((present(&path.join("training").join("state.json")), *number)));
    found.into_iter().next().map(|(_, path)| path)
}

/// The step that a checkpoint says it is of.
fn step(checkpoint: &Path) -> Option<u64> {
    json::read(&checkpoint.join("training").join("state.json")).ok()?.get("step").and_then(Value::as_u64)
}

/// What may be meant by a directory without a model.
fn hint(dir: &Path) -> String {
    let mut models: Vec<String> = folders(dir)
        .into_iter()
        .filter(|path| model_in(path).is_some() || within(path).is_some())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    // checkpoint-500 before checkpoint-1000.
    models.sort_by_key(|name| (name.len(), name.clone()));
    if let Some(last) = models.last() {
        let count = models.len();
        let shown = models.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
        return format!("; the models in it are {shown}{more}: choose one, such as {}", dir.join(last).display());
    }
    if scheduler_in(dir).is_some() {
        return "; there is a scheduler only".into();
    }
    if let Some(name) = weights::any(dir) {
        return format!(
            "; {name} holds weights, but what network they are of is in a config.json, which has to lie beside them (checkpoints of \
             improved-diffusion and guided-diffusion: sfumato import)"
        );
    }
    if folders(dir).is_empty() && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
        return "; the directory is empty".into();
    }
    if present(&dir.join("config.toml")) {
        let checkpoints = dir.join("checkpoints");
        if let Err(error) = fs::read_dir(&checkpoints)
            && error.kind() != ErrorKind::NotFound
        {
            return format!("; {} cannot be opened: {error}", checkpoints.display());
        }
        return "; it is a run that was stopped before its first checkpoint".into();
    }
    String::new()
}

/// A better message than "not found" for each of the directory's files.
fn check_directory(dir: &Path) -> Result<(), PipelineError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => {
            fs::read_dir(dir).map(drop).map_err(|source| PipelineError::Io { path: dir.into(), action: "open", source })
        }
        Ok(_) => {
            let above = parent(dir).unwrap_or_default();
            let root = if is_part(&above) { parent(&above).unwrap_or(above) } else { above };
            Err(PipelineError::NotADirectory { file: dir.into(), dir: root })
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(PipelineError::NoDirectory { dir: dir.into(), hint: absent_hint(dir) })
        }
        Err(source) => Err(PipelineError::Io { path: dir.into(), action: "open", source }),
    }
}

/// What may be meant by a path where nothing is.
fn absent_hint(dir: &Path) -> String {
    if let Ok(target) = fs::read_link(dir) {
        return format!(": it is a link to {}, and there is nothing at that place", target.display());
    }
    let text = dir.to_string_lossy();
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let above = dir.parent().unwrap_or(Path::new(""));
    match text.split_once('/') {
        // The name of a model on the hub, if not of a run that is mistyped.
        Some((owner, name)) if is_name(owner) && is_name(name) && !above.exists() => format!(
            "; models are not downloaded by their names, and a directory is needed (hf download {text} --local-dir {name})"
        ),
        _ => String::new(),
    }
}

/// Whether a folder is a part of a pipeline or one of its checkpoints, by its name.
fn is_part(dir: &Path) -> bool {
    let name = real_name(dir).unwrap_or_default();
    name == "ema" || ["unet", "scheduler", "checkpoint", "ema_unet"].iter().any(|part| name.starts_with(part))
}

/// The last name of a path, also of `.` and `..`.
fn real_name(dir: &Path) -> Option<String> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match dir.components().next_back() {
        Some(std::path::Component::Normal(_)) => name(dir),
        _ => name(&fs::canonicalize(dir).ok()?),
    }
}

/// The directory above, also of `.` and of a relative name.
fn parent(dir: &Path) -> Option<PathBuf> {
    match dir.components().next_back() {
        Some(std::path::Component::Normal(_)) => match dir.parent() {
            Some(above) if !above.as_os_str().is_empty() => Some(above.into()),
            _ => Some(".".into()),
        },
        _ => fs::canonicalize(dir).ok()?.parent().map(Path::to_owned),
    }
}

/// Folders in `dir`, sorted.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Whether there is something at `path`, be it a link that leads nowhere.
fn present(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}
