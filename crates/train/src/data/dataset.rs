//! A data set in memory.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use super::{DataError, Resizing, Split};

/// `k/127.5 - 1` for every byte, computed in `f64` and rounded once.
static BYTE_TO_UNIT: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|k| (k as f64 / 127.5 - 1.0) as f32));

/// The examples of a [`Dataset`], one after the other, each in the order of [`Dataset::shape`].
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

/// A data set in memory: what [`load`](super::load) returns. Cloning is cheap, the values are shared.
#[derive(Debug, Clone)]
pub struct Dataset {
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
}

impl Dataset {
    /// Puts a data set together and computes its checksum.
    pub(super) fn new(
        name: String,
        split: Split,
        shape: Vec<usize>,
        values: Values,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
    ) -> Dataset {
        debug_assert_eq!(values.len() % shape.iter().product::<usize>(), 0);
        let sha256 = content_sha256(&shape, &values, labels.as_deref());
        Dataset::with_checksum(name, split, shape, values, labels, class_names, sha256)
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
    ) -> Dataset {
        debug_assert_eq!(values.len(), part.ids.len() * shape.iter().product::<usize>());
        let kept = Dataset::with_checksum(name, split, shape, values, labels, class_names, sha256);
        Dataset { count, part: Some(Arc::new(part)), ..kept }
    }

    fn with_checksum(
        name: String,
        split: Split,
        shape: Vec<usize>,
        values: Values,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
        sha256: String,
    ) -> Dataset {
        Dataset {
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
        }
    }

    /// The [`DatasetSpec`](super::DatasetSpec) it was loaded from, as a string.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part that was loaded.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Shape of one example: `[channels, height, width]` of a picture, `[D]` of a point.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values of one example, the product of [`shape`](Self::shape).
    pub fn example_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of examples, at least 1; also of a data set of which a part is in memory.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The examples that are in memory, in the order of [`Part`](super::Part), if not all are.
    pub fn part(&self) -> Option<&[usize]> {
        self.part.as_ref().map(|part| &part.ids[..])
    }

    /// Whether there are no examples; never true of a loaded data set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Mean of `x²` over all examples in memory and dimensions, in squared data units: what the bound's prior term depends on.
    pub fn mean_square(&self) -> f64 {
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

    /// Whether the examples are 256-level pictures, so that bits/dim of the discrete data is defined.
    pub fn is_discrete(&self) -> bool {
        matches!(self.values, Values::U8(_))
    }

    /// All values in memory.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// One class index per example, from 0, if the data set has classes.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Class index of example `i`, if the data set has classes.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len) and there are labels.
    pub fn label(&self, i: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[i] as usize)
    }

    /// Number of classes, if the data set has them.
    pub fn classes(&self) -> Option<usize> {
        self.labels.as_ref().map(|_| self.class_names.len())
    }

    /// Names of the classes by index; empty without classes.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
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
    pub fn with_class_names(mut self, names: &[String]) -> Result<Dataset, DataError> {
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

    /// SHA-256 of the content as it is used, in hexadecimal, for the provenance of a model: of the line
    /// `sfumato data set, TYPE, [SHAPE], labels: yes|no` and a newline, then the values (`f32` in little-endian order),
    /// then the labels as little-endian `u32`. Empty where only a part was loaded, and no checksum was asked for.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Writes example `i` to `out` as the network sees it, mirrored left to right if `flip` says so.
    ///
    /// A byte `k` gives `k/127.5 - 1`, correctly rounded: 0 is exactly -1 and 255 exactly 1. Points are never mirrored.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len) or not in memory, or `out` is not [`example_len`](Self::example_len) long.
    pub fn write_example(&self, i: usize, flip: bool, out: &mut [f32]) {
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
        if let (true, [_, _, width]) = (flip, &self.shape[..]) {
            out.chunks_exact_mut(*width).for_each(<[f32]>::reverse);
        }
    }

    pub(super) fn resized(mut self, resizing: Option<Resizing>) -> Dataset {
        self.resizing = resizing;
        self
    }

    pub(super) fn note(mut self, note: Option<String>) -> Dataset {
        self.notes.extend(note);
        self
    }
}

/// The examples of a data set that are in memory.
#[derive(Debug)]
pub(super) struct Kept {
    /// In the order in which they were asked for.
    ids: Vec<usize>,
    /// In the order in which they lie in memory.
    sorted: Vec<usize>,
}

impl Kept {
    pub(super) fn new(ids: Vec<usize>) -> Kept {
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        Kept { ids, sorted }
    }

    /// Their numbers, the lowest first.
    pub(super) fn sorted(&self) -> &[usize] {
        &self.sorted
    }

    /// Where example `i` lies.
    fn place(&self, i: usize) -> usize {
        self.sorted.binary_search(&i).unwrap_or_else(|_| panic!("example {i} is not in the part that was loaded"))
    }
}

/// A value of a data set.
pub(super) trait Value: Copy {
    /// Its type in the checksum.
    const KIND: &str;

    /// Takes values into a checksum.
    fn hash(values: &[Self], hash: &mut Sha256);
}

impl Value for u8 {
    const KIND: &str = "uint8";

    fn hash(values: &[u8], hash: &mut Sha256) {
        hash.update(values);
    }
}

impl Value for f32 {
    const KIND: &str = "float32";

    fn hash(values: &[f32], hash: &mut Sha256) {
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
}

/// The checksum of a data set, whose values come piece by piece.
pub(super) struct Checksum(Sha256);

impl Checksum {
    pub(super) fn new<T: Value>(count: usize, shape: &[usize], has_labels: bool) -> Checksum {
        let full_shape = [&[count], shape].concat();
        let has_labels = if has_labels { "yes" } else { "no" };
        let header = format!("sfumato data set, {}, {full_shape:?}, labels: {has_labels}\n", T::KIND);
        Checksum(Sha256::new().chain_update(header))
    }

    pub(super) fn update<T: Value>(&mut self, values: &[T]) {
        T::hash(values, &mut self.0);
    }

    pub(super) fn finish(mut self, labels: Option<&[u32]>) -> String {
        labels.unwrap_or_default().iter().for_each(|label| self.0.update(label.to_le_bytes()));
        hex(&self.0.finalize())
    }
}

fn content_sha256(shape: &[usize], values: &Values, labels: Option<&[u32]>) -> String {
    fn of<T: Value>(shape: &[usize], values: &[T], labels: Option<&[u32]>) -> String {
        let count = values.len() / shape.iter().product::<usize>();
        let mut sum = Checksum::new::<T>(count, shape, labels.is_some());
        sum.update(values);
        sum.finish(labels)
    }
    match values {
        Values::U8(values) => of(shape, values, labels),
        Values::F32(values) => of(shape, values, labels),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(shape: &[usize], values: Vec<u8>) -> Dataset {
        Dataset::new("test".into(), Split::Train, shape.to_vec(), Values::U8(values.into()), None, Vec::new())
    }

    #[test]
    fn every_byte_becomes_the_nearest_number_to_k_over_127_5_minus_1() {
        let data = bytes(&[1, 16, 16], (0..=255).collect());
        let mut out = [0.0f32; 256];
        data.write_example(0, false, &mut out);
        for (k, x) in out.iter().enumerate() {
            // The real number is (2k - 255)/255, which needs a single division.
            assert_eq!(*x, ((2.0 * k as f64 - 255.0) / 255.0) as f32, "byte {k}");
            assert_eq!(((x + 1.0) * 127.5).round() as usize, k);
        }
        assert_eq!((out[0], out[255]), (-1.0, 1.0));
    }

    #[test]
    fn the_mean_square_is_that_of_the_values() {
        assert!((bytes(&[1, 1, 2], vec![0, 255, 0, 51]).mean_square() - (3.0 + 0.36) / 4.0).abs() < 1e-7);
        // Uniform levels: 1/3 and a little, since the outermost lie on the ends.
        let uniform = bytes(&[1, 16, 16], (0..=255).collect()).mean_square();
        assert!((uniform - (1.0 / 3.0) * 257.0 / 255.0).abs() < 1e-6, "{uniform}");
        let points = Values::F32(vec![1.0, -2.0].into());
        assert_eq!(Dataset::new("p".into(), Split::Train, vec![2], points, None, Vec::new()).mean_square(), 2.5);
    }

    #[test]
    fn flipping_mirrors_every_row_of_every_channel_and_leaves_points_alone() {
        let data = bytes(&[2, 2, 3], (0..12).map(|k| k * 20).collect());
        let (mut plain, mut flipped) = ([0.0; 12], [0.0; 12]);
        data.write_example(0, false, &mut plain);
        data.write_example(0, true, &mut flipped);
        for row in 0..4 {
            for x in 0..3 {
                assert_eq!(flipped[row * 3 + x], plain[row * 3 + 2 - x]);
            }
        }
        let points = Values::F32(vec![1.0, 2.0, 3.0, 4.0].into());
        let points = Dataset::new("p".into(), Split::Train, vec![2], points, None, Vec::new());
        let mut out = [0.0; 2];
        points.write_example(1, true, &mut out);
        assert_eq!(out, [3.0, 4.0]);
        assert_eq!((points.len(), points.is_discrete()), (2, false));
    }

    #[test]
    fn classes_are_renumbered_by_name_and_unknown_ones_refused() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let data = |classes: &[&str]| {
            let values = Values::U8(vec![1, 2, 3].into());
            Dataset::new("x".into(), Split::Test, vec![1, 1, 1], values, Some(vec![0, 1, 0]), names(classes))
        };
        let model = names(&["ant", "bee", "cat"]);
        let renumbered = data(&["bee", "cat"]).with_class_names(&model).unwrap();
        assert_eq!(renumbered.labels(), Some(&[1, 2, 1][..]));
        assert_eq!((renumbered.classes(), renumbered.sha256()), (Some(3), data(&["bee", "cat"]).sha256()));
        let message = data(&["bee", "dog"]).with_class_names(&model).unwrap_err().to_string();
        assert!(message.contains("dog") && message.contains("ant, bee, cat"), "{message}");
        assert!(data(&["bee", "ant"]).with_class_names(&[]).is_err());
    }

    #[test]
    fn the_checksum_tells_values_shape_type_and_labels_apart() {
        let values = || Values::U8(vec![1, 2, 3, 4].into());
        let make = |shape: &[usize], values, labels| {
            Dataset::new("x".into(), Split::Train, shape.to_vec(), values, labels, vec!["a".into()]).sha256
        };
        let sums = [
            make(&[1, 2, 2], values(), None),
            make(&[1, 1, 2], values(), None),
            make(&[1, 2, 2], values(), Some(vec![0])),
            make(&[1, 2, 2], Values::U8(vec![1, 2, 3, 5].into()), None),
            make(&[1, 2, 2], Values::F32(vec![1.0, 2.0, 3.0, 4.0].into()), None),
        ];
        for (i, a) in sums.iter().enumerate() {
            assert_eq!(a.len(), 64);
            assert!(sums[..i].iter().all(|b| b != a));
        }
        // Made with: printf 'sfumato data set, uint8, [1, 1, 2, 2], labels: no\n\x01\x02\x03\x04' | sha256sum
        assert_eq!(sums[0], "91aef0e4c38f7d08f109bcd2f8b8cb985cd818926ac1ccfac417324d91d6d3f5");
    }
}
