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
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sfumato_files::read_text;

use super::set::{Set, is_file_name};
use crate::{
    args::{Indices, OneOrMany},
    provenance::Settings,
};

/// The name of the record, and of what lies beside it.
const RECORD: &str = "sample.json";
pub(super) const SAMPLES: &str = "samples.npy";
pub(super) const GRID: &str = "grid.png";
pub(super) const SCATTER: &str = "scatter.png";
pub(super) const GIF: &str = "denoising.gif";
/// What decides the samples but is too long for a message, and what to call it there.
const LONG: [(&str, &str); 5] = [
    ("network_sha256", "unet/config.json"),
    ("scheduler_sha256", "scheduler_config.json"),
    ("weights_sha256", "the weights"),
    ("noise_sha256", "the noise"),
    ("fit_sha256", "the fit"),
];

/// What decides the samples of a call, and what they leave beside them.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// For comparison with another call.
    pub(super) settings: Map<String, Value>,
    pub(super) set: Set,
}

impl Call {
    /// A call with these settings. What follows the settings in the record decides which samples there are: with one series any number
    /// of them is the beginning of more, with several it is not.
    pub(super) fn new(settings: &Settings, set: Set, gif: bool) -> Result<Self> {
        let Value::Object(mut map) = serde_json::to_value(settings).context("settings are JSON")? else {
            bail!("settings are an object")
        };
        if set.indices.first > 0 {
            map.insert("first".into(), set.indices.first.into());
        }
        if set.is_several() {
            map.insert("num".into(), set.indices.num.into());
        }
        map.insert("gif".into(), gif.into());
        Ok(Self { settings: map, set })
    }
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
        let set = self.set();
        whole.into_iter().chain((0..self.samples.min(set.len())).map(move |i| set.file_name(i)))
    }

    /// The samples of the call, as far as the names of their files need it.
    fn set(&self) -> Set {
        // Whoever has written it: nothing is taken for granted.
        let number = |key: &str| {
            let number = self.settings.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
            number.map(|number| number as usize)
        };
        let first = number("first").unwrap_or(0);
        let seeds = list(self.settings.get("seed")).unwrap_or(OneOrMany::One(0));
        let weights = list(self.settings.get("guidance")).unwrap_or(OneOrMany::One(1.0));
        let num = number("num").unwrap_or(self.samples).max(1);
        Set { seeds, weights, indices: Indices { first, num } }
    }
}

/// A value or several of the record, if there are any.
fn list<T: DeserializeOwned>(value: Option<&Value>) -> Option<OneOrMany<T>> {
    let values: OneOrMany<T> = serde_json::from_value(value?.clone()).ok()?;
    (!values.all().is_empty()).then_some(values)
}

/// The directory of the results.
#[derive(Debug)]
pub(super) struct Destination {
    dir: PathBuf,
    call: Call,
    before: Option<Record>,
    /// Samples of the same call that are there already, one after the other.
    pub(super) done: Vec<f32>,
}

impl Destination {
    /// Looks at `dir` before the work: whether the samples of `call`, of `shape` each, can be written there, and which of them are there
    /// already.
    ///
    /// # Errors
    /// If it holds what another call, or somebody else, has written under the names of the results.
    pub(super) fn find(dir: &Path, call: &Call, shape: &[usize], overwrite: bool) -> Result<Self> {
        let before = read(dir)?;
        let fresh = |before| Self { dir: dir.to_owned(), call: call.clone(), before, done: Vec::new() };
        let num = call.set.len();
        let Some(record) = before else {
            refuse_strangers(dir)?;
            return Ok(fresh(None));
        };
        if overwrite {
            return Ok(fresh(Some(record)));
        }
        let shown = dir.display();
        let way_out = "choose another directory with --out, or replace them with --overwrite";
        if let Some(difference) = difference(&record.settings, &call.settings) {
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
        let record = Record { samples, settings: self.call.settings.clone() };
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
    let is_result = |name: &str| [SAMPLES, GRID, SCATTER, GIF].contains(&name) || is_file_name(name);
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
pub(super) fn difference(before: &Map<String, Value>, now: &Map<String, Value>) -> Option<String> {
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
