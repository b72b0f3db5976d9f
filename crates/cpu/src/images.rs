//! Ranges of the images of a batch.

use super::scratch::Shared;
use std::ops::Range;

/// The values of a range of `n` images; there may be none at all.
pub(super) fn images<'a>(values: &'a [f32], n: usize, range: &Range<usize>) -> &'a [f32] {
    let each = values.len() / n;
    &values[range.start * each..range.end * each]
}

/// The values of images that tasks write, each some images of its own.
#[derive(Clone, Copy)]
pub(super) struct ImagesMut {
    at: Shared,
    each: usize,
}

impl ImagesMut {
    /// Those of `n` images.
    pub(super) fn new(values: &mut [f32], n: usize) -> Self {
        Self { each: values.len() / n, at: Shared::new(values) }
    }

    /// Those of a range of images.
    ///
    /// # Safety
    /// The slice must be alive, and nobody else may use these images of it meanwhile.
    pub(super) unsafe fn get<'a>(&self, range: &Range<usize>) -> &'a mut [f32] {
        // SAFETY: the caller's contract; there are as many images.
        unsafe { std::slice::from_raw_parts_mut(self.at.at(range.start * self.each), range.len() * self.each) }
    }
}
