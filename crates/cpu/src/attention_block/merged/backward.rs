//! One image's part of the gradients with merged maps; queries are rows, as in [`super::forward`].

use super::super::backward::{Image, Parts};
use super::super::forward::Common;
use super::super::{AttentionBlock, pack};
use super::keys::Keys;
use super::panels::{NOTHING, Panels, ahead, run};
use super::softmax::{Gradient, softmax_gradient};
use super::strips::{strip, strips};
use super::sums::{Sums, column_sums, row_sums};
use crate::gemm::{PANEL, Turn, TurnAdd, multiply_placed, turn_add};
use crate::panel::{Panel, PanelMut, cut_panels, floats};
use crate::scratch::with;
use std::ptr::null;

/// Bytes of the exponentials and of the gradients of scores that are kept for the sums over queries, more or less.
const BLOCK_BYTES: usize = 400 * 1024;

/// Strips of a block.
fn block(s: &AttentionBlock) -> usize {
    let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.wide_pixels());
    (queries * strips(s) / s.pixels).clamp(1, strips(s))
}

/// Most queries of a block.
fn block_rows(s: &AttentionBlock) -> usize {
    (block(s) * s.pixels).div_ceil(strips(s)) + 1
}

/// Scratch of an image.
#[derive(Clone, Copy)]
struct Scratch {
    normed: PanelMut,
    /// The normalised image in panels of pixels, `[pixels / 32][c][32]`; behind it the norm's sums.
    columns: PanelMut,
    /// The same in panels of channels, `[c / 32][pixels][32]`.
    rows: PanelMut,
    /// The gradients of queries and of the normalised image: pixels as rows, `[pixels][c rounded up to 32]`.
    d_queries: PanelMut,
    d_normed: PanelMut,
    /// The gradient of what a block of queries attends to, `[c / 32][queries][32]`, and of its scores, `[queries][pixels rounded up]`.
    d_attended: PanelMut,
    d_scores: PanelMut,
    /// Exponentials of a block, where they are not kept, and its queries, where they are not all.
    p: PanelMut,
    queries: PanelMut,
}

impl Scratch {
    /// Its parts: floats, and floats from one row to the next.
    fn parts(common: &Common) -> [(usize, usize); 9] {
        let s = common.s;
        let (c_wide, stride, rows) = (s.wide_channels(), s.score_stride(), block_rows(s));
        let pixel_rows = (s.pixels * c_wide, c_wide);
        [
            (common.normed_len(), s.pixels),
            (s.panels() * PANEL * s.c, PANEL),
            (s.pixels * c_wide, PANEL),
            pixel_rows,
            pixel_rows,
            (rows * c_wide, PANEL),
            (rows * stride, stride),
            (if s.keeps_probabilities() { 0 } else { rows * stride }, stride),
            (if block(s) == strips(s) { 0 } else { rows * c_wide }, PANEL),
        ]
    }

    fn cut(common: &Common, scratch: &mut [f32]) -> Self {
        let [normed, columns, rows, d_queries, d_normed, d_attended, d_scores, p, queries] =
            cut_panels(scratch, Self::parts(common));
        Self { normed, columns, rows, d_queries, d_normed, d_attended, d_scores, p, queries }
    }
}

/// What the steps of an image share.
struct Task<'a> {
    image: &'a Image,
    common: &'a Common<'a>,
    scratch: Scratch,
    /// The sums of the parameters' gradients.
    parts: Parts,
    sums: PanelMut,
}

/// Some strips whose sums over queries are computed together.
#[derive(Clone, Copy)]
struct Block {
    /// Strips, from and up to.
    strips: (usize, usize),
    /// Queries, from and how many.
    from: usize,
    depth: usize,
}

impl Image {
    /// Writes `dx`, and adds to the sums.
    ///
    /// # Safety
    /// The panels must be good for an image, and nobody else may touch the results.
    pub(in super::super) unsafe fn compute_merged(&self, common: &Common, parts: Parts, sums: &mut [f32]) {
        let (s, sums) = (common.s, PanelMut::new(sums, 1));
        with(floats(Scratch::parts(common)), |scratch| {
            let task = Task { image: self, common, scratch: Scratch::cut(common, scratch), parts, sums };
            // SAFETY: the caller's contract; every step finds in scratch what the ones before have left there.
            unsafe {
                task.normalise();
                for first in (0..strips(s)).step_by(block(s)) {
                    let end = (first + block(s)).min(strips(s));
                    let (from, to) = (strip(s, first).0, strip(s, end - 1).1);
                    let block = Block { strips: (first, end), from, depth: to - from };
                    for i in first..end {
                        task.strip(block, i);
                    }
                    task.add_sums(block);
                }
                task.maps();
                task.input();
            }
        });
    }
}

impl Task<'_> {
    fn part(&self, i: usize) -> PanelMut {
        self.parts.part(self.sums, i)
    }

    /// The normalised image in both orders, and the gradient of the output's bias.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`].
    unsafe fn normalise(&self) {
        let Common { isa, s, .. } = *self.common;
        let (c, pixels, dy) = (s.c, s.pixels, self.image.dy);
        debug_assert!(dy.holds(c, pixels));
        let sums = Sums { values: dy.at(0), rows: c, columns: pixels, rs: dy.stride(), sums: self.part(3).at(0) };
        // SAFETY: the caller's contract; there is room for all pixels of all channels in either order, and a sum for every channel.
        unsafe {
            let normed = self.common.normed(self.image.x, self.scratch.normed);
            pack(isa, normed, [pixels, 1], [c, pixels], self.scratch.columns, c * PANEL);
            pack(isa, normed, [1, pixels], [pixels, c], self.scratch.rows, pixels * PANEL);
            row_sums(isa, &sums);
        }
    }

    /// Where the exponentials of a block are.
    fn p(&self, block: Block) -> PanelMut {
        let (s, [_, _, softmax]) = (self.common.s, self.image.saved);
        if s.keeps_probabilities() { softmax.rows_of(s.wide_pixels()).from(block.from) } else { self.scratch.p }
    }

    /// Where the gradient of what a block attends to is.
    fn d_attended(&self, block: Block) -> Panels {
        Panels::new(self.scratch.d_attended, block.depth * PANEL)
    }

    /// The gradients of what the queries of strip `i` attend to, of their scores, and of the queries.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`]; the image must be normalised.
    unsafe fn strip(&self, block: Block, i: usize) {
        let Common { isa, s, ref packed, .. } = *self.common;
        let (c, pixels, c_wide, wide) = (s.c, s.pixels, s.wide_channels(), s.wide_pixels());
        let ([next_x, next_dy, _], now) = (self.image.next.0, [i, strips(s)]);
        let [queries, attended, softmax] = self.image.saved;
        let [tops, scales] = s.statistics(softmax);
        let (r0, r1) = strip(s, i);
        let (m, row) = (r1 - r0, r0 - block.from);
        let (p, d) = (self.p(block).from(row), self.scratch.d_scores.from(row));
        let saved = |panel| Panels::new(panel, pixels * PANEL).rows_from(r0);
        let (queries, attended, d_attended) = (saved(queries), saved(attended), self.d_attended(block).rows_from(row));
        let keys = Keys { columns: self.scratch.columns.read(), rows: self.scratch.rows.read() };
        let keeping = s.keeps_probabilities();
        let gradient = Gradient {
            p: p.at(0),
            tops: if keeping { null() } else { tops.at(r0) },
            d: d.at(0),
            strides: [p.stride(), d.stride()],
            rows: m,
            wide,
            factor: s.factor(),
            attended: attended.at(),
            attended_panel: attended.panel(),
            d_attended: d_attended.at(),
            d_attended_panel: d_attended.panel(),
            channels: c_wide,
        };
        // SAFETY: the caller's contract. Operands and results have `m` rows, which the panels check in debug builds; exponentials that are
        // kept are only read.
        unsafe {
            // Rows times the reciprocal sum of the exponentials, so that those need not be.
            let dy_rows = self.image.dy.skip(r0).transposed_left(m, c);
            let next = ahead(next_dy, s.image(), now);
            let mut from_out = d_attended.product(isa, [m, c_wide, c], dy_rows, packed.panels()[1], next);
            from_out.row_factor = scales.at(r0);
            multiply_placed(isa, &from_out);

            if !keeping {
                keys.products(isa, s, queries, m, p, NOTHING);
            }
            let next_p = if keeping { (p.at(0).wrapping_add(m * wide).cast_const(), m * wide) } else { NOTHING };
            keys.products(isa, s, d_attended, m, d, next_p);
            softmax_gradient(isa, &gradient);

            let to = self.scratch.d_queries.from(r0);
            let of_keys = to.product(isa, [m, c_wide, pixels], d.read().left(m, pixels), self.scratch.rows.read());
            run(isa, of_keys.long(), ahead(next_x, s.image(), now));
        }
    }

    /// The sums over the queries of a block: the gradient of the normalised image as keys and as values.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`]; the strips of the block must be computed.
    unsafe fn add_sums(&self, block: Block) {
        let Common { isa, s, .. } = *self.common;
        let (pixels, c_wide, depth) = (s.pixels, s.wide_channels(), block.depth);
        let [next_queries, next_attended, _] = self.image.next.1;
        let is_last = block.strips.1 == strips(s);
        let next = |at| if is_last { ahead(at, s.attended_len() / s.n, [0, 1]) } else { NOTHING };
        let sum = |left: PanelMut, right: Panel| {
            let left = left.read().transposed_left(pixels, depth);
            self.scratch.d_normed.product(isa, [pixels, c_wide, depth], left, right)
        };
        // SAFETY: the caller's contract; scores are `[queries][pixels rounded up]`, queries and gradients of what they attend to
        // `[c / 32][queries][32]`, as the panels check in debug builds.
        unsafe {
            let product = sum(self.scratch.d_scores, self.queries_of(block));
            let product = if block.strips.0 == 0 { product } else { product.accumulated() };
            run(isa, product, next(next_queries));
            run(isa, sum(self.p(block), self.scratch.d_attended.read()).accumulated(), next(next_attended));
        }
    }

    /// The queries of a block in panels of their own, `[c / 32][queries][32]`.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`].
    unsafe fn queries_of(&self, block: Block) -> Panel {
        let (s, [queries, ..]) = (self.common.s, self.image.saved);
        if block.depth == s.pixels {
            return queries.read();
        }
        let (own, rows) = (self.scratch.queries, block.depth * PANEL);
        for panel in 0..s.wide_channels() / PANEL {
            let (from, to) = (queries.skip((panel * s.pixels + block.from) * PANEL), own.skip(panel * rows));
            debug_assert!(from.len() >= rows && to.len() >= rows);
            // SAFETY: the caller's contract; both have as many rows of 32 as the block has queries.
            unsafe { to.at(0).copy_from_nonoverlapping(from.at(0), rows) };
        }
        own.read()
    }

    /// The gradient of the normalised image as queries, and those of the maps: sums over pixels.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`]; all blocks must be computed.
    unsafe fn maps(&self) {
        let Common { isa, s, ref packed, .. } = *self.common;
        let (c, pixels, c_wide) = (s.c, s.pixels, s.wide_channels());
        let Scratch { rows, d_queries, d_normed, .. } = self.scratch;
        let [_, attended, _] = self.image.saved;
        let (left, sums) = (d_queries.read().left(pixels, c), self.part(2));
        let product = d_normed.product(isa, [pixels, c_wide, c], left, packed.panels()[0]).accumulated();
        debug_assert!(d_queries.holds(pixels, c) && sums.len() == c);
        let sums = Sums { values: d_queries.at(0), rows: pixels, columns: c, rs: d_queries.stride(), sums: sums.at(0) };
        let (d_query_columns, dy) = (d_queries.read().transposed_left(c, pixels), self.image.dy.left(c, pixels));
        // SAFETY: the caller's contract; the sizes were checked in debug builds, here and by the panels.
        unsafe {
            run(isa, product, ahead(self.image.next.0[2], s.image(), [0, 1]));
            column_sums(isa, &sums);
            for (left, right, to) in [(d_query_columns, rows, self.part(0)), (dy, attended, self.part(1))] {
                run(isa, to.rows_of(c).product(isa, [c, c, pixels], left, right.read()).accumulated(), NOTHING);
            }
        }
    }

    /// The gradients of the input and of the norm.
    ///
    /// # Safety
    /// As for [`Image::compute_merged`]; that of the normalised image must be there.
    unsafe fn input(&self) {
        let Common { isa, s, norm, .. } = *self.common;
        let (c, pixels) = (s.c, s.pixels);
        let (dy, dx, d_normed) = (self.image.dy, self.image.dx, self.scratch.d_normed);
        let (values, _) = self.common.parts_of_normed(self.scratch.normed);
        let (to, add) = if norm.is_some() { (values, null()) } else { (dx, dy.at(0)) };
        debug_assert!(d_normed.holds(pixels, c) && to.holds(c, pixels));
        let (src, src_rs, dst, dst_rs) = (d_normed.at(0), d_normed.stride(), to.at(0), to.stride());
        let turn = Turn { src, src_rs, rows: pixels, columns: c, dst, dst_rs };
        // SAFETY: the caller's contract; `dy` is laid out like `dx`. The normalised image is no longer read, and the norm's sums go where it
        // was in panels.
        unsafe {
            turn_add(isa, &TurnAdd { turn, add });
            if let Some(affine) = norm {
                self.image.norm(
                    self.common,
                    affine,
                    to.read(),
                    self.scratch.normed,
                    self.scratch.columns,
                    self.part(4),
                );
            }
        }
    }
}
