//! What lies beside a model: how far it was trained, and how it was scored.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sfumato_files::{file_sha256, read_bytes, read_text};

use super::super::WEIGHTS_FILE;

/// Files that are looked at for scores in a folder, and the longest of them.
const MOST_FILES: usize = 16;
const LONGEST: u64 = 64 << 20;
/// Standard errors on each side of a 95 % interval.
const NORMAL_95: f64 = 1.96;

/// How a model was trained.
#[derive(Debug, Default)]
pub(super) struct Trained {
    pub(super) rows: Vec<(String, String)>,
}

impl Trained {
    /// Reads what the checkpoint `source` says of itself; nothing where it is no checkpoint.
    pub(super) fn read(source: &Path) -> Self {
        let json = |name: &str| -> Option<Value> {
            serde_json::from_str(&read_text(&source.join("training").join(name)).ok()?).ok()
        };
        let mut rows = Vec::new();
        if let Some(examples) = json("data.json").as_ref().and_then(|data| data.get("examples")?.as_u64()) {
            rows.push(("examples of the training data".to_owned(), examples.to_string()));
        }
        let state = json("state.json");
        let number = |key: &str| state.as_ref().and_then(|state| state.get(key)?.as_f64());
        rows.extend(number("step").map(|steps| ("steps".to_owned(), steps.to_string())));
        rows.extend(number("examples").map(|examples| ("examples seen".to_owned(), examples.to_string())));
        rows.extend(
            number("seconds").map(|seconds| ("minutes of training".to_owned(), format!("{:.1}", seconds / 60.0))),
        );
        Self { rows }
    }
}

/// The scores of a model.
#[derive(Debug, Default)]
pub(super) struct Scores {
    pub(super) rows: Vec<(String, String)>,
}

impl Scores {
    /// The results of `sfumato eval` in `source` and in its run that are of the very weights in `source`.
    pub(super) fn read(source: &Path) -> Self {
        // A link such as RUN/model leads to the checkpoint, whose run is two folders above.
        let place = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        let run = place.parent().filter(|above| above.ends_with("checkpoints")).and_then(Path::parent);
        let files: Vec<PathBuf> = [Some(place.as_path()), run].into_iter().flatten().flat_map(json_files).collect();
        let scores: Vec<Value> = files.iter().filter_map(|path| read(path)).collect();
        let mut rows: Vec<_> = held_out(&place).into_iter().collect();
        if scores.is_empty() {
            return Self { rows };
        }
        let Ok(weights) = file_sha256(&place.join("unet").join(WEIGHTS_FILE)) else { return Self { rows } };
        let of_these = |score: &&Value| score.get("weights_sha256").and_then(Value::as_str) == Some(weights.as_str());
        rows.extend(scores.iter().filter(of_these).filter_map(row));
        Self { rows }
    }
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    files.truncate(MOST_FILES);
    files
}

/// A file of scores.
fn read(path: &Path) -> Option<Value> {
    let value: Value = serde_json::from_slice(&read_bytes(path, LONGEST).ok()?).ok()?;
    value.get("total")?.get("bits_per_dim").is_some().then_some(value)
}

/// The score that the checkpoint got while its run went on.
fn held_out(checkpoint: &Path) -> Option<(String, String)> {
    let text = read_text(&checkpoint.join("training/held_out.json")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let score = value.get("score")?;
    let number = |key: &str| score.get(key)?.as_f64();
    let (mean, half) = (number("bits_per_dim")?, NORMAL_95 * number("standard_error")?);
    let examples = score.get("examples")?.as_u64()?;
    Some((
        format!("bits/dim on {examples} examples that it was not trained on"),
        format!("{mean:.3} ({:.3} to {:.3})", mean - half, mean + half),
    ))
}

/// "bits/dim on mnist, test split, 200 examples", and the value with its interval.
fn row(score: &Value) -> Option<(String, String)> {
    let total = score.get("total")?;
    let mean = total.get("bits_per_dim")?.as_f64()?;
    let error = total.get("bits_per_dim_standard_error").and_then(Value::as_f64);
    let interval = error.map_or_else(String::new, |error| {
        let half = NORMAL_95 * error;
        format!(" ({:.4} to {:.4})", mean - half, mean + half)
    });
    let text = |key: &str| score.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let of = format!(
        "bits/dim on {}, {} split, {} examples",
        text("dataset")?,
        text("split").unwrap_or_default(),
        text("examples").unwrap_or_default()
    );
    Some((of, format!("{mean:.4}{interval}")))
}
