//! What the pictures of a call say of themselves.

use std::{collections::BTreeMap, path::Path};

use sfumato_model::{
    picture::{Picture, Texts},
    sampling::Classes,
};

use super::set::{Series, Set};
use crate::{
    args::OneOrMany,
    provenance::{ClassSetting, Kind, Program, Provenance, Settings},
};

/// Where the samples of a call come from.
pub(super) struct Origin<'a> {
    pub(super) settings: &'a Settings,
    pub(super) set: &'a Set,
    pub(super) classes: Classes,
    pub(super) class_names: &'a [String],
    /// The model's directory, as it was given.
    pub(super) model: String,
    /// Other files, as they were given.
    pub(super) files: BTreeMap<String, String>,
    pub(super) program: Program,
    /// Height and width of images.
    pub(super) size: Option<[usize; 2]>,
}

impl Origin<'_> {
    /// The file of sample `i` of all.
    pub(super) fn file_name(&self, i: usize) -> String {
        self.set.file_name(i)
    }

    /// Columns of a grid of the first `there` samples; 0 for a square-ish one.
    pub(super) fn columns(&self, there: usize) -> usize {
        self.set.columns(self.classes, there)
    }

    /// The texts of sample `i` of all: as if it had been drawn alone.
    pub(super) fn of_one(&self, i: usize) -> Texts {
        let (Series { seed, weight }, index) = self.set.place(i);
        let class = match self.classes {
            Classes::None => None,
            Classes::Cycle(classes) => Some(index % classes.max(1)),
            Classes::Only(class) | Classes::Path { from: class, .. } => Some(class),
        };
        let settings = Settings {
            class: class.map(ClassSetting::One),
            guidance: self.settings.guidance.as_ref().map(|_| OneOrMany::One(weight)),
            seed: self.settings.seed.as_ref().map(|_| OneOrMany::One(seed)),
            ..self.settings.clone()
        };
        let class_name = class.and_then(|class| self.class_names.get(class)).cloned();
        let made = Provenance { index: Some(index), class_name, ..self.made(Kind::Sample, settings) };
        made.texts(self.size)
    }

    /// The texts of a picture of the first `there` samples.
    pub(super) fn of_all(&self, picture: Picture, there: usize) -> Texts {
        let kind = if picture == Picture::Scatter { Kind::Scatter } else { Kind::Grid };
        let (indices, whole) = (self.set.indices, there == self.set.len());
        let several = self.set.is_several();
        let made = Provenance {
            first: Some(indices.first),
            // The first of one series are those of a shorter call.
            num: Some(if several { indices.num } else { there }),
            stopped_after: (several && !whole).then_some(there),
            ..self.made(kind, self.settings.clone())
        };
        made.texts(self.size)
    }

    fn made(&self, picture: Kind, settings: Settings) -> Provenance {
        Provenance {
            picture,
            settings,
            index: None,
            first: None,
            num: None,
            stopped_after: None,
            class_name: None,
            model: self.model.clone(),
            files: self.files.clone(),
            program: self.program.clone(),
        }
    }
}

/// A path as it was given; separators stay those of the system.
pub(super) fn given(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
