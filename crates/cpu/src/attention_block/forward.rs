//! The block itself.

use super::merged::strips;
use super::weights::Packed;
use super::{AttentionBlock, AttentionSaved, AttentionWeights, pack, run};
use crate::attention::packed::{Strided, fetch};
use crate::attention::vectors;
use crate::gemm::{PANEL, Product};
use crate::isa::Isa;
use crate::norm::{Affine, group_norm_image};
use crate::panel::{Panel, PanelMut, cut_panels, floats};
use crate::scratch::{Shared, with};
use crate::sizes::check_len;
use crate::softmax::{Columns, softmax};
use rayon::prelude::*;

/// What all images share.
pub(super) struct Common<'a> {
    pub(super) isa: Isa,
    pub(super) s: &'a AttentionBlock,
    pub(super) norm: Option<Affine<'a>>,
    pub(super) packed: Packed,
}

impl Common<'_> {
    /// Floats of scratch for [`Self::normed`].
    pub(super) fn normed_len(&self) -> usize {
        self.s.image() + 2 * self.s.groups
    }

    /// Where the normalised image, and its mean and reciprocal deviation of every group, lie in scratch.
    pub(super) fn parts_of_normed(&self, scratch: PanelMut) -> (PanelMut, [PanelMut; 2]) {
        debug_assert!(scratch.len() == self.normed_len(), "{} floats of scratch for a norm", scratch.len());
        let statistics = scratch.skip(self.s.image()).rows_of(1);
        let mean = statistics.first(self.s.groups);
        (scratch.first(self.s.image()), [mean, statistics.skip(self.s.groups)])
    }

    /// The normalised image `x`, or `x` itself where there is no norm.
    ///
    /// # Safety
    /// The image must be readable, and nobody else may use the scratch.
    pub(super) unsafe fn normed(&self, x: Panel, scratch: PanelMut) -> Panel {
        let Some(Affine { scale, offset }) = self.norm else {
            return x;
        };
        let (values, statistics) = self.parts_of_normed(scratch);
        debug_assert!(x.holds(self.s.c, self.s.pixels));
        let (affine, statistics) = ([scale.as_ptr(), offset.as_ptr()], statistics.map(|panel| panel.at(0)));
        // SAFETY: the caller's contract; there is room for the result and the statistics, and a scale and offset for every channel.
        unsafe { group_norm_image(self.isa, &self.s.norm(), x.at(0), affine, values.at(0), statistics) };
        values.read()
    }
}

/// Where one image's values are.
pub(super) struct Image {
    /// `[c, pixels]`
    pub(super) x: Panel,
    pub(super) y: PanelMut,
    /// The next image's, which are only asked for.
    pub(super) next: [*mut f32; 2],
    /// Where queries, keys and values, the attended image, and what is kept of the softmax go.
    pub(super) saved: Option<[PanelMut; 3]>,
    /// The next image's of the first two of them; null where nothing is saved.
    pub(super) next_saved: [*mut f32; 2],
}

/// `y = x + W_o attention(W_qkv norm(x) + b_qkv) + b_o`; unless maps are merged, every value has the bits that
/// [`group_norm`](crate::group_norm), [`conv2d`](crate::conv2d) and [`self_attention`](crate::self_attention) give it.
///
/// # Shapes
/// `x`, `y`: `[n, c, pixels]`.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or there are no channels or pixels.
pub fn attention_block(
    s: &AttentionBlock,
    x: &[f32],
    w: &AttentionWeights,
    saved: Option<AttentionSaved>,
    y: &mut [f32],
) {
    s.check(x, w);
    check_len("attention_block", "y", y.len(), s.len());
    let saved = saved.map(|saved| {
        let all = [saved.qkv, saved.attended, saved.softmax];
        all.iter()
            .zip(s.saved_lens())
            .for_each(|(saved, len)| check_len("attention_block", "what is saved", saved.len(), len));
        all.map(Shared::new)
    });
    let isa = Isa::current();
    let (x, y) = (Shared::read(x), Shared::new(y));
    let common = Common { isa, s, norm: w.norm, packed: Packed::new(isa, s, w, false) };
    let last = s.n.saturating_sub(1);
    // Few images: with merged maps their queries are shared out. Every query is computed by itself, so this may depend on the threads.
    let threads = rayon::current_num_threads();
    let shares = if s.is_merged() { (2 * threads).div_ceil(s.n.max(1)).min(strips(s)) } else { 1 };
    (0..s.n * shares).into_par_iter().with_max_len(1).for_each(|task| {
        let (i, share) = (task / shares, task % shares);
        let saved_of = |i: usize| saved.map(|saved| s.saved_parts(saved, i));
        let next = (i + 1).min(last);
        let image = Image {
            x: Panel::of(x, i * s.image(), s.image(), s.pixels),
            y: PanelMut::of(y, i * s.image(), s.image(), s.pixels),
            next: [x, y].map(|values| values.at(next * s.image())),
            saved: saved_of(i),
            next_saved: saved_of(next)
                .map_or([std::ptr::null_mut(); 2], |[qkv, attended, _]| [qkv, attended].map(|x| x.at(0))),
        };
        // SAFETY: the lengths were checked, so that these are images of the slices; every task writes its own pixels of its own image.
        unsafe {
            if s.is_merged() {
                image.compute_merged(&common, [share, shares]);
            } else {
                image.compute(&common);
            }
        }
    });
}

/// Scratch of an image.
#[derive(Clone, Copy)]
struct Scratch {
    normed: PanelMut,
    /// The normalised image in panels of pixels, `[pixels / 32][c][32]`.
    image: PanelMut,
    /// Queries, keys and values where they are not saved, `[3, inner, pixels]`.
    qkv: PanelMut,
    /// 32 queries of a head, `[d][32]`, their scores, `[pixels][32]`, and what they attend to, `[inner][32]`.
    query: PanelMut,
    p: PanelMut,
    attended: PanelMut,
}

impl Scratch {
    /// Its parts: floats, and floats from one row to the next.
    fn parts(common: &Common) -> [(usize, usize); 6] {
        let s = common.s;
        [
            (common.normed_len(), s.pixels),
            (s.panels() * PANEL * s.c, PANEL),
            (3 * s.inner() * s.pixels, s.pixels),
            (PANEL * s.head(), PANEL),
            (PANEL * s.pixels, PANEL),
            (PANEL * s.inner(), PANEL),
        ]
    }

    fn cut(common: &Common, scratch: &mut [f32]) -> Self {
        let [normed, image, qkv, query, p, attended] = cut_panels(scratch, Self::parts(common));
        Self { normed, image, qkv, query, p, attended }
    }
}

impl Image {
    /// Computes the image with maps that are not merged.
    ///
    /// # Safety
    /// The panels must be good for an image, and nobody else may touch the results.
    unsafe fn compute(&self, common: &Common) {
        let Common { isa, s, ref packed, .. } = *common;
        let (pixels, inner) = (s.pixels, s.inner());
        with(floats(Scratch::parts(common)), |scratch| {
            let scratch = Scratch::cut(common, scratch);
            let qkv = self.saved.map_or(scratch.qkv, |[qkv, ..]| qkv);
            // SAFETY: the caller's contract; the normalised image is there before the product that reads it, and queries, keys and values
            // before the panels. The sizes of operands and results are those that the panels check in debug builds.
            unsafe {
                let normed = common.normed(self.x, scratch.normed);
                pack(isa, normed, [pixels, 1], [s.c, pixels], scratch.image, s.c * PANEL);
                let product = qkv.product(isa, [3 * inner, pixels, s.c], packed.qkv(), scratch.image.read());
                run(isa, Product { row_bias: packed.bias()[0], ..product });
                for panel in 0..s.panels() {
                    self.ask_for_next(common, panel);
                    self.panel(common, &scratch, qkv, panel);
                }
            }
        });
    }

    /// Asks for a panel's share of the next image.
    fn ask_for_next(&self, Common { isa, s, .. }: &Common, panel: usize) {
        let fetch = |at, len| fetch(*isa, Strided { at, rs: 1, cs: 1 }, len, [panel, s.panels()]);
        for image in self.next {
            fetch(image, s.image());
        }
        if self.saved.is_some() {
            fetch(self.next_saved[0], s.qkv_len() / s.n);
        }
    }

    /// What 32 queries of all heads attend to, and the output of their pixels.
    ///
    /// # Safety
    /// As for [`Self::compute`]; queries, keys and values must be there.
    unsafe fn panel(&self, common: &Common, scratch: &Scratch, qkv: PanelMut, panel: usize) {
        let Common { isa, s, ref packed, .. } = *common;
        let (pixels, inner) = (s.pixels, s.inner());
        let (from, width) = (panel * PANEL, (pixels - panel * PANEL).min(PANEL));
        let attended = self
            .saved
            .map_or(scratch.attended, |[_, attended, _]| attended.skip(panel * inner * PANEL).first(inner * PANEL));
        if self.saved.is_some() && vectors(width) < PANEL {
            // Everything that is saved is written.
            // SAFETY: the caller's contract; it is this panel's own.
            unsafe { attended.slice() }.fill(0.0);
        }
        for head in 0..s.heads {
            // SAFETY: the caller's contract; every head has its own rows of what is attended.
            unsafe { self.head(common, scratch, qkv, attended.from(head * s.head()), (panel, head)) };
        }
        let (x, y) = (self.x.skip(from), self.y.skip(from));
        debug_assert!(x.holds(s.c, width));
        let product = y.product(isa, [s.c, width, inner], packed.out(), attended.read());
        let product = Product { row_bias: packed.bias()[1], add: x.at(0), ..product };
        // SAFETY: the caller's contract; all heads have left what is attended, and the panels checked the sizes in debug builds.
        unsafe { run(isa, product) };
    }

    /// What 32 queries of a head attend to.
    ///
    /// # Safety
    /// As for [`Self::compute`]; queries, keys and values must be there.
    unsafe fn head(
        &self,
        common: &Common,
        scratch: &Scratch,
        qkv: PanelMut,
        attended: PanelMut,
        (panel, head): (usize, usize),
    ) {
        let Common { isa, s, .. } = *common;
        let (pixels, inner, d) = (s.pixels, s.inner(), s.head());
        let (from, width) = (panel * PANEL, (pixels - panel * PANEL).min(PANEL));
        let [q, k, v] = [0, 1, 2].map(|part| qkv.read().from(part * inner + head * d));
        let kept = self.saved.map(|[_, _, softmax]| {
            softmax.skip((head * s.panels() + panel) * s.softmax_panel()).first(s.softmax_panel())
        });
        if let Some(kept) = kept.filter(|_| vectors(width) < PANEL) {
            // SAFETY: the caller's contract; it is this head's and panel's own.
            unsafe { kept.slice() }.fill(0.0);
        }
        let kept = kept.map(|kept| (kept, s.keeps_probabilities()));
        let (p, statistics) = match kept {
            Some((kept, true)) => (kept, std::ptr::null_mut()),
            Some((kept, false)) => (scratch.p, kept.at(0)),
            None => (scratch.p, std::ptr::null_mut()),
        };
        let (n, columns) = (
            vectors(width),
            Columns { p: p.at(0), d: std::ptr::null_mut(), statistics, keys: pixels, width, factor: s.factor() },
        );
        // SAFETY: the caller's contract; queries are packed before their scores are computed, and those before their softmax and what
        // is attended. `p` has `[pixels][32]` scores and `statistics`, if it is there, 64 floats.
        unsafe {
            pack(isa, q.skip(from), [pixels, 1], [d, width], scratch.query, d * PANEL);
            run(isa, p.product(isa, [pixels, n, d], k.transposed_left(pixels, d), scratch.query.read()));
            softmax(isa, &columns);
            run(isa, attended.product(isa, [d, n, pixels], v.left(d, pixels), p.read()).long());
        }
    }
}
