//! One image's part of the gradients with merged maps; queries are rows, as in [`super::forward`].

use super::super::backward::{Image, Parts};
use super::super::forward::Common;
use super::super::{AttentionBlock, pack};
use super::forward::{Keys, NOTHING, Panels, ahead, run, strip, strips};
use super::softmax::{Gradient, softmax_gradient};
use super::sums::{Sums, column_sums, row_sums};
use crate::attention::packed::cut;
use crate::gemm::{Left, PANEL, Placed, Product, Turn, TurnAdd, multiply_placed, turn_add};
use crate::norm::group_norm_backward_image;
use crate::scratch::with;
use std::ptr::{null, null_mut};

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

impl Image {
    /// Writes `dx`, and adds to the sums.
    ///
    /// # Safety
    /// The pointers must be good for an image, and nobody else may touch the results.
    pub(in super::super) unsafe fn compute_merged(&self, common: &Common, parts: Parts, sums: &mut [f32]) {
        let Common { isa, s, ref packed, .. } = *common;
        let (c, pixels) = (s.c, s.pixels);
        let (c_wide, wide, rows) = (s.wide_channels(), s.wide_pixels(), block_rows(s));
        let keeping = s.keeps_probabilities();
        let own_p_len = if keeping { 0 } else { rows * wide };
        let whole = block(s) == strips(s);
        let own_queries_len = if whole { 0 } else { rows * c_wide };
        let len = common.normed_len()
            + s.panels() * PANEL * c
            + 3 * pixels * c_wide
            + rows * (c_wide + wide)
            + own_p_len
            + own_queries_len;
        let sums = sums.as_mut_ptr();
        let part = |i: usize| sums.wrapping_add(parts.at(i));
        with(len, |mut scratch| {
            let normed = cut(&mut scratch, common.normed_len());
            let columns = cut(&mut scratch, s.panels() * PANEL * c).as_mut_ptr();
            // The normalised image, gradients of queries, and of the normalised image: pixels as rows.
            let [normed_rows, d_queries, d_normed] = [(); 3].map(|()| cut(&mut scratch, pixels * c_wide).as_mut_ptr());
            let d_attended = cut(&mut scratch, rows * c_wide).as_mut_ptr();
            let d_scores = cut(&mut scratch, rows * wide).as_mut_ptr();
            let own_p = cut(&mut scratch, own_p_len).as_mut_ptr();
            let own_queries = cut(&mut scratch, own_queries_len).as_mut_ptr();
            let [queries, attended, softmax] = self.saved;
            let [tops, scales] = s.statistics(softmax);
            let ([next_x, next_dy, next_dx], [next_queries, next_attended, _]) = self.next;
            // SAFETY: the caller's contract, and the scratch has room for what is put there.
            unsafe {
                let (normed, statistics) = common.normed(self.x, normed);
                pack(isa, normed, [pixels, 1], [c, pixels], columns, c * PANEL);
                pack(isa, normed, [1, pixels], [pixels, c], normed_rows, pixels * PANEL);
                row_sums(isa, &Sums { values: self.dy, rows: c, columns: pixels, rs: pixels, sums: part(3) });
                let keys = Keys { columns, rows: normed_rows };
                for b in (0..strips(s)).step_by(block(s)) {
                    let end = (b + block(s)).min(strips(s));
                    let (from, to) = (strip(s, b).0, strip(s, end - 1).1);
                    let depth = to - from;
                    let p = if keeping { softmax.add(from * wide) } else { own_p };
                    for i in b..end {
                        let (r0, r1) = strip(s, i);
                        let m = r1 - r0;
                        let now = [i, strips(s)];
                        let (p, d) = (p.add((r0 - from) * wide), d_scores.add((r0 - from) * wide));
                        let product = |left, right: *const f32, [n, k]: [usize; 2]| {
                            Product::whole(isa, [m, n, k], left, right, d, wide)
                        };
                        let saved = |at| Panels { at, panel: pixels * PANEL }.rows_from(r0);
                        let (queries, attended) = (saved(queries), saved(attended));
                        let d_attended = Panels { at: d_attended, panel: depth * PANEL }.rows_from(r0 - from);

                        // Rows times the reciprocal sum of the exponentials, so that those need not be.
                        let dy_rows = Left::InPlace { at: self.dy.add(r0), rs: 1, cs: pixels };
                        let from_out = product(dy_rows, packed.panels()[1], [c_wide, c]);
                        let placed = d_attended.result(from_out, ahead(next_dy, s.image(), now));
                        multiply_placed(isa, &Placed { row_factor: scales.add(r0), ..placed });

                        if !keeping {
                            keys.products(isa, s, queries, m, p, NOTHING);
                        }
                        let next_p = if keeping { (p.add(m * wide).cast_const(), m * wide) } else { NOTHING };
                        keys.products(isa, s, d_attended, m, d, next_p);
                        let gradient = Gradient {
                            p,
                            tops: if keeping { null() } else { tops.add(r0) },
                            d,
                            rows: m,
                            wide,
                            factor: s.factor(),
                            attended: attended.at,
                            attended_panel: attended.panel,
                            d_attended: d_attended.at,
                            d_attended_panel: d_attended.panel,
                            channels: c_wide,
                        };
                        softmax_gradient(isa, &gradient);

                        let of_keys = product(Left::InPlace { at: d, rs: wide, cs: 1 }, normed_rows, [c_wide, pixels]);
                        let of_keys = Product { c: d_queries.add(r0 * c_wide), cs: c_wide, ..of_keys };
                        run(isa, of_keys, ahead(next_x, s.image(), now));
                    }
                    // The normalised image as keys and as values.
                    let query_rows = if whole { queries } else { own_queries };
                    if !whole {
                        for panel in 0..c_wide / PANEL {
                            let rows = queries.add((panel * pixels + from) * PANEL);
                            own_queries.add(panel * depth * PANEL).copy_from_nonoverlapping(rows, depth * PANEL);
                        }
                    }
                    let of_queries = |at| Left::InPlace { at, rs: 1, cs: wide };
                    let sum = |left, right| Product::whole(isa, [pixels, c_wide, depth], left, right, d_normed, c_wide);
                    let next = |at| if end == strips(s) { ahead(at, s.attended_len() / s.n, [0, 1]) } else { NOTHING };
                    let product = sum(of_queries(d_scores), query_rows);
                    let product = if b == 0 { product } else { product.accumulated() };
                    run(isa, product, next(next_queries));
                    run(isa, sum(of_queries(p), d_attended).accumulated(), next(next_attended));
                }
                let d_query_rows = Left::InPlace { at: d_queries, rs: c_wide, cs: 1 };
                let product =
                    Product::whole(isa, [pixels, c_wide, c], d_query_rows, packed.panels()[0], d_normed, c_wide);
                run(isa, product.accumulated(), ahead(next_dx, s.image(), [0, 1]));

                // Sums over pixels.
                column_sums(isa, &Sums { values: d_queries, rows: pixels, columns: c, rs: c_wide, sums: part(2) });
                let d_query_columns = Left::InPlace { at: d_queries, rs: 1, cs: c_wide };
                let dy = Left::InPlace { at: self.dy, rs: pixels, cs: 1 };
                for (left, right, to) in [(d_query_columns, normed_rows, part(0)), (dy, attended, part(1))] {
                    run(isa, Product::whole(isa, [c, c, pixels], left, right, to, c).accumulated(), NOTHING);
                }

                let to = if common.norm.is_some() { normed } else { self.dx };
                let add = if common.norm.is_some() { null_mut() } else { self.dy };
                let turn = Turn { src: d_normed, src_rs: c_wide, rows: pixels, columns: c, dst: to, dst_rs: pixels };
                turn_add(isa, &TurnAdd { turn, add });
                let Some(norm) = common.norm else { return };
                let sums = columns;
                let affine = [norm.scale.as_ptr(), norm.offset.as_ptr()];
                let statistics = statistics.map(<*mut f32>::cast_const);
                let of_norm = [sums, sums.add(c)];
                group_norm_backward_image(isa, &s.norm(), self.x, statistics, affine, to, self.dy, self.dx, of_norm);
                for i in 0..2 * c {
                    *part(4).add(i) += *sums.add(i);
                }
            }
        });
    }
}
