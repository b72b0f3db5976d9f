//! What a picture says of itself: everything that it takes to make it again.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Asked`] | what a call asks for, and its settings |
//! | [`Settings`] | everything that decides a sample, for `sample.json`, PNG files and `sample --like` |
//! | [`Source`] | the model, files and program that all pictures of a call come from |
//! | [`Provenance`] | the same with which samples a file shows, of which model, drawn by which program: the JSON in its text chunk |
//! | [`read`] | the provenance in a file, or why there is none |
//! | [`safe()`] | texts of strangers for a terminal |

mod asked;
mod file;
mod safe;
mod settings;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sfumato_model::picture::Texts;

pub(crate) use asked::Asked;
pub(crate) use file::{Found, read, record};
pub(crate) use safe::{safe, safe_json};
pub(crate) use settings::{ClassSetting, ModelSums, PictureSettings, Settings};

use crate::{backend_name::BackendName, environment};

/// What a picture says that is none of `sample`'s: what it shows, and what it was made from.
pub(crate) fn texts_of(picture: &str, record: &Value) -> Texts {
    let mut all = Map::from_iter([("picture".to_owned(), picture.into())]);
    all.extend(record.as_object().cloned().unwrap_or_default());
    all.extend(environment::program());
    Texts::record(&all)
}

/// What a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// One sample.
    Sample,
    /// Samples side by side.
    Grid,
    /// Points in the plane.
    Scatter,
}

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    pub(crate) picture: Kind,
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// Index of the only sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// Index of the first of several samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<usize>,
    /// How many there are, of each seed and weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) num: Option<usize>,
    /// How many there are in all, if the call was stopped before the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_after: Option<usize>,
    /// What the model calls the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class_name: Option<String>,
    /// The model's directory, as it was given.
    pub(crate) model: String,
    /// Other files that the samples were made from, as they were given; their checksums are among the settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) program: Program,
}

/// What all pictures of a call come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The model's directory, as it was given.
    pub(crate) model: String,
    /// What the model calls its classes.
    pub(crate) class_names: Vec<String>,
    /// Other files, as they were given.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) program: Program,
}

/// What has drawn a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) version: String,
    pub(crate) revision: String,
    pub(crate) backend: String,
}

impl Program {
    /// This program, on a backend.
    pub(crate) fn this(backend: BackendName) -> Self {
        let (version, revision) = (env!("CARGO_PKG_VERSION").to_owned(), env!("SFUMATO_REVISION").to_owned());
        Self { version, revision, backend: backend.name() }
    }
}

impl Provenance {
    /// One sample, as if it had been drawn alone: sample `index` of its seed.
    pub(crate) fn of_sample(settings: Settings, index: usize, source: &Source) -> Self {
        let class_name = match settings.class {
            Some(ClassSetting::One(class)) => source.class_names.get(class).cloned(),
            _ => None,
        };
        Self { index: Some(index), class_name, ..Self::of(Kind::Sample, settings, source) }
    }

    /// A picture of this kind; which samples it shows is left open.
    pub(crate) fn of(picture: Kind, settings: Settings, source: &Source) -> Self {
        Self {
            picture,
            settings,
            index: None,
            first: None,
            num: None,
            stopped_after: None,
            class_name: None,
            model: source.model.clone(),
            files: source.files.clone(),
            program: source.program.clone(),
        }
    }

    /// The record as it stands in files.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => unreachable!("a struct of texts and numbers is an object"),
        }
    }

    /// The texts for a PNG file of `width` × `height` samples: the record, and a line in the words of other programs.
    pub(crate) fn texts(&self, size: Option<[usize; 2]>) -> Texts {
        Texts::record(&self.to_json()).with(words::KEYWORD, words::parameters(self, size))
    }
}
