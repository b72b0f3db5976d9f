//! What a run's directory holds, as far as it can be read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sfumato_files::read_text;
use sfumato_model::pipeline::{Pipeline, PipelineSpec};

use super::{
    differences::{Entries, of_json, of_toml},
    metrics::Metrics,
    pictures::{PictureCache, Pictures},
    scores::{self, Score},
};

/// A run, read.
pub(super) struct RunFacts {
    /// Its directory.
    pub(super) root: PathBuf,
    /// What it is called in the page.
    pub(super) name: String,
    pub(super) metrics: Metrics,
    /// `config.toml` as it is.
    pub(super) config_text: String,
    pub(super) config: Entries,
    /// The step at which the run ends.
    pub(super) last_step: Option<u64>,
    /// The noise schedule of `config.toml`.
    pub(super) schedule: Option<sfumato_schedule::NoiseSchedule>,
    pub(super) environment: Entries,
    /// What is known of the data.
    pub(super) data: Entries,
    /// The newest model, and what it is.
    pub(super) model: Option<(PathBuf, PipelineSpec)>,
    pub(super) pictures: Pictures,
    pub(super) scores: Vec<Score>,
    /// What could not be read, in sentences.
    pub(super) notes: Vec<String>,
}

/// The run that `path` names: the run itself, or something in it, such as `model` or `config.toml`.
pub(crate) fn locate(path: &Path) -> Option<PathBuf> {
    let is_run = |dir: &Path| {
        dir.is_dir() && ["config.toml", "metrics.jsonl"].iter().any(|name| dir.join(name).is_file())
            // A checkpoint has its configuration in `training`.
            && !dir.join("state.json").is_file()
    };
    let whole = path.canonicalize().ok()?;
    if is_run(path) {
        return Some(path.to_owned());
    }
    let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    parent
        .filter(|parent| is_run(parent))
        .map(Path::to_owned)
        .or_else(|| whole.ancestors().skip(1).take(3).find(|dir| is_run(dir)).map(Path::to_owned))
}

impl RunFacts {
    /// Reads what is there. What is damaged is noted, and the rest is read all the same.
    pub(super) fn read(root: &Path, most_pictures: usize, cache: &mut PictureCache) -> Self {
        let mut notes = Vec::new();
        let mut text = |name: &str| {
            let path = root.join(name);
            match read_text(&path) {
                Ok(text) => text,
                Err(error) => {
                    notes.push(format!("{name} cannot be read: {error}"));
                    String::new()
                }
            }
        };
        let (config_text, environment) = (text("config.toml"), text("environment.json"));
        let config = match config_text.parse::<toml::Table>() {
            Ok(table) => of_toml(&table),
            Err(_) => {
                notes.push("config.toml is no TOML".to_owned());
                Vec::new()
            }
        };
        let schedule = sfumato_train::TrainConfig::read(&root.join("config.toml")).ok();
        let mut metrics = Metrics::read(&root.join("metrics.jsonl")).unwrap_or_else(|error| {
            notes.push(format!("metrics.jsonl cannot be read: {error}"));
            Metrics::default()
        });
        metrics.other_loss = schedule.as_ref().and_then(|config| config.objective.other_loss(&config.diffusion));
        notes.extend(counted(
            metrics.damaged,
            "line of metrics.jsonl is",
            "lines of metrics.jsonl are",
            "damaged and left out",
        ));
        let pictures = cache.pictures(&root.join("samples"), most_pictures);
        notes.extend(counted(pictures.unreadable, "picture", "pictures", "cannot be read"));
        let checkpoint = newest_checkpoint(root);
        let data = checkpoint.as_ref().and_then(|dir| read_text(&dir.join("training/data.json")).ok());
        let model = checkpoint.and_then(|dir| Pipeline::open(&dir).ok().map(|model| (dir, model.spec)));
        Self {
            name: name(root),
            metrics,
            config,
            config_text,
            last_step: schedule.as_ref().map(sfumato_train::TrainConfig::last_step),
            schedule: schedule.and_then(|config| config.diffusion.schedule.build().ok()),
            environment: of_json(&json(&environment)),
            data: data.map_or_else(Vec::new, |text| of_json(&json(&text))),
            model: model.map(|(dir, spec)| (shown(root, dir), spec)),
            pictures,
            scores: scores::read_all(root),
            notes,
            root: root.to_owned(),
        }
    }
}

/// "1 picture cannot be read"
fn counted(count: usize, one: &str, many: &str, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one} {what}")),
        count => Some(format!("{count} {many} {what}")),
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn name(root: &Path) -> String {
    let of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    of(root).or_else(|| of(&root.canonicalize().ok()?)).unwrap_or_else(|| root.display().to_string())
}

fn newest_checkpoint(root: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(root.join("checkpoints")).into_iter().flatten().flatten();
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let found = entries.filter_map(|entry| Some((step(&entry.path())?, entry.path())));
    found.filter(|(_, path)| path.join("model_index.json").is_file()).max().map(|(_, path)| path)
}

/// The shortest name of the newest checkpoint: `RUN/model` where that is it.
fn shown(root: &Path, checkpoint: PathBuf) -> PathBuf {
    let model = root.join("model");
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    if same(&model, &checkpoint) { model } else { checkpoint }
}
