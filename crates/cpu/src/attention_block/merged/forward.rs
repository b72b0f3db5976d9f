//! The block of an image with merged maps. Queries are rows: a strip of scores stays in the L1 cache from one product to the
//! next, results are the operands of the products that read them, and no product has a last panel that is nearly empty but that
//! of the scores.

use super::super::forward::{Common, Image};
use super::super::{AttentionBlock, pack};
use super::few::{FEW, Few, few};
use super::softmax::{Rows, softmax};
use crate::attention::packed::cut;
use crate::gemm::{Left, PANEL, Placed, Product, Turn, TurnAdd, group_rows, multiply_placed, turn_add};
use crate::isa::Isa;
use crate::scratch::with;
use std::ptr::{null, null_mut};

/// Queries of a strip, at most: a few groups of rows of every instruction set.
const STRIP: usize = 36;

/// Number of strips.
pub(in super::super) fn strips(s: &AttentionBlock) -> usize {
    s.pixels.div_ceil(STRIP)
}

/// Queries of strip `i`, from and up to.
pub(super) fn strip(s: &AttentionBlock, i: usize) -> (usize, usize) {
    group_rows(s.pixels, strips(s), i)
}

/// Pixels as rows: panels of 32 channels, so many floats apart.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub(super) at: *mut f32,
    pub(super) panel: usize,
}

impl Panels {
    /// From row `r` on.
    pub(super) fn rows_from(self, r: usize) -> Self {
        Self { at: self.at.wrapping_add(r * PANEL), ..self }
    }

    pub(super) fn left(self) -> Left {
        Left::Runs { at: self.at, rs: PANEL, run: PANEL, jump: self.panel - PANEL }
    }

    /// `product` to here, which meanwhile asks for something.
    pub(super) fn result(self, product: Product, next: Next) -> Placed {
        let product = Product { c: self.at, cs: PANEL, ..product };
        Placed { product, c_panel: self.panel, row_factor: null_mut(), next }
    }
}

/// A product whose rows are whole, which meanwhile asks for something.
///
/// # Safety
/// As for [`multiply_placed`].
pub(super) unsafe fn run(isa: Isa, product: Product, next: Next) {
    // SAFETY: the caller's contract.
    unsafe { multiply_placed(isa, &Placed { product, c_panel: PANEL, row_factor: null_mut(), next }) }
}

/// The normalised image, channels in panels of pixels and pixels in panels of channels.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) columns: *const f32,
    pub(super) rows: *const f32,
}

impl Keys {
    /// The products of `m` rows with all pixels, to rows of whole vectors; the last few pixels are computed by themselves.
    ///
    /// # Safety
    /// There must be `m` rows, and room for them.
    pub(super) unsafe fn products(
        &self,
        isa: Isa,
        s: &AttentionBlock,
        left: Panels,
        m: usize,
        to: *mut f32,
        next: Next,
    ) {
        let rest = s.pixels % PANEL;
        let rest = if rest <= FEW { rest } else { 0 };
        let whole = s.pixels - rest;
        // SAFETY: the caller's contract.
        unsafe {
            if whole > 0 {
                run(isa, Product::whole(isa, [m, whole, s.c], left.left(), self.columns, to, s.wide_pixels()), next);
            }
            if rest > 0 {
                let products = Few {
                    left: left.at,
                    left_panel: left.panel,
                    right: self.rows.add(whole * PANEL),
                    right_panel: s.pixels * PANEL,
                    channels: s.wide_channels(),
                    rows: m,
                    few: rest,
                    to: to.add(whole),
                    rs: s.wide_pixels(),
                };
                few(isa, &products);
            }
        }
    }
}

/// Floats to ask for.
pub(super) type Next = (*const f32, usize);

pub(super) const NOTHING: Next = (null(), 0);

/// Part `part` of `parts` of `len` floats that will be read or written; nothing where `at` is null.
pub(super) fn ahead(at: *const f32, len: usize, [part, parts]: [usize; 2]) -> Next {
    if at.is_null() || parts == 0 {
        return NOTHING;
    }
    let (from, to) = group_rows(len, parts, part);
    (at.wrapping_add(from), to - from)
}

impl Image {
    /// Computes share `share` of `shares` of the queries with merged maps.
    ///
    /// # Safety
    /// The pointers must be good for an image, and nobody else may touch the results.
    pub(in super::super) unsafe fn compute_merged(&self, common: &Common, [share, shares]: [usize; 2]) {
        let Common { isa, s, ref packed, .. } = *common;
        let (c, pixels) = (s.c, s.pixels);
        let (c_wide, wide) = (s.wide_channels(), s.wide_pixels());
        let [query_bias, out_bias] = packed.bias();
        let (first, last) = (strips(s) * share / shares, strips(s) * (share + 1) / shares);
        let (from, to) = (strip(s, first).0, strip(s, last - 1).1);
        let own = STRIP * (2 * c_wide + wide + 1);
        let len = common.normed_len() + s.panels() * PANEL * c + pixels * c_wide + (to - from) * c_wide + own;
        with(len, |mut scratch| {
            let normed = cut(&mut scratch, common.normed_len());
            let columns = cut(&mut scratch, s.panels() * PANEL * c).as_mut_ptr();
            let rows = cut(&mut scratch, pixels * c_wide).as_mut_ptr();
            let out = cut(&mut scratch, (to - from) * c_wide).as_mut_ptr();
            let [own_queries, own_attended] =
                [(); 2].map(|()| Panels { at: cut(&mut scratch, STRIP * c_wide).as_mut_ptr(), panel: STRIP * PANEL });
            let p = cut(&mut scratch, STRIP * wide).as_mut_ptr();
            let own_scales = cut(&mut scratch, STRIP).as_mut_ptr();
            let [queries, attended, softmax_at] = self.saved;
            let (saving, keeping) = (!queries.is_null(), s.keeps_probabilities());
            let [next_queries, next_attended] = self.next_saved;
            // SAFETY: the caller's contract, and the scratch has room for what is put there.
            unsafe {
                let (normed, _) = common.normed(self.x, normed);
                pack(isa, normed, [pixels, 1], [c, pixels], columns, c * PANEL);
                pack(isa, normed, [1, pixels], [pixels, c], rows, pixels * PANEL);
                let keys = Keys { columns, rows };
                for i in first..last {
                    let (r0, r1) = strip(s, i);
                    let m = r1 - r0;
                    let part = [i - first, last - first];
                    let saved = |at| Panels { at, panel: pixels * PANEL }.rows_from(r0);
                    let (queries, attended) =
                        if saving { (saved(queries), saved(attended)) } else { (own_queries, own_attended) };
                    let kept = if saving && keeping { softmax_at.add(r0 * wide) } else { null_mut() };
                    let [tops, scales] = if saving {
                        s.statistics(softmax_at).map(|at| at.wrapping_add(r0))
                    } else {
                        [null_mut(), own_scales]
                    };
                    let product = |left, right: *const f32, [n, k]: [usize; 2]| {
                        Product::whole(isa, [m, n, k], left, right, p, wide)
                    };

                    let pixel_rows = Panels { at: rows, panel: pixels * PANEL }.rows_from(r0).left();
                    let to_queries = product(pixel_rows, packed.panels()[0], [c_wide, c]);
                    let next = ahead(self.next[0], s.image(), part);
                    multiply_placed(isa, &queries.result(Product { column_bias: query_bias, ..to_queries }, next));

                    let next = if kept.is_null() { NOTHING } else { (kept.cast_const(), m * wide) };
                    keys.products(isa, s, queries, m, p, next);
                    let tops = if keeping { null_mut() } else { tops };
                    softmax(isa, &Rows { p, kept, rows: m, keys: pixels, wide, factor: s.factor(), tops, scales });

                    let values = product(Left::InPlace { at: p, rs: wide, cs: 1 }, rows, [c_wide, pixels]);
                    let half = part[1] / 2;
                    let next = match part[0].checked_sub(half) {
                        None => ahead(next_queries, s.qkv_len() / s.n, [part[0], half]),
                        Some(part0) => ahead(next_attended, s.attended_len() / s.n, [part0, part[1] - half]),
                    };
                    multiply_placed(isa, &Placed { row_factor: scales, ..attended.result(values, next) });

                    let to_out = product(attended.left(), packed.panels()[1], [c_wide, c]);
                    let to_out =
                        Product { c: out.add((r0 - from) * c_wide), cs: c_wide, column_bias: out_bias, ..to_out };
                    run(isa, to_out, ahead(self.next[1], s.image(), part));
                }
                if saving && to == pixels {
                    // Everything that is saved is written.
                    for at in s.statistics(softmax_at) {
                        std::slice::from_raw_parts_mut(at.add(pixels), wide - pixels).fill(0.0);
                    }
                }
                let turn = Turn {
                    src: out,
                    src_rs: c_wide,
                    rows: to - from,
                    columns: c,
                    dst: self.y.add(from),
                    dst_rs: pixels,
                };
                turn_add(isa, &TurnAdd { turn, add: self.x.add(from) });
            }
        });
    }
}
