//! What data a run was started with: kept in every checkpoint, compared when the run goes on.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sfumato_data::Dataset;
use sfumato_files::read_text;

use crate::{TrainError, error::IoContext, write::write_atomically};

/// Where a checkpoint keeps it.
const FILE: &str = "training/data.json";

/// The data of a run, in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The data set, as on the command line.
    pub dataset: String,
    /// SHA-256 of its content as it is used; see [`Dataset::sha256`].
    pub sha256: String,
    /// Number of examples.
    pub examples: usize,
    /// Shape of one example.
    pub shape: Vec<usize>,
    /// Names of the classes by index; empty without classes.
    pub classes: Vec<String>,
}

impl DataRecord {
    /// What there is to say of `data`.
    pub fn of(data: &dyn Dataset) -> Self {
        Self {
            dataset: data.name().to_owned(),
            sha256: data.sha256().to_owned(),
            examples: data.len(),
            shape: data.shape().to_vec(),
            classes: data.class_names().to_vec(),
        }
    }

    /// Compares the data that the checkpoint in `dir` was trained on with `now`, as [`DataRecord::compare`] does.
    ///
    /// # Errors
    /// As [`DataRecord::compare`]; [`TrainError::Io`], [`TrainError::BadCheckpoint`] if the record is damaged.
    pub fn compare_with_checkpoint(
        dir: &Path,
        now: &dyn Dataset,
        conditional: bool,
    ) -> Result<Option<String>, TrainError> {
        if let Some(before) = Self::read(dir)? {
            return before.compare(&Self::of(now), conditional);
        }
        // An older checkpoint knows the checksum alone.
        let same = checksum_in_model(dir).is_none_or(|before| before == now.sha256());
        let changed = "the data has changed; the run goes on, but not as if it had never stopped";
        Ok((!same).then(|| changed.to_owned()))
    }

    /// What the checkpoint in `dir` was trained on; none in a checkpoint of an older version, or in a model that is not a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::BadCheckpoint`] if the record is damaged.
    pub fn read(dir: &Path) -> Result<Option<Self>, TrainError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path).context("read", &path)?;
        let bad = |error: serde_json::Error| TrainError::BadCheckpoint { path, reason: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(bad)
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(self).expect("strings and numbers");
        write_atomically(&dir.join(FILE), (text + "\n").as_bytes())
    }

    /// Compares what the run was started with (`self`) with the data `now`: a sentence if the content has changed.
    ///
    /// # Errors
    /// [`TrainError::OtherData`] if the network does not fit any more: another shape, or other classes of a model that
    /// learns them (`conditional`).
    pub fn compare(&self, now: &Self, conditional: bool) -> Result<Option<String>, TrainError> {
        let other = |now_has: String, before: String, way_out| {
            Err(TrainError::OtherData { name: now.dataset.clone(), now: now_has, before, way_out })
        };
        if self.shape != now.shape {
            return other(
                format!("examples of {:?}", now.shape),
                format!("examples of {:?}", self.shape),
                "Bring the data to that shape (data.image_size and data.channels for pictures), or start a new run",
            );
        }
        if conditional && self.classes != now.classes {
            let named = |classes: &[String]| match classes.len() {
                0 => "no classes".to_owned(),
                1 => format!("1 class ({})", classes[0]),
                n => format!("{n} classes ({})", listed(classes)),
            };
            let (count, then) = (named(&now.classes), named(&self.classes));
            // The counts first, then the names.
            let now_has = match (self.classes.len(), now.classes.len()) {
                (a, b) if a == b => count,
                (_, 1) => "1 class".to_owned(),
                (_, 0) => "no classes".to_owned(),
                (_, b) => format!("{b} classes"),
            };
            return other(
                now_has,
                then,
                "A run goes on with the classes that it has learned: put them back, or start a new run",
            );
        }
        if self.sha256 == now.sha256 {
            return Ok(None);
        }
        let counts = if self.examples == now.examples {
            format!("{} examples then and now, but not the same ones", now.examples)
        } else {
            format!("{} examples then, {} now", self.examples, now.examples)
        };
        let moved = if self.dataset == now.dataset {
            String::new()
        } else {
            format!(" (from {} to {})", self.dataset, now.dataset)
        };
        Ok(Some(format!("the data has changed{moved}: {counts}; the run goes on, but not as if it had never stopped")))
    }
}

/// The checksum of the data among the facts of the model in `dir`.
fn checksum_in_model(dir: &Path) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(&read_text(&dir.join("unet/config.json")).ok()?).ok()?;
    Some(config.get("_sfumato")?.get("provenance")?.get("dataset_sha256")?.as_str()?.to_owned())
}

/// The first names of a list that may be long.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, …") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(examples: usize, classes: &[&str], sha256: &str) -> DataRecord {
        DataRecord {
            dataset: "folder:f".into(),
            sha256: sha256.into(),
            examples,
            shape: vec![1, 8, 8],
            classes: classes.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn changed_content_is_a_sentence_and_changed_classes_are_an_error() {
        let before = record(64, &["ant", "bee"], "a");
        assert_eq!(before.compare(&before, true).unwrap(), None);
        let grown = before.compare(&record(65, &["ant", "bee"], "b"), true).unwrap().unwrap();
        assert!(
            grown.contains("64 examples then, 65 now") && grown.contains("not as if it had never stopped"),
            "{grown}"
        );
        let other = before.compare(&record(64, &["ant", "bee"], "b"), false).unwrap().unwrap();
        assert!(other.contains("64 examples then and now, but not the same ones"), "{other}");
        // A model without classes does not mind them.
        assert!(before.compare(&record(65, &["ant", "bee", "cat"], "b"), false).unwrap().is_some());
        for (classes, expected) in [
            (&["ant", "bee", "cat"][..], "3 classes, the run was started with 2 classes (ant, bee)"),
            (&["ant"], "1 class, the run was started with 2"),
            (&[], "no classes, the run was started with 2"),
            (&["ant", "wasp"], "2 classes (ant, wasp), the run was started with 2 classes (ant, bee)"),
        ] {
            let error = before.compare(&record(64, classes, "b"), true).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let larger = DataRecord { shape: vec![1, 16, 16], ..before.clone() };
        let error = before.compare(&larger, false).unwrap_err().to_string();
        assert!(error.contains("[1, 16, 16]") && error.contains("[1, 8, 8]"), "{error}");
    }
}
