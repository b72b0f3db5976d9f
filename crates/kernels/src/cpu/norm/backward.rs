//! Gradients of the group normalisation.

use super::{Affine, GroupNorm, Statistics};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::Shared;
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// One group of one image.
struct Backward {
    hw: usize,
    channels: usize,
    silu: bool,
    x: *const f32,
    dy: *const f32,
    /// Null, or what is added to `dx`.
    add: *const f32,
    dx: *mut f32,
    scale: *const f32,
    offset: *const f32,
    mean: f32,
    rstd: f32,
    /// Sums over this image, one a channel.
    d_scale: *mut f32,
    d_offset: *mut f32,
}

#[inline(always)]
unsafe fn backward_group<S: Simd>(a: &Backward) {
    unsafe {
        let (mean, rstd) = (S::splat(a.mean), S::splat(a.rstd));
        let one = S::splat(1.0);
        let (mut sum_1, mut sum_2) = (0f32, 0f32);
        // First pass: dz, the gradient before SiLU, goes to dx; its sums, and those of dz · normalised x.
        for c in 0..a.channels {
            let (scale, offset) = (S::splat(*a.scale.add(c)), S::splat(*a.offset.add(c)));
            let at = c * a.hw;
            let (mut s1, mut s2) = (S::zero(), S::zero());
            let mut i = 0;
            while i < a.hw {
                // The lanes past the end are x = 0, dy = 0: dz is 0 there, and adds nothing to the sums.
                let m = (a.hw - i).min(L);
                let (x, dy) = (a.x.add(at + i), a.dy.add(at + i));
                let (x, mut dz) = if m == L { (S::load(x), S::load(dy)) } else { (S::load_n(x, m), S::load_n(dy, m)) };
                let normed = S::mul(S::sub(x, mean), rstd);
                if a.silu {
                    let z = S::fma(normed, scale, offset);
                    let s = S::sigmoid(z);
                    dz = S::mul(S::mul(dz, s), S::fma(z, S::sub(one, s), one));
                }
                s1 = S::add(s1, dz);
                s2 = S::fma(dz, normed, s2);
                if m == L {
                    S::store(a.dx.add(at + i), dz);
                } else {
                    S::store_n(a.dx.add(at + i), m, dz);
                }
                i += m;
            }
            let (s1, s2) = (S::hsum(s1), S::hsum(s2));
            *a.d_offset.add(c) = s1;
            *a.d_scale.add(c) = s2;
            sum_1 += *a.scale.add(c) * s1;
            sum_2 += *a.scale.add(c) * s2;
        }
        // Second pass: dx = rstd (scale dz - mean_1 - normalised x · mean_2).
        let floats = a.channels * a.hw;
        let len = floats as f32;
        let (mean_1, mean_2) = (S::splat(a.rstd * sum_1 / len), S::splat(a.rstd * a.rstd * sum_2 / len));
        for c in 0..a.channels {
            let scale = S::splat(a.rstd * *a.scale.add(c));
            let at = c * a.hw;
            let mut i = 0;
            while i < a.hw {
                let m = (a.hw - i).min(L);
                let p = at + i;
                // The next group, while this one is in the cache.
                S::prefetch_line(a.x.wrapping_add(floats + p));
                S::prefetch_line(a.dy.wrapping_add(floats + p));
                macro_rules! load {
                    ($q:expr) => {
                        if m == L { S::load($q) } else { S::load_n($q, m) }
                    };
                }
                let centred = S::sub(load!(a.x.add(p)), mean);
                let mut r = S::fma(load!(a.dx.add(p)), scale, S::fnma(centred, mean_2, S::sub(S::zero(), mean_1)));
                if !a.add.is_null() {
                    r = S::add(r, load!(a.add.add(p)));
                }
                if m == L {
                    S::store(a.dx.add(p), r);
                } else {
                    S::store_n(a.dx.add(p), m, r);
                }
                i += m;
            }
        }
    }
}
isa_entry!(
    /// [`backward_group`].
    backward_group_isa [] = backward_group(Backward)
);

/// Gradients of [`super::group_norm`]: `dx` plus `add`, and those of scale and offset for every image.
///
/// # Shapes
/// `x`, `dy`, `add`, `dx`: `[n, c, hw]`; `d_scale`, `d_offset`: `[n, c]`, sums over the pixels of one image.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
#[allow(clippy::too_many_arguments)] // five inputs, three outputs
pub fn group_norm_backward(
    s: &GroupNorm,
    x: &[f32],
    statistics: Statistics,
    affine: Affine,
    dy: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
    d_scale: &mut [f32],
    d_offset: &mut [f32],
) {
    let stride = s.check(&affine);
    let (isa, channels) = (Isa::current(), s.channels());
    let (mean, rstd) = (statistics.mean, statistics.rstd);
    assert!(x.len() == s.len() && dy.len() == s.len() && dx.len() == s.len());
    assert!(add.is_none_or(|add| add.len() == s.len()));
    assert!(mean.len() == s.n * s.groups && rstd.len() == mean.len());
    assert!(d_scale.len() == s.n * s.c && d_offset.len() == d_scale.len());
    let (x, dy, dx) = (Shared::read(x), Shared::read(dy), Shared::new(dx));
    let (d_scale, d_offset) = (Shared::new(d_scale), Shared::new(d_offset));
    let (scale, offset) = (Shared::read(affine.scale), Shared::read(affine.offset));
    let add = add.map(Shared::read);
    (0..s.n * s.groups).into_par_iter().for_each(|i| {
        let (image, group) = (i / s.groups, i % s.groups);
        let (at, channel) = (i * channels * s.hw, image * stride + group * channels);
        let args = Backward {
            hw: s.hw,
            channels,
            silu: s.silu,
            x: x.at(at),
            dy: dy.at(at),
            add: add.map_or(std::ptr::null(), |add| add.at(at).cast_const()),
            dx: dx.at(at),
            scale: scale.at(channel),
            offset: offset.at(channel),
            mean: mean[i],
            rstd: rstd[i],
            d_scale: d_scale.at(i * channels),
            d_offset: d_offset.at(i * channels),
        };
        // SAFETY: the lengths were checked; every task writes its own group.
        unsafe { backward_group_isa(isa, &args) }
    });
}
