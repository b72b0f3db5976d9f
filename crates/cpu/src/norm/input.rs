//! What is normalised, and where its groups lie.

use super::GroupNorm;
use crate::images::images;
use crate::scratch::Shared;
use crate::sizes::check_len;
use std::ops::Range;

/// The input of a group normalisation. Nothing but `x` need be there.
#[derive(Clone, Copy, Debug)]
pub struct NormInput<'a> {
    /// `[n, c, hw]`, or the first channels where `skip` holds the others.
    pub x: &'a [f32],
    /// Empty, or the last channels, `[n, c_skip, hw]`.
    pub skip: &'a [f32],
    /// Empty, or what is added to every pixel first, `[n, c]`.
    pub bias: &'a [f32],
}

impl<'a> From<&'a [f32]> for NormInput<'a> {
    fn from(x: &'a [f32]) -> Self {
        Self { x, skip: &[], bias: &[] }
    }
}

impl<'a> NormInput<'a> {
    /// Those of a range of `n` images.
    pub(crate) fn images(&self, n: usize, range: &Range<usize>) -> NormInput<'a> {
        let [x, skip, bias] = [self.x, self.skip, self.bias].map(|values| images(values, n, range));
        NormInput { x, skip, bias }
    }
}

impl NormInput<'_> {
    /// Where the groups lie; panics if a length does not fit.
    pub(super) fn layout(&self, s: &GroupNorm) -> Layout {
        // The product of all sizes was checked with the groups.
        let pixels = s.n * s.hw;
        let skip = self.skip.len().checked_div(pixels).unwrap_or(0);
        assert!(
            skip <= s.c && self.skip.len() == skip * pixels && self.x.len() == (s.c - skip) * pixels,
            "group_norm: {} and {} values are not {} channels of {pixels} pixels",
            self.x.len(),
            self.skip.len(),
            s.c
        );
        if !self.bias.is_empty() {
            check_len("group_norm", "the bias", self.bias.len(), s.n * s.c);
        }
        Layout { hw: s.hw, c: s.c, first: s.c - skip, groups: s.groups }
    }
}

/// The channels of one group of one image: some of the first tensor, then some of the second, each consecutive.
#[derive(Clone, Copy)]
pub(super) struct Group {
    /// Floats before them in their tensors.
    at: [usize; 2],
    /// Their numbers.
    pub(super) channels: [usize; 2],
}

#[derive(Clone, Copy)]
pub(super) struct Layout {
    hw: usize,
    c: usize,
    /// Channels of the first tensor.
    first: usize,
    groups: usize,
}

impl Layout {
    /// Group `i` of all images'.
    pub(super) fn group(&self, i: usize) -> Group {
        let (image, group) = (i / self.groups, i % self.groups);
        let channels = self.c / self.groups;
        let (from, to) = (group * channels, (group + 1) * channels);
        let (first, second) = (self.first, self.c - self.first);
        let begin = [from.min(first), from.max(first) - first];
        let end = [to.min(first), to.max(first) - first];
        Group {
            at: [(image * first + begin[0]) * self.hw, (image * second + begin[1]) * self.hw],
            channels: [end[0] - begin[0], end[1] - begin[1]],
        }
    }
}

impl Group {
    /// Its channels in a pair of tensors; those that are not there are null.
    pub(super) fn of(&self, tensors: [Option<Shared>; 2]) -> [*mut f32; 2] {
        std::array::from_fn(|i| tensors[i].map_or(std::ptr::null_mut(), |tensor| tensor.at(self.at[i])))
    }
}
