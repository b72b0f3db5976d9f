//! Norm, self-attention and residual sum of a U-Net's attention block, image by image.
//!
//! An image goes through all steps in one task, so that what lies between them is in the core's cache. For the gradient queries,
//! keys, values and the attended image are kept, and the probabilities or what is needed to compute them again; the normalised
//! image is computed again.
//!
//! Where there is one head, [`merged`] maps save two of four maps of all pixels: the normalised image itself is keys and values.

mod backward;
mod forward;
mod merged;
mod weights;

pub use backward::attention_block_backward;
pub use forward::attention_block;

use super::attention::{factor, vectors};
use super::gemm::{PANEL, PackB, Product, multiply, pack_b};
use super::isa::Isa;
use super::norm::{Affine, GroupNorm};
use super::panel::{Panel, PanelMut};
use super::scratch::Shared;
use super::simd::L;
use super::sizes::{check_len, values};

/// Sizes of an attention block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionBlock {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub d: usize,
    /// Groups of the norm; divides `c`.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// Parameters of an attention block: those of the norm, if there is one, and of the maps to queries, keys and values and of the output.
#[derive(Clone, Copy, Debug)]
pub struct AttentionWeights<'a> {
    /// Scale and offset of the norm, `[c]`.
    pub norm: Option<Affine<'a>>,
    /// `[heads d, c]` three times, and `[c, heads d]`.
    pub weight: [&'a [f32]; 4],
    /// `[heads d]` three times, and `[c]`.
    pub bias: [&'a [f32]; 4],
}

/// Where what the gradient needs goes.
#[derive(Debug)]
pub struct AttentionSaved<'a> {
    /// Queries, or queries, keys and values, [`AttentionBlock::qkv_len`] values.
    pub qkv: &'a mut [f32],
    /// The attended image, [`AttentionBlock::attended_len`] values.
    pub attended: &'a mut [f32],
    /// Probabilities or statistics of them, [`AttentionBlock::softmax_len`] values.
    pub softmax: &'a mut [f32],
}

/// Where the gradients of [`attention_block`] go, in the shapes of what they are for.
#[derive(Debug)]
pub struct AttentionBlockGradients<'a> {
    /// That of the input.
    pub x: &'a mut [f32],
    /// Those of the norm's scale and offset; empty where there is no norm.
    pub norm: [&'a mut [f32]; 2],
    /// Those of the weights.
    pub weight: [&'a mut [f32]; 4],
    /// Those of the biases.
    pub bias: [&'a mut [f32]; 4],
}

/// In messages.
const NAME: &str = "attention_block";
/// Fewest pixels of an image: products of fewer columns are slow, and every image reads all weights.
const PIXELS: usize = 33;
/// The same of the gradient, which also adds to a partial sum of all weights' gradients for every image.
const PIXELS_BACKWARD: usize = 100;
/// Floats of all weights for which the gradient was measured, at most.
const WEIGHTS: usize = 4 * 256 * 256;
/// Fewest images for the gradient, which is shared out by image.
const IMAGES: usize = 8;
/// Probabilities are kept up to so many times `d` pixels. To compute them again takes time in proportion to `d`, to keep them
/// memory in proportion to the pixels: up to here less than the input, queries, keys, values and attended image take.
const KEPT_PIXELS: usize = 4;

/// Floats after which an address may have the place of another one in a cache of 64 sets.
const SAME_PLACE: usize = 256;

/// When what is computed image by image. Measured on two cores with 1 MiB of L2 cache each, against the operations one after
/// the other, with several heads or without merging maps: with 64 channels of 14×14 pixels the forward pass takes 0.9 of the time
/// and the gradient 0.8, with 128 of 16×16 0.95 and 0.85, with 256 of 16×16 0.9 and as much; with 256 of 8×8 as much and 1.2.
impl AttentionBlock {
    /// Whether [`attention_block`] takes less time than the operations one after the other. With merged maps it follows from the sizes alone, as the bits depend on it; else the result is
    /// the same bits either way, and this may depend on the number of threads.
    pub fn forward_pays(&self) -> bool {
        let threads = rayon::current_num_threads();
        self.pixels >= PIXELS && (self.is_merged() || self.n >= 4 * threads || self.n.is_multiple_of(threads))
    }

    /// Whether [`attention_block_backward`] takes less time than the gradients of the operations one after the other; follows from the sizes alone, as its bits depend on it.
    pub fn backward_pays(&self) -> bool {
        let (c, inner) = (self.c, self.heads * self.d);
        // Merged maps have half the sums of weights' gradients.
        let pixels = if self.is_merged() { PIXELS.max(c / 2) } else { PIXELS_BACKWARD.max(c).max(inner) };
        self.pixels >= pixels && 4 * c * inner <= WEIGHTS && self.n >= IMAGES
    }

    /// Whether the probabilities are kept, or else maximum of the scores and reciprocal sum of every query.
    fn keeps_probabilities(&self) -> bool {
        self.pixels.div_ceil(KEPT_PIXELS) <= self.head()
    }
}

impl AttentionBlock {
    /// Values of the input and of the output.
    pub fn len(&self) -> usize {
        values(NAME, [self.n, self.c, self.pixels])
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether keys and values are the normalised image; see [`merged`].
    fn is_merged(&self) -> bool {
        self.heads == 1 && self.d >= self.c
    }

    /// Values of queries, keys and values, `[n, 3, heads d, pixels]`; of merged maps only queries, panels of 32 channels,
    /// `[n, c / 32, pixels, 32]`.
    pub fn qkv_len(&self) -> usize {
        self.check_sizes();
        if self.is_merged() { self.attended_len() } else { values(NAME, [3, self.n, self.heads, self.d, self.pixels]) }
    }

    /// Values of the attended images: panels of 32 pixels, `[n, panels, heads d, 32]`, of merged maps of 32 channels,
    /// `[n, c / 32, pixels, 32]`.
    pub fn attended_len(&self) -> usize {
        self.check_sizes();
        if self.is_merged() {
            return values(NAME, [self.n, self.pixels, self.wide_channels()]);
        }
        values(NAME, [self.n, self.panels(), self.heads, self.d, PANEL])
    }

    /// Values of the probabilities, `[n, heads, panels of queries, keys, 32]`, or of their statistics,
    /// `[n, heads, panels of queries, 2, 32]`. Of merged maps, with pixels rounded up to whole vectors, exponentials,
    /// `[n, queries, keys]`, or their largest scores, `[n, queries]`, and then reciprocal sums, `[n, queries]`.
    pub fn softmax_len(&self) -> usize {
        self.check_sizes();
        if self.is_merged() {
            let statistics = if self.keeps_probabilities() { 1 } else { 2 };
            // No overflow in the sum: either term is within what `values` allows.
            return values(NAME, [self.n, self.kept_exponentials() + statistics * self.wide_pixels()]);
        }
        values(NAME, [self.n, self.heads, self.panels(), self.softmax_panel()])
    }

    /// Panics where channels and pixels cannot be rounded up.
    fn check_sizes(&self) {
        self.len();
    }

    /// Values of the exponentials that are kept of an image with merged maps.
    fn kept_exponentials(&self) -> usize {
        if self.keeps_probabilities() { values(NAME, [self.pixels, self.wide_pixels()]) } else { 0 }
    }

    /// Where largest scores, if they are kept, and reciprocal sums lie in what is kept of an image's softmax with merged maps.
    fn statistics(&self, softmax: PanelMut) -> [PanelMut; 2] {
        let wide = self.wide_pixels();
        let rows = softmax.skip(self.kept_exponentials()).rows_of(1);
        let tops = if self.keeps_probabilities() { 0 } else { wide };
        debug_assert!(rows.len() == tops + wide, "{} floats of statistics", rows.len());
        [rows.first(wide), rows.skip(tops)]
    }

    /// Channels rounded up to whole panels.
    fn wide_channels(&self) -> usize {
        self.c.next_multiple_of(PANEL)
    }

    /// Pixels rounded up to whole vectors.
    fn wide_pixels(&self) -> usize {
        vectors(self.pixels)
    }

    /// Floats from one row of scores to the next in scratch: whole vectors, and no large power of two, whose multiples have few places in a
    /// cache.
    fn score_stride(&self) -> usize {
        let wide = self.wide_pixels();
        if wide.is_multiple_of(SAME_PLACE) { wide + L } else { wide }
    }

    fn softmax_panel(&self) -> usize {
        PANEL * if self.keeps_probabilities() { self.pixels } else { 2 }
    }

    fn saved_lens(&self) -> [usize; 3] {
        [self.qkv_len(), self.attended_len(), self.softmax_len()]
    }

    /// What is saved of image `i`; pixels of queries, keys and values are rows.
    fn saved_parts(&self, saved: [Shared; 3], i: usize) -> [PanelMut; 3] {
        let lens = self.saved_lens().map(|len| len / self.n);
        let strides = [self.pixels, PANEL, PANEL];
        [0, 1, 2].map(|part| PanelMut::of(saved[part], i * lens[part], lens[part], strides[part]))
    }

    fn image(&self) -> usize {
        self.c * self.pixels
    }

    /// Channels of a head's queries.
    fn head(&self) -> usize {
        if self.is_merged() { self.c } else { self.d }
    }

    /// Those of all heads.
    fn inner(&self) -> usize {
        self.heads * self.head()
    }

    fn panels(&self) -> usize {
        self.pixels.div_ceil(PANEL)
    }

    fn factor(&self) -> f32 {
        factor(self.d)
    }

    /// The norm of one image.
    fn norm(&self) -> GroupNorm {
        GroupNorm { n: 1, c: self.c, hw: self.pixels, groups: self.groups, eps: self.eps, silu: false }
    }

    /// Panics unless input and weights fit the sizes.
    pub(super) fn check(&self, x: &[f32], w: &AttentionWeights) {
        let (c, inner) = (self.c, values(NAME, [self.heads, self.d]));
        assert!(c > 0 && inner > 0 && self.pixels > 0, "attention_block: there must be channels and pixels");
        check_len(NAME, "x", x.len(), self.len());
        let weight_len = values(NAME, [c, self.heads, self.d]);
        w.weight.iter().for_each(|weight| check_len(NAME, "a weight", weight.len(), weight_len));
        w.bias.iter().zip([inner, inner, inner, c]).for_each(|(bias, len)| check_len(NAME, "a bias", bias.len(), len));
        // What is kept for the gradient is computed in scratch where it is not kept.
        self.saved_lens();
        if let Some(Affine { scale, offset }) = w.norm {
            check_len(NAME, "the norm's scale", scale.len(), c);
            check_len(NAME, "the norm's offset", offset.len(), c);
            assert!(
                self.groups > 0 && c.is_multiple_of(self.groups),
                "attention_block: {} groups do not divide {c} channels",
                self.groups
            );
        } else {
            assert!(self.groups <= c, "attention_block: {} groups of {c} channels", self.groups);
        }
    }
}

impl AttentionBlock {
    /// Panics unless what the gradient reads fits the sizes.
    pub(super) fn check_backward(&self, x: &[f32], w: &AttentionWeights, saved: [&[f32]; 3], dy: &[f32]) {
        self.check(x, w);
        check_len("attention_block_backward", "dy", dy.len(), x.len());
        for (saved, len) in saved.iter().zip(self.saved_lens()) {
            check_len("attention_block_backward", "what was saved", saved.len(), len);
        }
    }
}

/// # Safety
/// As for [`multiply`].
unsafe fn run(isa: Isa, product: Product) {
    // SAFETY: the caller's contract.
    unsafe { multiply(isa, &product) }
}

/// Packs the `k` × `n` matrix at `src`, element `(i, j)` at `i rs + j cs`, into panels `panel` floats apart.
///
/// # Safety
/// The matrix must be readable, and there must be room for whole panels.
unsafe fn pack(isa: Isa, src: Panel, [rs, cs]: [usize; 2], [k, n]: [usize; 2], dst: PanelMut, panel: usize) {
    debug_assert!(k == 0 || n == 0 || (k - 1) * rs + (n - 1) * cs < src.len(), "{k} × {n} of {src:?}");
    debug_assert!(dst.rows_of(panel).holds(n.div_ceil(PANEL), k * PANEL), "{k} × {n} to panels of {dst:?}");
    let (src, dst) = (src.at(0), dst.at(0));
    // SAFETY: the caller's contract.
    unsafe { pack_b(isa, &PackB { src, rs, cs, k, n0: 0, n1: n, dst, panel }) }
}
