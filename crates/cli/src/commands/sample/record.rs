//! `sample.json`: which call has written a directory of samples.
//!
//! The same call again draws what is missing, since a sample is a function of its seed and index; another one is refused, or replaces
//! what the first has written. What the program has not written is never removed.

use std::{
    collections::HashSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sfumato_files::read_text;

/// The name of the record, and of what lies beside it.
const RECORD: &str = "sample.json";
pub(super) const SAMPLES: &str = "samples.npy";
pub(super) const GRID: &str = "grid.png";
pub(super) const SCATTER: &str = "scatter.png";
pub(super) const GIF: &str = "denoising.gif";
/// What decides the samples but is too long for a message, and what to call it there.
const LONG: [(&str, &str); 5] = [
    ("network", "unet/config.json"),
    ("scheduler", "scheduler_config.json"),
    ("weights_sha256", "the weights"),
    ("noise_sha256", "the noise"),
    ("fit_sha256", "the fit"),
];

/// The file of a single sample.
pub(super) fn picture_name(i: usize) -> String {
    format!("sample-{i:05}.png")
}

/// The last call that has written a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Samples that it has written.
    samples: usize,
    /// Everything that decides them, but for how many.
    settings: Map<String, Value>,
}

impl Record {
    /// Every file that the call may have written.
    fn files(&self) -> impl Iterator<Item = String> {
        let whole = [RECORD, SAMPLES, GRID, SCATTER, GIF].map(str::to_owned);
        whole.into_iter().chain((0..self.samples).map(picture_name))
    }
}

/// The directory of the results.
#[derive(Debug)]
pub(super) struct Destination {
    dir: PathBuf,
    settings: Map<String, Value>,
    before: Option<Record>,
    /// Samples of the same call that are there already, one after the other.
    pub(super) done: Vec<f32>,
}

impl Destination {
    /// Looks at `dir` before the work: whether `num` samples of `shape` drawn with these settings can be written there, and which of
    /// them are there already.
    ///
    /// # Errors
    /// If it holds what another call, or somebody else, has written under the names of the results.
    pub(super) fn find(
        dir: &Path,
        settings: Map<String, Value>,
        num: usize,
        shape: &[usize],
        overwrite: bool,
    ) -> Result<Self> {
        let before = read(dir)?;
        let fresh = |before| Self { dir: dir.to_owned(), settings: settings.clone(), before, done: Vec::new() };
        let Some(record) = before else {
            refuse_strangers(dir)?;
            return Ok(fresh(None));
        };
        if overwrite {
            return Ok(fresh(Some(record)));
        }
        let shown = dir.display();
        let way_out = "choose another directory with --out, or replace them with --overwrite";
        if let Some(difference) = difference(&record.settings, &settings) {
            bail!("{shown} holds {} of another call ({difference}); {way_out}", samples(record.samples));
        }
        let done = match dir.join(SAMPLES) {
            path if path.exists() => {
                let (found, values) = sfumato_files::read_npy_f32(&path)?;
                if found.len() != shape.len() + 1 || found[1..] != *shape {
                    bail!("{} has shape {found:?}, but the samples have shape {shape:?}; {way_out}", path.display());
                }
                if found[0] > num {
                    bail!("{shown} holds {} of the same call, more than --num {num}; {way_out}", samples(found[0]));
                }
                values
            }
            _ => Vec::new(),
        };
        Ok(Self { done, ..fresh(Some(record)) })
    }

    /// Makes room for `samples` samples: removes what an earlier call has written and this one does not replace, and takes note of
    /// this call. The results themselves are written afterwards.
    pub(super) fn take(&self, samples: usize) -> Result<()> {
        let record = Record { samples, settings: self.settings.clone() };
        if let Some(before) = &self.before {
            // Samples of other settings must not be found beside the new record.
            let stays: HashSet<String> =
                if before.settings == record.settings { record.files().collect() } else { HashSet::new() };
            for name in before.files().filter(|name| !stays.contains(name)) {
                let path = self.dir.join(name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                    }
                    _ => {}
                }
            }
        }
        let text = serde_json::to_string_pretty(&record).context("a record is JSON")? + "\n";
        Ok(sfumato_files::write_atomically(&self.dir.join(RECORD), text.as_bytes())?)
    }
}

/// The record in `dir`, if there is one.
fn read(dir: &Path) -> Result<Option<Record>> {
    let path = dir.join(RECORD);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let record = serde_json::from_str(&text);
    record.map(Some).with_context(|| {
        format!("{} was not written by `sample`, or is damaged; choose another directory with --out", path.display())
    })
}

/// Refuses a directory with files under the results' names that no record speaks of.
fn refuse_strangers(dir: &Path) -> Result<()> {
    let is_result = |name: &str| {
        let picture = name.strip_prefix("sample-").and_then(|rest| rest.strip_suffix(".png"));
        [SAMPLES, GRID, SCATTER, GIF].contains(&name)
            || picture.is_some_and(|index| index.len() >= 5 && index.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) }; // it is made later, or that says what is wrong
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_result(name)).collect();
    names.sort_unstable();
    match names.first() {
        None => Ok(()),
        Some(name) => bail!(
            "{} holds {name}, but no {RECORD} that says where it comes from; choose another directory with --out, or \
             move the old results away",
            dir.display()
        ),
    }
}

/// The first settings in which two calls differ.
fn difference(before: &Map<String, Value>, now: &Map<String, Value>) -> Option<String> {
    let names: Vec<&String> = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name))).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| match LONG.iter().find(|(long, _)| long == name) {
            Some((_, what)) => format!("{what} differs"),
            None => format!("{name} {}, now {}", shown(before.get(name)), shown(now.get(name))),
        })
        .collect();
    (!changed.is_empty()).then(|| changed[..changed.len().min(3)].join("; "))
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn samples(count: usize) -> String {
    if count == 1 { "1 sample".to_owned() } else { format!("{count} samples") }
}
