//! The block itself.

use super::merged::strips;
use super::weights::Packed;
use super::{AttentionBlock, AttentionSaved, AttentionWeights, pack, run};
use crate::attention::packed::{Strided, cut, fetch};
use crate::attention::vectors;
use crate::gemm::{Left, PANEL, Product};
use crate::isa::Isa;
use crate::norm::{Affine, group_norm_image};
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

    /// The normalised image `x`, or `x` itself where there is no norm, and its statistics.
    ///
    /// # Safety
    /// The pointer must be good for an image.
    pub(super) unsafe fn normed(&self, x: *mut f32, scratch: &mut [f32]) -> (*mut f32, [*mut f32; 2]) {
        let (values, statistics) = scratch[..self.normed_len()].split_at_mut(self.s.image());
        let (mean, rstd) = statistics.split_at_mut(self.s.groups);
        let (values, statistics) = (values.as_mut_ptr(), [mean.as_mut_ptr(), rstd.as_mut_ptr()]);
        let Some(Affine { scale, offset }) = self.norm else {
            return (x, statistics);
        };
        let affine = [scale.as_ptr(), offset.as_ptr()];
        // SAFETY: the caller's contract; there is room for the result.
        unsafe { group_norm_image(self.isa, &self.s.norm(), x, affine, values, statistics) };
        (values, statistics)
    }
}

/// Where one image's values are.
pub(super) struct Image {
    pub(super) x: *mut f32,
    pub(super) y: *mut f32,
    /// The next image's.
    pub(super) next: [*mut f32; 2],
    /// Null, or where queries, keys and values, the attended image, and what is kept of the softmax go.
    pub(super) saved: [*mut f32; 3],
    /// The next image's of the first two of them.
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
        let at = |x: Shared, i: usize| x.at(i * s.image());
        let part = |i: usize| {
            saved.map_or([std::ptr::null_mut(); 3], |saved| {
                let lens = s.saved_lens();
                [0, 1, 2].map(|part| saved[part].at(i * (lens[part] / s.n)))
            })
        };
        let next = (i + 1).min(last);
        let [next_qkv, next_attended, _] = part(next);
        let image = Image {
            x: at(x, i),
            y: at(y, i),
            next: [at(x, next), at(y, next)],
            saved: part(i),
            next_saved: [next_qkv, next_attended],
        };
        // SAFETY: the lengths were checked; every task writes its own pixels of its own image.
        unsafe {
            if s.is_merged() {
                image.compute_merged(&common, [share, shares]);
            } else {
                image.compute(&common);
            }
        }
    });
}

impl Image {
    /// Computes the image with maps that are not merged.
    ///
    /// # Safety
    /// The pointers must be good for an image, and nobody else may touch the results.
    unsafe fn compute(&self, common: &Common) {
        let Common { isa, s, ref packed, .. } = *common;
        let (pixels, inner, d, panels) = (s.pixels, s.inner(), s.head(), s.panels());
        let [qkv_bias, out_bias] = packed.bias();
        let len = common.normed_len() + panels * PANEL * s.c + 3 * inner * pixels + PANEL * (d + pixels + inner);
        with(len, |mut scratch| {
            let normed = cut(&mut scratch, common.normed_len());
            let image = cut(&mut scratch, panels * PANEL * s.c).as_mut_ptr();
            let own_qkv = cut(&mut scratch, 3 * inner * pixels).as_mut_ptr();
            let query = cut(&mut scratch, PANEL * d).as_mut_ptr();
            let own_p = cut(&mut scratch, PANEL * pixels).as_mut_ptr();
            let own_attended = scratch.as_mut_ptr();
            let [qkv, saved_attended, saved_softmax] = self.saved;
            let saving = !qkv.is_null();
            let keeping = saving && s.keeps_probabilities();
            let qkv = if saving { qkv } else { own_qkv };
            // SAFETY: the caller's contract, and the scratch has room for what is put there.
            unsafe {
                let (normed, _) = common.normed(self.x, normed);
                pack(isa, normed, [pixels, 1], [s.c, pixels], image, s.c * PANEL);
                let product = Product::whole(isa, [3 * inner, pixels, s.c], packed.qkv(), image, qkv, pixels);
                run(isa, Product { row_bias: qkv_bias, ..product });
                for panel in 0..panels {
                    let part = [panel, panels];
                    let next = |at| Strided { at, rs: 1, cs: 1 };
                    for image in self.next {
                        fetch(isa, next(image), s.image(), part);
                    }
                    if saving {
                        fetch(isa, next(self.next_saved[0]), s.qkv_len() / s.n, part);
                    }
                    let (from, width) = (panel * PANEL, (pixels - panel * PANEL).min(PANEL));
                    let attended = if saving { saved_attended.add(panel * inner * PANEL) } else { own_attended };
                    let part = vectors(width) < PANEL;
                    if part && saving {
                        // Everything that is saved is written.
                        std::slice::from_raw_parts_mut(attended, inner * PANEL).fill(0.0);
                    }
                    for head in 0..s.heads {
                        let at = |part: usize| qkv.add((part * inner + head * d) * pixels);
                        pack(isa, at(0).add(from), [pixels, 1], [d, width], query, 0);
                        let kept = saved_softmax.wrapping_add((head * panels + panel) * s.softmax_panel());
                        if part && saving {
                            std::slice::from_raw_parts_mut(kept, s.softmax_panel()).fill(0.0);
                        }
                        let none = std::ptr::null_mut();
                        let p = if keeping { kept } else { own_p };
                        let statistics = if saving && !keeping { kept } else { none };
                        let keys = Left::InPlace { at: at(1), rs: 1, cs: pixels };
                        run(isa, Product::whole(isa, [pixels, vectors(width), d], keys, query, p, PANEL));
                        softmax(isa, &Columns { p, d: none, statistics, keys: pixels, width, factor: s.factor() });
                        let values = Left::InPlace { at: at(2), rs: pixels, cs: 1 };
                        let to = attended.add(head * d * PANEL);
                        run(isa, Product::whole(isa, [d, vectors(width), pixels], values, p, to, PANEL));
                    }
                    let (x, y) = (self.x.add(from), self.y.add(from));
                    let product = Product::whole(isa, [s.c, width, inner], packed.out(), attended, y, pixels);
                    run(isa, Product { row_bias: out_bias, add: x, ..product });
                }
            }
        });
    }
}
