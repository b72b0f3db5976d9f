//! A call of every public kernel, with slices from a [`Memory`] that sees to what becomes of them.
#![allow(dead_code, unused_imports)] // every test binary uses a part

mod attention;
mod conv;
mod names;
mod norm;
mod plain;
mod simple;
mod sizes;

pub(crate) use names::{first_word, public_functions};
pub(crate) use plain::Plain;
pub(crate) use sizes::every_case;

use sfumato_cpu::winograd::{Conv3x3, UpsampleConv3x3};
use sfumato_cpu::*;
use std::fmt::Debug;
use std::ops::DerefMut;

/// Where the slices of calls come from, and what is done around a call.
pub(crate) trait Memory {
    type Values: DerefMut<Target = [f32]>;

    /// Random values that kernels read.
    fn input(&self, seed: u64, len: usize) -> Self::Values;
    /// Values that kernels write.
    fn output(&self, len: usize) -> Self::Values;
    /// Runs `f`, which calls the kernel that is the first word of `what`.
    fn call<R: Results>(&self, what: &str, sizes: &dyn Debug, f: impl FnOnce() -> R);
}

/// What a kernel returns: nothing, numbers, or new vectors.
pub(crate) trait Results {
    fn each(&self, see: &mut dyn FnMut(&[f32]));
}

impl Results for () {
    fn each(&self, _: &mut dyn FnMut(&[f32])) {}
}

impl Results for f64 {
    fn each(&self, see: &mut dyn FnMut(&[f32])) {
        let bits = self.to_bits();
        see(&[f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32)]);
    }
}

impl Results for Vec<f32> {
    fn each(&self, see: &mut dyn FnMut(&[f32])) {
        see(self);
    }
}

impl<R: Results, const N: usize> Results for [R; N] {
    fn each(&self, see: &mut dyn FnMut(&[f32])) {
        self.iter().for_each(|result| result.each(see));
    }
}

/// Kernels that take the same sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Conv,
    Joined,
    Winograd,
    Upsampled,
    Norm,
    NormConv,
    Attention,
    SelfAttention,
    Block,
    Linear,
    Product,
    Elementwise,
    Moves,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Conv,
        Self::Joined,
        Self::Winograd,
        Self::Upsampled,
        Self::Norm,
        Self::NormConv,
        Self::Attention,
        Self::SelfAttention,
        Self::Block,
        Self::Linear,
        Self::Product,
        Self::Elementwise,
        Self::Moves,
    ];

    /// Calls the kernels with the sizes `said` and slices that fit the sizes `fit`. How many sizes there are follows from the kind; the last
    /// ones of some only say which slices there are.
    pub(crate) fn call(self, m: &impl Memory, fit: &[usize], said: &[usize]) {
        match self {
            Self::Conv => conv::convolutions(m, conv2d_of(fit), conv2d_of(said)),
            Self::Joined => conv::joined_convolutions(m, joined_of(fit), joined_of(said)),
            Self::Winograd => conv::winograd_convolutions(m, conv3x3_of(fit), conv3x3_of(said)),
            Self::Upsampled => conv::upsampled_convolutions(m, upsampled_of(fit), upsampled_of(said)),
            Self::Norm => {
                let [n, c, hw, groups, skip, flags] = all(fit);
                let norm = |n, c, hw, groups| GroupNorm { n, c, hw, groups, eps: 1e-5, silu: flags & 1 == 1 };
                let [n_, c_, hw_, groups_, _, _] = all(said);
                norm::group_norms(m, norm(n, c, hw, groups), norm(n_, c_, hw_, groups_), flags & 2 == 2, skip);
            }
            Self::NormConv => norm::norm_convs(m, norm_conv_of(fit), norm_conv_of(said), fit[6]),
            Self::Attention => attention::attentions(m, attention_of(fit), attention_of(said)),
            Self::SelfAttention => attention::self_attentions(m, self_attention_of(fit), self_attention_of(said)),
            Self::Block => attention::attention_blocks(m, block_of(fit), block_of(said), fit[6] == 1),
            Self::Linear => simple::linear_maps(m, all(fit), all(said)),
            Self::Product => simple::products(m, all(fit), all(said)),
            Self::Elementwise => simple::elementwise(m, fit[0]),
            Self::Moves => simple::moves(m, all(fit), all(said)),
        }
    }
}

/// As many sizes as there must be.
fn all<const N: usize>(sizes: &[usize]) -> [usize; N] {
    sizes.try_into().expect("as many sizes as the kind has")
}

fn conv2d_of(sizes: &[usize]) -> Conv2d {
    let [n, c, k, h, w, side, stride, top, left, bottom, right] = all(sizes);
    Conv2d { n, c, k, h, w, side, stride, padding: [top, left, bottom, right] }
}

fn joined_of(sizes: &[usize]) -> JoinedConv1x1 {
    let [n, a, b, k, pixels] = all(sizes);
    JoinedConv1x1 { n, c: [a, b], k, pixels }
}

fn conv3x3_of(sizes: &[usize]) -> Conv3x3 {
    let [n, c, k, h, w] = all(sizes);
    Conv3x3 { n, c, k, h, w }
}

fn upsampled_of(sizes: &[usize]) -> UpsampleConv3x3 {
    let [n, c, k, h, w] = all(sizes);
    UpsampleConv3x3 { n, c, k, h, w }
}

fn norm_conv_of(sizes: &[usize]) -> NormConv {
    let [n, c, groups, k, h, w, _, flags] = all(sizes);
    let norm = GroupNorm { n, c, hw: h.wrapping_mul(w), groups, eps: 1e-5, silu: flags == 1 };
    NormConv { norm, k, h, w }
}

fn attention_of(sizes: &[usize]) -> Attention {
    let [heads, n, m, d, d_v] = all(sizes);
    Attention { heads, n, m, d, d_v }
}

fn self_attention_of(sizes: &[usize]) -> SelfAttention {
    let [images, heads, tokens, d] = all(sizes);
    SelfAttention { images, heads, tokens, d }
}

fn block_of(sizes: &[usize]) -> AttentionBlock {
    let [n, c, pixels, heads, d, groups, _] = all(sizes);
    AttentionBlock { n, c, pixels, heads, d, groups, eps: 1e-5 }
}

/// The values, if they are to be given; else they are not even looked at.
pub(crate) fn optional<V: DerefMut<Target = [f32]>>(given: bool, values: &V) -> Option<&[f32]> {
    given.then(|| &values[..])
}
