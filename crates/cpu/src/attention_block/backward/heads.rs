//! The gradient of the attention itself, as in [`mod@crate::attention`]'s, with operands in the order that the steps
//! before leave them in, and the results in that which the steps after want.

use super::super::forward::Common;
use super::super::{AttentionBlock, pack, run};
use crate::attention::packed::{Strided, fetch};
use crate::attention::vectors;
use crate::gemm::{Left, PANEL};
use crate::panel::{Panel, PanelMut, cut_panels, floats};
use crate::softmax::{Dots, Known, dots, softmax_known};

/// Bytes of the panels of probabilities and their gradients that are kept for the sums over queries.
const BLOCK_BYTES: usize = 400 * 1024;

/// All heads of an image.
pub(super) struct Heads<'a> {
    pub(super) common: &'a Common<'a>,
    /// `[3, inner, pixels]`
    pub(super) qkv: Panel,
    /// `[panels, inner, 32]`, gradient and value.
    pub(super) d_attended: PanelMut,
    pub(super) attended: Panel,
    /// Probabilities or their statistics, `[heads, panels, keys or 2, 32]`; only read.
    pub(super) softmax: PanelMut,
    /// Where the gradient of the queries goes: the first third of `[panels, 3 inner, 32]`.
    pub(super) d_qkv: PanelMut,
    /// Where those of keys and values go, `[2, pixels, inner]`.
    pub(super) d_kv: PanelMut,
    /// What will be read or written next: images, and what was saved of one.
    pub(super) next: ([*mut f32; 3], [*mut f32; 3]),
}

/// Scratch for a block of queries of a head.
#[derive(Clone, Copy)]
struct Scratch {
    /// 32 queries, `[d][32]`, and sums of them.
    query: PanelMut,
    sums: PanelMut,
    /// Queries and gradients of what they attend to as rows, `[d / 32][queries][32]`.
    query_rows: PanelMut,
    d_rows: PanelMut,
    /// Probabilities and their gradients, `[queries / 32][pixels][32]`.
    p: PanelMut,
    dp: PanelMut,
}

impl Scratch {
    /// Its parts: floats, and floats from one row to the next.
    fn parts(s: &AttentionBlock) -> [(usize, usize); 6] {
        let block = Heads::block(s);
        let rows = (block * s.head().next_multiple_of(PANEL), PANEL);
        let scores = (block * s.pixels, PANEL);
        [(PANEL * s.head(), PANEL), (PANEL, 1), rows, rows, scores, scores]
    }
}

/// A head, and a block of its queries.
#[derive(Clone, Copy)]
struct Block {
    head: usize,
    /// The first query, and how many there are.
    from: usize,
    depth: usize,
}

impl Heads<'_> {
    /// Queries of a block: whole panels.
    fn block(s: &AttentionBlock) -> usize {
        let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.pixels);
        (queries / PANEL * PANEL).clamp(PANEL, s.panels() * PANEL)
    }

    /// Floats of scratch.
    pub(super) fn scratch(s: &AttentionBlock) -> usize {
        floats(Scratch::parts(s))
    }

    /// # Safety
    /// The panels must be good for an image, `scratch` for [`Self::scratch`] floats, and nobody else may touch scratch and results.
    pub(super) unsafe fn compute(&self, scratch: PanelMut) {
        let s = self.common.s;
        // SAFETY: the caller's contract.
        let scratch = unsafe { scratch.slice() };
        let [query, sums, query_rows, d_rows, p, dp] = cut_panels(scratch, Scratch::parts(s));
        let scratch = Scratch { query, sums, query_rows, d_rows, p, dp };
        let size = Self::block(s);
        for head in 0..s.heads {
            for from in (0..s.pixels).step_by(size) {
                let block = Block { head, from, depth: (s.pixels - from).min(size) };
                // SAFETY: the caller's contract; the panels of a block are computed before its sums.
                unsafe {
                    for panel in from / PANEL..(from + block.depth).div_ceil(PANEL) {
                        self.panel(&scratch, block, panel);
                    }
                    self.add_sums(&scratch, block);
                }
            }
        }
    }

    /// Rows of queries, keys or values of a head.
    fn map(&self, part: usize, head: usize) -> Panel {
        let s = self.common.s;
        self.qkv.from(part * s.inner() + head * s.head()).first(s.head() * s.pixels)
    }

    /// What is kept of the softmax of a head and the panels from `panel` on.
    fn kept(&self, head: usize, panel: usize) -> PanelMut {
        let s = self.common.s;
        self.softmax.skip((head * s.panels() + panel) * s.softmax_panel())
    }

    /// Probabilities of 32 queries and their gradients, the gradient of the queries, and what the sums over queries read.
    ///
    /// # Safety
    /// As for [`Self::compute`].
    unsafe fn panel(&self, scratch: &Scratch, Block { head, from, depth }: Block, panel: usize) {
        let Common { isa, s, .. } = *self.common;
        let (pixels, inner, d) = (s.pixels, s.inner(), s.head());
        let Scratch { query, sums, query_rows, d_rows, .. } = *scratch;
        let [q, k, v] = [0, 1, 2].map(|part| self.map(part, head));
        let (first, width) = (panel * PANEL, (pixels - panel * PANEL).min(PANEL));
        let (n, row) = (vectors(width), panel * inner + head * d);
        let (attended, d_attended) = (self.attended.from(row), self.d_attended.from(row));
        let kept = self.kept(head, panel).first(s.softmax_panel());
        let keeping = s.keeps_probabilities();
        let p = if keeping { kept } else { scratch.p.skip((first - from) * pixels) };
        let dp = scratch.dp.skip((first - from) * pixels);
        let statistics = if keeping { std::ptr::null() } else { kept.at(0).cast_const() };
        let known =
            Known { p: p.at(0), d: dp.at(0), statistics, sums: sums.at(0), keys: pixels, width, factor: s.factor() };
        // SAFETY: the caller's contract. Scores and gradients are `[pixels][32]`, what is attended `[d][32]`; the panels check products and
        // packed matrices in debug builds. Probabilities that are kept are only read.
        unsafe {
            // What comes next, a part before every product.
            self.fetch(head, panel, 0);
            if !keeping {
                pack(isa, q.skip(first), [pixels, 1], [d, width], query, d * PANEL);
                run(isa, p.product(isa, [pixels, n, d], k.transposed_left(pixels, d), query.read()));
            }
            self.fetch(head, panel, 1);
            run(isa, dp.product(isa, [pixels, n, d], v.transposed_left(pixels, d), d_attended.read()));
            self.fetch(head, panel, 2);
            dots(isa, &Dots { a: attended.at(0), b: d_attended.at(0), rows: d, sums: sums.at(0) });
            softmax_known(isa, &known);
            self.fetch(head, panel, 3);
            let to = self.d_qkv.from(panel * 3 * inner + head * d);
            run(isa, to.product(isa, [d, n, pixels], k.left(d, pixels), dp.read()).long());
            let rows = first - from;
            pack(isa, d_attended.read(), [1, PANEL], [width, d], d_rows.from(rows), depth * PANEL);
            pack(isa, q.skip(first), [1, pixels], [width, d], query_rows.from(rows), depth * PANEL);
        }
    }

    /// The sums over the queries of a block: the gradients of keys and values.
    ///
    /// # Safety
    /// As for [`Self::compute`]; the panels of the block must be computed.
    unsafe fn add_sums(&self, scratch: &Scratch, Block { head, from, depth }: Block) {
        let Common { isa, s, .. } = *self.common;
        let (pixels, d) = (s.pixels, s.head());
        // The panels one after the other are a matrix of keys, with jumps between the queries of one and the next.
        let matrix = |panels: PanelMut| {
            debug_assert!(panels.rows_of(pixels * PANEL).holds(depth.div_ceil(PANEL), pixels * PANEL), "{panels:?}");
            Left::Runs { at: panels.at(0), rs: PANEL, run: PANEL, jump: (pixels - 1) * PANEL }
        };
        let p = if s.keeps_probabilities() { self.kept(head, from / PANEL) } else { scratch.p };
        let dk = self.d_kv.skip(head * d);
        for (left, right, to) in [(scratch.dp, scratch.query_rows, dk), (p, scratch.d_rows, dk.from(pixels))] {
            let product = to.product(isa, [pixels, d, depth], matrix(left), right.read());
            let product = if from == 0 { product } else { product.accumulated() };
            // SAFETY: the caller's contract; keys are rows of the result, and the panels checked the sizes in debug builds.
            unsafe { run(isa, product) };
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
        fetch(self.softmax.at(0).wrapping_add((i + 1) * s.softmax_panel()), s.softmax_panel(), [quarter, 4]);
    }
}
