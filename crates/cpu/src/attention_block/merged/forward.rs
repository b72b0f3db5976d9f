//! The block of an image with merged maps. Queries are rows: a strip of scores stays in the L1 cache from one product to the
//! next, results are the operands of the products that read them, and no product has a last panel that is nearly empty but that
//! of the scores.

use super::super::forward::{Common, Image};
use super::super::pack;
use super::keys::Keys;
use super::panels::{NOTHING, Next, Panels, ahead, run};
use super::softmax::{Rows, softmax};
use super::strips::{STRIP, strip, strips};
use crate::gemm::{PANEL, Placed, Product, Turn, TurnAdd, multiply_placed, turn_add};
use crate::panel::{PanelMut, cut_panels, floats};
use crate::scratch::with;
use std::ptr::null_mut;

/// Scratch of some queries of an image.
#[derive(Clone, Copy)]
struct Scratch {
    normed: PanelMut,
    /// The normalised image: channels in panels of pixels, `[pixels / 32][c][32]`, and pixels in panels of channels,
    /// `[c / 32][pixels][32]`.
    columns: PanelMut,
    rows: PanelMut,
    /// The output of these queries, `[queries][c rounded up to 32]`.
    out: PanelMut,
    /// Queries and attended image of a strip where they are not saved, `[c / 32][strip][32]`.
    queries: PanelMut,
    attended: PanelMut,
    /// Scores of a strip, `[strip][pixels rounded up]`, and reciprocal sums of their exponentials.
    p: PanelMut,
    scales: PanelMut,
}

impl Scratch {
    /// Its parts, for so many queries: floats, and floats from one row to the next.
    fn parts(common: &Common, queries: usize) -> [(usize, usize); 8] {
        let s = common.s;
        let (c_wide, stride, strip) = (s.wide_channels(), s.score_stride(), (STRIP * s.wide_channels(), PANEL));
        [
            (common.normed_len(), s.pixels),
            (s.panels() * PANEL * s.c, PANEL),
            (s.pixels * c_wide, PANEL),
            (queries * c_wide, c_wide),
            strip,
            strip,
            (STRIP * stride, stride),
            (STRIP, 1),
        ]
    }

    fn cut(common: &Common, queries: usize, scratch: &mut [f32]) -> Self {
        let [normed, columns, rows, out, queries, attended, p, scales] =
            cut_panels(scratch, Self::parts(common, queries));
        Self { normed, columns, rows, out, queries, attended, p, scales }
    }
}

/// Some queries of an image.
struct Share<'a> {
    image: &'a Image,
    common: &'a Common<'a>,
    /// Strips, from and up to, and their queries.
    strips: (usize, usize),
    queries: (usize, usize),
    scratch: Scratch,
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
                for i in strips.0..strips.1 {
                    share.strip(i);
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
        let Common { isa, s, ref packed, .. } = *self.common;
        let Scratch { p, rows, .. } = self.scratch;
        let (c, pixels, c_wide, wide) = (s.c, s.pixels, s.wide_channels(), s.wide_pixels());
        let [query_bias, out_bias] = packed.bias();
        let (r0, r1) = strip(s, i);
        let (m, part) = (r1 - r0, [i - self.strips.0, self.strips.1 - self.strips.0]);
        let (queries, attended) = self.queries_and_attended(r0);
        let (kept, tops, scales) = self.statistics(r0);
        let next = self.image.next.map(|at| ahead(at, s.image(), part));
        // SAFETY: the caller's contract. Operands and results have `m` rows from `r0` on, or of a strip, which the panels check in debug
        // builds; the products of packed weights are of `c` or `c_wide` columns, as they are packed.
        unsafe {
            let pixel_rows = Panels::new(rows, pixels * PANEL).rows_from(r0).left(m, c);
            let mut to_queries = queries.product(isa, [m, c_wide, c], pixel_rows, packed.panels()[0], next[0]);
            to_queries.product.column_bias = query_bias;
            multiply_placed(isa, &to_queries);

            let keys = Keys { columns: self.scratch.columns.read(), rows: rows.read() };
            let next_kept = kept.map_or(NOTHING, |kept| (kept.at(0).cast_const(), m * wide));
            keys.products(isa, s, queries, m, p, next_kept);
            let (kept, tops) = (kept.map_or(null_mut(), |kept| kept.at(0)), tops.map_or(null_mut(), |tops| tops.at(0)));
            let (p_at, scales) = (p.at(0), scales.at(0));
            let stride = p.stride();
            softmax(
                isa,
                &Rows { p: p_at, stride, kept, rows: m, keys: pixels, wide, factor: s.factor(), tops, scales },
            );

            let (left, next_saved) = (p.read().left(m, pixels), self.next_saved(part));
            let placed = attended.long_product(isa, [m, c_wide, pixels], left, rows.read(), next_saved);
            multiply_placed(isa, &Placed { row_factor: scales, ..placed });

            let to = self.scratch.out.from(r0 - self.queries.0);
            let to_out = to.product(isa, [m, c_wide, c], attended.left(m, c), packed.panels()[1]);
            run(isa, Product { column_bias: out_bias, ..to_out }, next[1]);
        }
    }

    /// Where queries and attended image of the strip from query `r0` on go.
    fn queries_and_attended(&self, r0: usize) -> (Panels, Panels) {
        let own = |panel| Panels::new(panel, STRIP * PANEL);
        let saved = |panel| Panels::new(panel, self.common.s.pixels * PANEL).rows_from(r0);
        match self.image.saved {
            Some([queries, attended, _]) => (saved(queries), saved(attended)),
            None => (own(self.scratch.queries), own(self.scratch.attended)),
        }
    }

    /// Where exponentials and largest scores are kept, if they are, and where reciprocal sums go, of the strip from query `r0` on.
    fn statistics(&self, r0: usize) -> (Option<PanelMut>, Option<PanelMut>, PanelMut) {
        let s = self.common.s;
        let Some([_, _, softmax]) = self.image.saved else {
            return (None, None, self.scratch.scales);
        };
        let [tops, scales] = s.statistics(softmax).map(|panel| panel.from(r0));
        if s.keeps_probabilities() {
            (Some(softmax.rows_of(s.wide_pixels()).from(r0)), None, scales)
        } else {
            (None, Some(tops), scales)
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
