//! The checksum of a data set's content.

use sfumato_files::hex;
use sha2::{Digest, Sha256};

use super::Values;

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

pub(super) fn content_sha256(shape: &[usize], values: &Values, labels: Option<&[u32]>) -> String {
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
