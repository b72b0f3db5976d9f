//! The block of an image of many pixels. Some keys at a time, so that they stay in the L2 cache for a few strips, and so do their scores:
//! [`mod@super::forward`] would read all keys again for every strip from further away.

use super::super::AttentionBlock;
use super::super::forward::Common;
use super::forward::{Share, Statistics};
use super::online::{Online, State, Whole, online, whole};
use super::panels::NOTHING;
use super::strips::strip;
use crate::gemm::{PANEL, multiply_placed};

/// Pixels from which images are so computed: where it begins to pay with 64 channels. The bits depend on it.
const MANY: usize = 4096;
/// Keys whose scores are computed at a time: the bits depend on it. Whole panels.
pub(super) const KEYS: usize = 256;
/// Bytes of keys, in both orders, that are used for all strips of a group before the next ones are read.
const BYTES: usize = 192 * 1024;
/// Strips of a group.
pub(super) const GROUP: usize = 8;

/// Whether an image is one of many pixels. Their exponentials are not kept.
pub(super) fn is_many(s: &AttentionBlock) -> bool {
    s.pixels >= MANY && !s.keeps_probabilities()
}

/// Keys for all strips of a group.
fn keys(s: &AttentionBlock) -> usize {
    (BYTES / (2 * size_of::<f32>() * s.wide_channels()) / KEYS).max(1) * KEYS
}

impl Share<'_> {
    /// All strips.
    ///
    /// # Safety
    /// The image must be normalised, and nobody else may touch what is saved of these queries.
    pub(super) unsafe fn many(&self) {
        let s = self.common.s;
        let step = keys(s);
        for group in (self.strips.0..self.strips.1).step_by(GROUP) {
            let strips = group..(group + GROUP).min(self.strips.1);
            // SAFETY: the caller's contract; queries come before their scores, and the output after the last of them.
            unsafe {
                strips.clone().for_each(|i| self.to_queries(i, i - group, NOTHING));
                for first in (0..s.pixels).step_by(step) {
                    let end = (first + step).min(s.pixels);
                    strips.clone().for_each(|i| self.attend(i, i - group, [first, end]));
                }
                strips.for_each(|i| self.finish(i, i - group));
            }
        }
    }

    /// What strip `i` attends to among some pixels, added to what it attends to among those before.
    ///
    /// # Safety
    /// As for [`Self::many`]; its queries must be there.
    unsafe fn attend(&self, i: usize, place: usize, [first, end]: [usize; 2]) {
        let Common { isa, s, .. } = *self.common;
        let (p, rows) = (self.scratch.p, self.scratch.rows);
        let (r0, r1) = strip(s, i);
        let m = r1 - r0;
        let (queries, attended) = self.queries_and_attended(r0, place);
        for first in (first..end).step_by(KEYS) {
            let keys = (end - first).min(KEYS);
            let scores = Online {
                p: p.at(0),
                stride: p.stride(),
                rows: m,
                keys,
                factor: s.factor(),
                state: self.state(r0, place),
                is_first: first == 0,
            };
            // SAFETY: the caller's contract. There are `m` rows of queries, of sums and of what is attended to, as the panels check in debug
            // builds, and of `KEYS` scores.
            unsafe {
                self.keys().products_with(isa, s, queries, m, [first, first + keys], p, NOTHING);
                online(isa, &scores);
                for panel in 0..s.wide_channels() / PANEL {
                    let values = rows.read().skip((panel * s.pixels + first) * PANEL);
                    let left = p.read().left(m, keys);
                    let mut product = attended.panels_from(panel).product(isa, [m, PANEL, keys], left, values, NOTHING);
                    if first > 0 {
                        product.product = product.product.accumulated();
                    }
                    multiply_placed(isa, &product);
                }
            }
        }
    }

    /// The output of strip `i`.
    ///
    /// # Safety
    /// As for [`Self::many`]; all that it attends to must be there.
    unsafe fn finish(&self, i: usize, place: usize) {
        let (r0, r1) = strip(self.common.s, i);
        let Statistics { scales, .. } = self.statistics(r0, place);
        let all = Whole { state: self.state(r0, place), rows: r1 - r0, scales: scales.at(0) };
        // SAFETY: the caller's contract; as above.
        unsafe {
            whole(self.common.isa, &all);
            self.to_output(i, place, NOTHING);
        }
    }

    /// Where what is known of a strip is.
    fn state(&self, r0: usize, place: usize) -> State {
        let (_, attended) = self.queries_and_attended(r0, place);
        let Statistics { tops, sums, .. } = self.statistics(r0, place);
        let channels = self.common.s.wide_channels();
        State { tops: tops.at(0), sums: sums.at(0), attended: attended.at(), panel: attended.panel(), channels }
    }
}
