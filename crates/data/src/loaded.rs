//! A data set in memory.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use super::content::content_sha256;
use super::kept::Kept;
use super::{DataError, Dataset, Resizing, Split};

/// `k/127.5 - 1` for every byte, computed in `f64` and rounded once.
static BYTE_TO_UNIT: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|k| (k as f64 / 127.5 - 1.0) as f32));

/// The examples of a [`LoadedDataset`], one after the other, each in the order of [`LoadedDataset::shape`].
#[derive(Debug, Clone)]
pub enum Values {
    /// Bytes `k`, which stand for `k/127.5 - 1`: pictures of 256 levels.
    U8(Arc<Vec<u8>>),
    /// Values used as they are: pictures in [-1, 1], or points.
    F32(Arc<Vec<f32>>),
}

impl Values {
    /// Number of values of all examples together.
    pub fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::F32(values) => values.len(),
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A data set in memory: what `load` returns. Cloning is cheap, the values are shared.
#[derive(Debug, Clone)]
pub struct LoadedDataset {
    pub(super) name: String,
    pub(super) split: Split,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
    /// Number of examples, those included that are not in memory.
    count: usize,
    /// Which examples are in memory, if not all.
    part: Option<Arc<Kept>>,
    pub(super) labels: Option<Arc<[u32]>>,
    pub(super) class_names: Vec<String>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) resizing: Option<Resizing>,
    pub(super) sha256: String,
    /// Whether either split is all of the data.
    pub(super) unsplit: bool,
}

impl LoadedDataset {
    /// Puts a data set together and computes its checksum.
    pub(super) fn new(
        name: String,
        split: Split,
        shape: Vec<usize>,
        values: Values,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
    ) -> LoadedDataset {
        debug_assert_eq!(values.len() % shape.iter().product::<usize>(), 0);
        let sha256 = content_sha256(&shape, &values, labels.as_deref());
        LoadedDataset::with_checksum(name, split, shape, values, labels, class_names, sha256)
    }

    /// A data set of `count` examples, of which those of `part` are in memory, in the order of their numbers. `sha256` is that of
    /// the whole, or empty.
    #[expect(clippy::too_many_arguments, reason = "what `new` takes, and which part it is")]
    pub(super) fn partial(
        name: String,
        split: Split,
        shape: Vec<usize>,
        values: Values,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
        (count, part): (usize, Kept),
        sha256: String,
    ) -> LoadedDataset {
        debug_assert_eq!(values.len(), part.ids.len() * shape.iter().product::<usize>());
        let kept = LoadedDataset::with_checksum(name, split, shape, values, labels, class_names, sha256);
        LoadedDataset { count, part: Some(Arc::new(part)), ..kept }
    }

    fn with_checksum(
        name: String,
        split: Split,
        shape: Vec<usize>,
        values: Values,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
        sha256: String,
    ) -> LoadedDataset {
        LoadedDataset {
            count: values.len() / shape.iter().product::<usize>(),
            name,
            split,
            shape,
            values,
            part: None,
            labels: labels.map(Into::into),
            class_names,
            skipped: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            resizing: None,
            sha256,
            unsplit: false,
        }
    }

    /// The part that was loaded.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Whether the data has no parts for training and for testing, so that either split is all of it.
    pub fn is_unsplit(&self) -> bool {
        self.unsplit
    }

    /// All values in memory.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// One class index per example, from 0, if the data set has classes.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Files that were left out because they cannot be read.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What the user should know about how the data was read: choices made, files ignored. One sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What has probably gone wrong while the data was read. One sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How the pictures were brought to their size, if they had another.
    pub fn resizing(&self) -> Option<&Resizing> {
        self.resizing.as_ref()
    }

    /// The same examples with their classes numbered as in `names`: what a model calls them decides, not their rank here.
    ///
    /// The checksum stays that of the data as it was loaded.
    ///
    /// # Errors
    /// [`DataError::UnknownClasses`] if there are classes that `names` lacks.
    pub fn with_class_names(mut self, names: &[String]) -> Result<LoadedDataset, DataError> {
        let index: Vec<Option<u32>> = self
            .class_names
            .iter()
            .map(|name| names.iter().zip(0..).find(|(known, _)| *known == name))
            .map(|found| found.map(|(_, i)| i))
            .collect();
        let unknown: Vec<&str> = self
            .class_names
            .iter()
            .zip(&index)
            .filter(|(_, index)| index.is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        if !unknown.is_empty() {
            return Err(DataError::UnknownClasses {
                dataset: self.name,
                unknown: unknown.join(", "),
                found: self.class_names.join(", "),
                known: names.join(", "),
            });
        }
        self.labels = self.labels.map(|labels| labels.iter().filter_map(|&label| index[label as usize]).collect());
        self.class_names = names.to_vec();
        Ok(self)
    }

    /// The same data set with the examples `ids` alone in memory, to be scored in this order: its [part](Dataset::part).
    ///
    /// # Panics
    /// If there is none of them, or one is not in memory.
    pub fn with_part(self, ids: Vec<usize>) -> LoadedDataset {
        assert!(!ids.is_empty(), "a part has at least one example");
        let part = Kept::new(ids);
        let n = self.example_len();
        let ranges = part.sorted().iter().map(|&i| {
            assert!(i < self.count, "example {i} of a data set of {}", self.count);
            let place = self.part.as_ref().map_or(i, |part| part.place(i));
            place * n..(place + 1) * n
        });
        let values = match &self.values {
            Values::U8(values) => {
                Values::U8(Arc::new(ranges.flat_map(|range| values[range].iter().copied()).collect()))
            }
            Values::F32(values) => {
                Values::F32(Arc::new(ranges.flat_map(|range| values[range].iter().copied()).collect()))
            }
        };
        LoadedDataset { values, part: Some(Arc::new(part)), ..self }
    }

    pub(super) fn resized(mut self, resizing: Option<Resizing>) -> LoadedDataset {
        self.resizing = resizing;
        self
    }

    pub(super) fn note(mut self, note: Option<String>) -> LoadedDataset {
        self.notes.extend(note);
        self
    }
}

impl Dataset for LoadedDataset {
    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        let n = self.example_len();
        assert!(i < self.len(), "example {i} of a data set of {}", self.len());
        assert_eq!(out.len(), n, "an example has {n} values");
        let place = self.part.as_ref().map_or(i, |part| part.place(i));
        let range = place * n..(place + 1) * n;
        match &self.values {
            Values::U8(values) => {
                let table = &*BYTE_TO_UNIT;
                for (out, byte) in out.iter_mut().zip(&values[range]) {
                    *out = table[*byte as usize];
                }
            }
            Values::F32(values) => out.copy_from_slice(&values[range]),
        }
    }

    fn label(&self, i: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[i] as usize)
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn classes(&self) -> Option<usize> {
        self.labels.as_ref().map(|_| self.class_names.len())
    }

    fn is_discrete(&self) -> bool {
        matches!(self.values, Values::U8(_))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn sha256(&self) -> &str {
        &self.sha256
    }

    fn part(&self) -> Option<&[usize]> {
        self.part.as_ref().map(|part| &part.ids[..])
    }

    fn mean_square(&self) -> f64 {
        let total = match &self.values {
            Values::U8(values) => {
                let mut counts = [0_u64; 256];
                values.iter().for_each(|level| counts[usize::from(*level)] += 1);
                counts.iter().zip(BYTE_TO_UNIT.iter()).map(|(n, x)| *n as f64 * f64::from(*x).powi(2)).sum::<f64>()
            }
            Values::F32(values) => values.iter().map(|x| f64::from(*x).powi(2)).sum(),
        };
        total / self.values.len() as f64
    }
}

#[cfg(test)]
#[path = "loaded_tests.rs"]
mod tests;
