//! The block of an image with merged maps. Queries are rows: a strip of scores stays in the L1 cache from one product to the
//! next, results are the operands of the products that read them, and no product has a last panel that is nearly empty but that
//! of the scores.

use super::super::forward::{Common, Image};
use super::super::pack;
use super::keys::Keys;
use super::many::{GROUP, KEYS, is_many};
use super::panels::{NOTHING, Next, Panels, ahead, run};
use super::softmax::{Rows, softmax};
use super::strips::{STRIP, strip, strips};
use crate::gemm::{PANEL, Placed, Product, Turn, TurnAdd, multiply_placed, turn_add};
use crate::panel::{PanelMut, cut_panels, floats};
use crate::scratch::with;
use crate::simd::L;
use std::ptr::null_mut;

/// Scratch of some queries of an image.
#[derive(Clone, Copy)]
pub(super) struct Scratch {
    normed: PanelMut,
    /// The normalised image: channels in panels of pixels, `[pixels / 32][c][32]`, and pixels in panels of channels,
    /// `[c / 32][pixels][32]`.
    columns: PanelMut,
    pub(super) rows: PanelMut,
    /// The output of these queries, `[queries][c rounded up to 32]`.
    out: PanelMut,
    /// Queries and attended image of the strips of a group where they are not saved, `[strips][c / 32][strip][32]`.
    queries: PanelMut,
    attended: PanelMut,
    /// Scores of a strip, `[strip][pixels rounded up]`, of many pixels only some of them.
    pub(super) p: PanelMut,
    /// Largest scores of the strips of a group, and reciprocal sums of their exponentials, where they are not saved.
    tops: PanelMut,
    scales: PanelMut,
    /// Sums of exponentials of the strips of a group, `[strips][strip][16]`.
    sums: PanelMut,
}

impl Scratch {
    /// Its parts, for so many queries: floats, and floats from one row to the next.
    fn parts(common: &Common, queries: usize) -> [(usize, usize); 10] {
        let s = common.s;
        let c_wide = s.wide_channels();
        // Strips of a group, and the row of scores of a strip.
        let (group, row) = if is_many(s) { (GROUP, KEYS) } else { (1, s.score_stride()) };
        [
            (common.normed_len(), s.pixels),
            (s.panels() * PANEL * s.c, PANEL),
            (s.pixels * c_wide, PANEL),
            (queries * c_wide, c_wide),
            (group * STRIP * c_wide, PANEL),
            (group * STRIP * c_wide, PANEL),
            (STRIP * row, row),
            (group * STRIP, 1),
            (group * STRIP, 1),
            (if is_many(s) { group * STRIP * L } else { 0 }, L),
        ]
    }

    fn cut(common: &Common, queries: usize, scratch: &mut [f32]) -> Self {
        let [normed, columns, rows, out, queries, attended, p, tops, scales, sums] =
            cut_panels(scratch, Self::parts(common, queries));
        Self { normed, columns, rows, out, queries, attended, p, tops, scales, sums }
    }
}

/// Where statistics of a strip go.
pub(super) struct Statistics {
    /// Where exponentials are kept, if they are.
    pub(super) kept: Option<PanelMut>,
    /// The largest score of every row.
    pub(super) tops: PanelMut,
    /// Reciprocal sums of the exponentials.
    pub(super) scales: PanelMut,
    /// Of many pixels, sums of exponentials so far, `[strip][16]`.
    pub(super) sums: PanelMut,
}

/// Some queries of an image.
pub(super) struct Share<'a> {
    image: &'a Image,
    pub(super) common: &'a Common<'a>,
    /// Strips, from and up to, and their queries.
    pub(super) strips: (usize, usize),
    queries: (usize, usize),
    pub(super) scratch: Scratch,
}

impl Image {
    /// Computes share `share` of `shares` of the queries with merged maps.
    ///
    /// # Safety
    /// The panels must be good for an image, and nobody else may touch the results.
    pub(in super::super) unsafe fn compute_merged(&self, common: &Common, [share, shares]: [usize; 2]) {
        let s = common.s;
        let strips = (strips(s) * share / shares, strips(s) * (share + 1) / shares);
        let queries = (strip(s, strips.0).0, strip(s, strips.1 - 1).1);
        let count = queries.1 - queries.0;
        with(floats(Scratch::parts(common, count)), |scratch| {
            let scratch = Scratch::cut(common, count, scratch);
            let share = Share { image: self, common, strips, queries, scratch };
            // SAFETY: the caller's contract; every strip comes after the normalised image that it reads, and the result after all strips.
            unsafe {
                share.normalise();
                if is_many(s) {
                    share.many();
                } else {
                    (strips.0..strips.1).for_each(|i| share.strip(i));
                }
                share.fill_what_is_saved();
                share.put_out();
            }
        });
    }
}

impl Share<'_> {
    /// The normalised image in both orders.
    ///
    /// # Safety
    /// The image must be readable.
    unsafe fn normalise(&self) {
        let Common { isa, s, .. } = *self.common;
        let (c, pixels) = (s.c, s.pixels);
        // SAFETY: the caller's contract; `normed` is `[c, pixels]`, and there is room for it in panels of pixels and of channels.
        unsafe {
            let normed = self.common.normed(self.image.x, self.scratch.normed);
            pack(isa, normed, [pixels, 1], [c, pixels], self.scratch.columns, c * PANEL);
            pack(isa, normed, [1, pixels], [pixels, c], self.scratch.rows, pixels * PANEL);
        }
    }

    /// Queries, scores, exponentials, attended image and output of strip `i`.
    ///
    /// # Safety
    /// The image must be normalised, and nobody else may touch what is saved of these queries.
    unsafe fn strip(&self, i: usize) {
        let Common { isa, s, .. } = *self.common;
        let Scratch { p, rows, .. } = self.scratch;
        let (pixels, c_wide, wide) = (s.pixels, s.wide_channels(), s.wide_pixels());
        let (r0, r1) = strip(s, i);
        let (m, part) = (r1 - r0, [i - self.strips.0, self.strips.1 - self.strips.0]);
        let (queries, attended) = self.queries_and_attended(r0, 0);
        let Statistics { kept, tops, scales, .. } = self.statistics(r0, 0);
        let next = self.image.next.map(|at| ahead(at, s.image(), part));
        let scores = Rows {
            p: p.at(0),
            stride: p.stride(),
            kept: kept.map_or(null_mut(), |kept| kept.at(0)),
            rows: m,
            keys: pixels,
            wide,
            factor: s.factor(),
            tops: tops.at(0),
            scales: scales.at(0),
        };
        // SAFETY: the caller's contract. Operands and results have `m` rows from `r0` on, or of a strip, which the panels check in debug
        // builds; the products of packed weights are of `c` or `c_wide` columns, as they are packed.
        unsafe {
            self.to_queries(i, 0, next[0]);
            let next_kept = kept.map_or(NOTHING, |kept| (kept.at(0).cast_const(), m * wide));
            self.keys().products(isa, s, queries, m, p, next_kept);
            softmax(isa, &scores);

            let (left, next_saved) = (p.read().left(m, pixels), self.next_saved(part));
            let placed = attended.long_product(isa, [m, c_wide, pixels], left, rows.read(), next_saved);
            multiply_placed(isa, &Placed { row_factor: scales.at(0), ..placed });
            self.to_output(i, 0, next[1]);
        }
    }

    /// The normalised image as keys and values.
    pub(super) fn keys(&self) -> Keys {
        Keys { columns: self.scratch.columns.read(), rows: self.scratch.rows.read() }
    }

    /// The queries of strip `i`, which has place `place` in its group; meanwhile asks for `next`.
    ///
    /// # Safety
    /// As for [`Self::strip`].
    pub(super) unsafe fn to_queries(&self, i: usize, place: usize, next: Next) {
        let Common { isa, s, ref packed, .. } = *self.common;
        let (r0, r1) = strip(s, i);
        let (m, (queries, _)) = (r1 - r0, self.queries_and_attended(r0, place));
        let pixel_rows = Panels::new(self.scratch.rows, s.pixels * PANEL).rows_from(r0).left(m, s.c);
        let mut product = queries.product(isa, [m, s.wide_channels(), s.c], pixel_rows, packed.panels()[0], next);
        product.product.column_bias = packed.bias()[0];
        // SAFETY: the caller's contract; as above.
        unsafe { multiply_placed(isa, &product) }
    }

    /// The output of strip `i`, which has place `place` in its group; meanwhile asks for `next`.
    ///
    /// # Safety
    /// As for [`Self::strip`]; what it attends to must be there.
    pub(super) unsafe fn to_output(&self, i: usize, place: usize, next: Next) {
        let Common { isa, s, ref packed, .. } = *self.common;
        let (r0, r1) = strip(s, i);
        let (m, (_, attended)) = (r1 - r0, self.queries_and_attended(r0, place));
        let to = self.scratch.out.from(r0 - self.queries.0);
        let product = to.product(isa, [m, s.wide_channels(), s.c], attended.left(m, s.c), packed.panels()[1]);
        // SAFETY: the caller's contract; as above.
        unsafe { run(isa, Product { column_bias: packed.bias()[1], ..product }, next) }
    }

    /// Where queries and attended image of the strip from query `r0` on go, which has place `place` in its group.
    pub(super) fn queries_and_attended(&self, r0: usize, place: usize) -> (Panels, Panels) {
        let s = self.common.s;
        let own = |panel: PanelMut| Panels::new(panel.skip(place * STRIP * s.wide_channels()), STRIP * PANEL);
        let saved = |panel| Panels::new(panel, s.pixels * PANEL).rows_from(r0);
        match self.image.saved {
            Some([queries, attended, _]) => (saved(queries), saved(attended)),
            None => (own(self.scratch.queries), own(self.scratch.attended)),
        }
    }

    /// Where statistics of the strip from query `r0` on go, which has place `place` in its group.
    pub(super) fn statistics(&self, r0: usize, place: usize) -> Statistics {
        let (s, scratch) = (self.common.s, self.scratch);
        let [tops, scales, sums] = [scratch.tops, scratch.scales, scratch.sums].map(|part| part.from(place * STRIP));
        let Some([_, _, softmax]) = self.image.saved else {
            return Statistics { kept: None, tops, scales, sums };
        };
        let [saved_tops, scales] = s.statistics(softmax).map(|panel| panel.from(r0));
        if s.keeps_probabilities() {
            Statistics { kept: Some(softmax.rows_of(s.wide_pixels()).from(r0)), tops, scales, sums }
        } else {
            Statistics { kept: None, tops: saved_tops, scales, sums }
        }
    }

    /// What is saved of the next image, asked for with the first half of the strips, and with the second.
    fn next_saved(&self, [i, strips]: [usize; 2]) -> Next {
        let s = self.common.s;
        let [queries, attended] = self.image.next_saved;
        let half = strips / 2;
        match i.checked_sub(half) {
            None => ahead(queries, s.qkv_len() / s.n, [i, half]),
            Some(i) => ahead(attended, s.attended_len() / s.n, [i, strips - half]),
        }
    }

    /// Writes the statistics behind the last query: everything that is saved is written.
    ///
    /// # Safety
    /// Nobody else may touch them.
    unsafe fn fill_what_is_saved(&self) {
        let s = self.common.s;
        let Some([_, _, softmax]) = self.image.saved.filter(|_| self.queries.1 == s.pixels) else { return };
        for panel in s.statistics(softmax) {
            // SAFETY: the caller's contract; behind the queries each of them goes on up to whole vectors.
            unsafe { panel.from(s.pixels).slice() }.fill(0.0);
        }
    }

    /// The output in the order of images, plus the input.
    ///
    /// # Safety
    /// The output must be computed, and nobody else may touch these pixels of the result.
    unsafe fn put_out(&self) {
        let s = self.common.s;
        let (from, to) = self.queries;
        let (x, y, out) = (self.image.x.skip(from), self.image.y.skip(from), self.scratch.out);
        debug_assert!(x.holds(s.c, to - from) && y.holds(s.c, to - from) && out.holds(to - from, s.c));
        let turn = Turn {
            src: out.at(0),
            src_rs: out.stride(),
            rows: to - from,
            columns: s.c,
            dst: y.at(0),
            dst_rs: y.stride(),
        };
        // SAFETY: the caller's contract; all three have so many rows and columns.
        unsafe { turn_add(self.common.isa, &TurnAdd { turn, add: x.at(0) }) };
    }
}
