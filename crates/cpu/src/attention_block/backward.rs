//! Gradients of the block.

mod heads;
mod image;

use super::forward::Common;
use super::merged;
use super::weights::Packed;
use super::{AttentionBlock, AttentionBlockGradients, AttentionWeights};
use crate::elementwise::add_parts;
use crate::isa::Isa;
use crate::panel::{Panel, PanelMut};
use crate::scratch::{Shared, with};
use crate::sizes::check_len;
pub(super) use image::Image;
use rayon::prelude::*;

/// Tasks, at most: each leaves a partial sum of the parameters' gradients.
const TASKS: usize = 32;
/// Floats of all partial sums, at most: more of them take longer to add up, and push other things out of the caches (measured before
/// maps were merged, with 256 channels of 16×16 pixels and 16 images: 8 tasks took 0.88 of the time of 15).
const SUMS: usize = 5 << 18;

/// Where the parts of a partial sum lie.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// Floats before: weights of queries, keys and values, or merged of queries; of the output; biases of both; scale and offset of
    /// the norm; the end.
    at: [usize; 6],
}

impl Parts {
    fn new(s: &AttentionBlock) -> Self {
        let (c, inner) = (s.c, s.inner());
        let maps = if s.is_merged() { inner } else { 3 * inner };
        let mut at = [0; 6];
        for (i, len) in [maps * c, c * inner, maps, c, 2 * c].into_iter().enumerate() {
            at[i + 1] = at[i] + len;
        }
        Self { at }
    }

    /// Part `i` of all sums.
    pub(super) fn part(&self, sums: PanelMut, i: usize) -> PanelMut {
        debug_assert!(sums.len() == self.at[5], "{} sums of {}", sums.len(), self.at[5]);
        sums.skip(self.at[i]).first(self.at[i + 1] - self.at[i])
    }
}

/// Gradients of [`attention_block`](super::attention_block), from what it left of queries, keys and values, the attended image,
/// and the softmax.
///
/// # Shapes
/// `x`, `dy`: `[n, c, pixels]`.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or there are no channels or pixels.
pub fn attention_block_backward(
    s: &AttentionBlock,
    x: &[f32],
    w: &AttentionWeights,
    saved: [&[f32]; 3],
    dy: &[f32],
    d: AttentionBlockGradients,
) {
    s.check_backward(x, w, saved, dy);
    let check = |name: &str, len: usize, expected: usize| check_len("attention_block_backward", name, len, expected);
    check("dx", d.x.len(), x.len());
    let norm_len = if w.norm.is_some() { s.c } else { 0 };
    d.norm.iter().for_each(|d| check("a gradient of the norm", d.len(), norm_len));
    d.weight.iter().zip(w.weight).for_each(|(d, w)| check("the gradient of a weight", d.len(), w.len()));
    d.bias.iter().zip(w.bias).for_each(|(d, b)| check("the gradient of a bias", d.len(), b.len()));
    let (isa, parts) = (Isa::current(), Parts::new(s));
    let partial = parts.at[5];
    // As many images for each task as possible.
    let most = s.n.min(TASKS).min(SUMS / partial).max(1);
    let tasks = s.n.div_ceil(s.n.div_ceil(most).max(1)).max(1);
    let (x, dy, dx) = (Shared::read(x), Shared::read(dy), Shared::new(d.x));
    let saved = saved.map(Shared::read);
    let common = Common { isa, s, norm: w.norm, packed: Packed::new(isa, s, w, true) };
    with(tasks * partial, |sums| {
        sums.par_chunks_exact_mut(partial).with_max_len(1).enumerate().for_each(|(task, sums)| {
            sums.fill(0.0);
            for i in s.n * task / tasks..s.n * (task + 1) / tasks {
                let (at, len) = (i * s.image(), s.image());
                let [x_panel, dy_panel] = [x, dy].map(|values| Panel::of(values, at, len, s.pixels));
                let next = (i + 1).min(s.n - 1);
                let next_images = [x, dy, dx].map(|values| values.at(next * len));
                let next_saved = s.saved_parts(saved, next).map(|panel| panel.at(0));
                let image = Image {
                    x: x_panel,
                    dy: dy_panel,
                    dx: PanelMut::of(dx, at, len, s.pixels),
                    saved: s.saved_parts(saved, i),
                    next: (next_images, next_saved),
                };
                // SAFETY: the lengths were checked, so that these are images of the slices; every task writes its own images and sums.
                unsafe {
                    if s.is_merged() {
                        image.compute_merged(&common, parts, sums);
                    } else {
                        image.compute(&common, parts, sums);
                    }
                }
            }
        });
        add_parts(sums, partial);
        let [d_scale, d_offset] = d.norm;
        let mut rest = &sums[..partial];
        if s.is_merged() {
            let [query, out] = [take(&mut rest, s.c * s.c), take(&mut rest, s.c * s.c)];
            let bias = [take(&mut rest, s.c), take(&mut rest, s.c)];
            merged::gradients(isa, s, w, [query, out], bias, d.weight, d.bias);
        } else {
            for to in d.weight.into_iter().chain(d.bias) {
                to.copy_from_slice(take(&mut rest, to.len()));
            }
        }
        for to in [d_scale, d_offset] {
            to.copy_from_slice(take(&mut rest, to.len()));
        }
    });
}

/// Takes `len` values off the front.
fn take<'a>(values: &mut &'a [f32], len: usize) -> &'a [f32] {
    let (front, rest) = values.split_at(len);
    *values = rest;
    front
}
