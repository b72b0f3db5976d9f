//! What the pictures of a call say of themselves.

use std::path::Path;

use sfumato_model::{
    picture::{Picture, Texts},
    sampling::Classes,
};

use super::set::{Series, Set};
use crate::{
    args::OneOrMany,
    provenance::{ClassSetting, Kind, Provenance, Settings, Source},
};

/// Where the samples of a call come from.
pub(super) struct Origin<'a> {
    pub(super) settings: &'a Settings,
    pub(super) set: &'a Set,
    pub(super) classes: Classes,
    pub(super) source: Source,
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
        Provenance::of_sample(settings, index, &self.source).texts(self.size)
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
            ..Provenance::of(kind, self.settings.clone(), &self.source)
        };
        made.texts(self.size)
    }
}

/// A path as it was given; separators stay those of the system.
pub(super) fn given(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
