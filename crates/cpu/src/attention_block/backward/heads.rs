//! The gradient of the attention itself, as in [`mod@crate::attention`]'s, with operands in the order that the steps
//! before leave them in, and the results in that which the steps after want.

use super::super::forward::Common;
use super::super::{AttentionBlock, pack, run};
use crate::attention::packed::{Strided, cut, fetch};
use crate::attention::vectors;
use crate::gemm::{Left, PANEL, Product};
use crate::softmax::{Dots, Known, dots, softmax_known};

/// Bytes of the panels of probabilities and their gradients that are kept for the sums over queries.
const BLOCK_BYTES: usize = 400 * 1024;

/// All heads of an image.
pub(super) struct Heads<'a> {
    pub(super) common: &'a Common<'a>,
    /// `[3, inner, pixels]`
    pub(super) qkv: *mut f32,
    /// `[panels, inner, 32]`, gradient and value.
    pub(super) d_attended: *mut f32,
    pub(super) attended: *mut f32,
    /// Probabilities or their statistics, `[heads, panels, keys or 2, 32]`.
    pub(super) softmax: *mut f32,
    /// Where the gradient of the queries goes: the first third of `[panels, 3 inner, 32]`.
    pub(super) d_qkv: *mut f32,
    /// Where those of keys and values go, `[2, pixels, inner]`.
    pub(super) d_kv: *mut f32,
    /// What will be read or written next: images, and what was saved of one.
    pub(super) next: ([*mut f32; 3], [*mut f32; 3]),
}

impl Heads<'_> {
    /// Queries of a block: whole panels.
    fn block(s: &AttentionBlock) -> usize {
        let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.pixels);
        (queries / PANEL * PANEL).clamp(PANEL, s.panels() * PANEL)
    }

    /// Floats of scratch.
    pub(super) fn scratch(s: &AttentionBlock) -> usize {
        // A panel of queries, sums; a block of queries and of gradients, turned; a block of panels of P and dP.
        PANEL * s.head() + PANEL + 2 * Self::block(s) * (s.head().next_multiple_of(PANEL) + s.pixels)
    }

    /// # Safety
    /// The pointers must be good for an image, `scratch` for [`Self::scratch`] floats, and nobody else may touch the results.
    pub(super) unsafe fn compute(&self, mut scratch: &mut [f32]) {
        let Common { isa, s, .. } = *self.common;
        let (pixels, inner, d, panels) = (s.pixels, s.inner(), s.head(), s.panels());
        let (block, wide) = (Self::block(s), d.next_multiple_of(PANEL));
        let query = cut(&mut scratch, PANEL * d).as_mut_ptr();
        let sums = cut(&mut scratch, PANEL).as_mut_ptr();
        let [query_rows, d_rows] = [(); 2].map(|()| cut(&mut scratch, block * wide).as_mut_ptr());
        let [p, dp] = [(); 2].map(|()| cut(&mut scratch, block * pixels).as_mut_ptr());
        let keeping = s.keeps_probabilities();
        // SAFETY: the caller's contract, and the scratch has room for what is put there.
        unsafe {
            for head in 0..s.heads {
                let [q, k, v] = [0, 1, 2].map(|part| self.qkv.add((part * inner + head * d) * pixels));
                let [keys, values] = [k, v].map(|at| Left::InPlace { at, rs: 1, cs: pixels });
                let keys_turned = Left::InPlace { at: k, rs: pixels, cs: 1 };
                for from in (0..pixels).step_by(block) {
                    let depth = (pixels - from).min(block);
                    for panel in from / PANEL..(from + depth).div_ceil(PANEL) {
                        let (first, width) = (panel * PANEL, (pixels - panel * PANEL).min(PANEL));
                        let n = vectors(width);
                        let at = (panel * inner + head * d) * PANEL;
                        let (attended, d_attended) = (self.attended.add(at), self.d_attended.add(at));
                        let kept = self.softmax.add((head * panels + panel) * s.softmax_panel());
                        let p = if keeping { kept } else { p.add((first - from) * pixels) };
                        let dp = dp.add((first - from) * pixels);
                        // What comes next, a part before every product.
                        self.fetch(head, panel, 0);
                        let mut statistics = std::ptr::null();
                        if !keeping {
                            pack(isa, q.add(first), [pixels, 1], [d, width], query, 0);
                            run(isa, Product::whole(isa, [pixels, n, d], keys, query, p, PANEL));
                            statistics = kept;
                        }
                        self.fetch(head, panel, 1);
                        run(isa, Product::whole(isa, [pixels, n, d], values, d_attended, dp, PANEL));
                        self.fetch(head, panel, 2);
                        dots(isa, &Dots { a: attended, b: d_attended, rows: d, sums });
                        let factor = s.factor();
                        softmax_known(isa, &Known { p, d: dp, statistics, sums, keys: pixels, width, factor });
                        self.fetch(head, panel, 3);
                        let to = self.d_qkv.add((panel * 3 * inner + head * d) * PANEL);
                        run(isa, Product::whole(isa, [d, n, pixels], keys_turned, dp, to, PANEL));
                        let rows = d_rows.add((first - from) * PANEL);
                        pack(isa, d_attended, [1, PANEL], [width, d], rows, depth * PANEL);
                        let rows = query_rows.add((first - from) * PANEL);
                        pack(isa, q.add(first), [1, pixels], [width, d], rows, depth * PANEL);
                    }
                    // The panels one after the other are a matrix of keys, with jumps between the queries of one and the next.
                    let matrix = |at| Left::Runs { at, rs: PANEL, run: PANEL, jump: (pixels - 1) * PANEL };
                    let first = (head * panels + from / PANEL) * s.softmax_panel();
                    let p = if keeping { self.softmax.add(first) } else { p };
                    let dk = self.d_kv.add(head * d);
                    let dv = dk.add(pixels * inner);
                    for (left, right, to) in [(dp, query_rows, dk), (p, d_rows, dv)] {
                        let product = Product::whole(isa, [pixels, d, depth], matrix(left), right, to, inner);
                        run(isa, if from == 0 { product } else { product.accumulated() });
                    }
                }
            }
        }
    }

    /// Asks for a quarter of what a panel's share of the next image is, and of the next panel's probabilities.
    fn fetch(&self, head: usize, panel: usize, quarter: usize) {
        let Common { isa, s, .. } = *self.common;
        let (pixels, inner, panels) = (s.pixels, s.inner(), s.panels());
        let (images, [next_qkv, next_attended, _]) = self.next;
        let fetch = |at, len, part| fetch(isa, Strided { at, rs: 1, cs: 1 }, len, part);
        let i = head * panels + panel;
        let part = [4 * i + quarter, 4 * s.heads * panels];
        for image in images {
            fetch(image, s.c * pixels, part);
        }
        fetch(next_qkv, s.qkv_len() / s.n, part);
        fetch(next_attended, panels * inner * PANEL, part);
        fetch(self.softmax.wrapping_add((i + 1) * s.softmax_panel()), s.softmax_panel(), [quarter, 4]);
    }
}
