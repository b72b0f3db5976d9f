//! Gradients of the group normalisation.

use super::{Affine, GroupNorm, NormInput, Statistics};
use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::Shared;
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;

/// One group of one image. Pointers that need not be there are null.
struct Backward {
    hw: usize,
    /// Channels at each `x`.
    channels: [usize; 2],
    silu: bool,
    x: [*mut f32; 2],
    /// One value a channel, added to `x`.
    bias: *const f32,
    dy: *const f32,
    /// What is added to `dx`.
    add: [*mut f32; 2],
    dx: [*mut f32; 2],
    /// The result of the forward pass, where it is wanted again.
    y: *mut f32,
    scale: *const f32,
    offset: *const f32,
    mean: f32,
    rstd: f32,
    /// Sums over this image, one a channel.
    d_scale: *mut f32,
    d_offset: *mut f32,
    d_bias: *mut f32,
}

impl Backward {
    /// The mean that is subtracted from channel `c`.
    #[inline(always)]
    unsafe fn mean(&self, c: usize) -> f32 {
        // SAFETY: the caller's; there is a bias for every channel of the group.
        if self.bias.is_null() { self.mean } else { self.mean - unsafe { *self.bias.add(c) } }
    }
}

/// First pass: dz, the gradient before SiLU, goes to dx. The weighted sums of dz and of dz · normalised x.
#[inline(always)]
unsafe fn first_pass<S: Simd>(a: &Backward) -> (f32, f32) {
    unsafe {
        let (one, rstd) = (S::splat(1.0), S::splat(a.rstd));
        let (mut sum_1, mut sum_2) = (0f32, 0f32);
        let mut c = 0;
        for part in 0..2 {
            for i in 0..a.channels[part] {
                let (scale, offset) = (S::splat(*a.scale.add(c)), S::splat(*a.offset.add(c)));
                let mean = S::splat(a.mean(c));
                let (x, dx) = (a.x[part].add(i * a.hw), a.dx[part].add(i * a.hw));
                let dy = a.dy.add(c * a.hw);
                let y = a.y.wrapping_add(c * a.hw);
                let (mut s1, mut s2) = (S::zero(), S::zero());
                let mut i = 0;
                while i < a.hw {
                    // The lanes past the end are x = 0, dy = 0: dz is 0 there, and adds nothing to the sums.
                    let m = (a.hw - i).min(L);
                    let (x, dy) = (x.add(i), dy.add(i));
                    let (x, mut dz) =
                        if m == L { (S::load(x), S::load(dy)) } else { (S::load_n(x, m), S::load_n(dy, m)) };
                    let normed = S::mul(S::sub(x, mean), rstd);
                    let mut result = S::fma(normed, scale, offset);
                    if a.silu {
                        let (z, s) = (result, S::sigmoid(result));
                        dz = S::mul(S::mul(dz, s), S::fma(z, S::sub(one, s), one));
                        result = S::mul(z, s);
                    }
                    if !a.y.is_null() {
                        if m == L { S::store(y.add(i), result) } else { S::store_n(y.add(i), m, result) }
                    }
                    s1 = S::add(s1, dz);
                    s2 = S::fma(dz, normed, s2);
                    if m == L {
                        S::store(dx.add(i), dz);
                    } else {
                        S::store_n(dx.add(i), m, dz);
                    }
                    i += m;
                }
                let (s1, s2) = (S::hsum(s1), S::hsum(s2));
                *a.d_offset.add(c) = s1;
                *a.d_scale.add(c) = s2;
                sum_1 += *a.scale.add(c) * s1;
                sum_2 += *a.scale.add(c) * s2;
                c += 1;
            }
        }
        (sum_1, sum_2)
    }
}

/// Second pass: dx = rstd (scale dz - mean_1 - normalised x · mean_2), and its sums.
#[inline(always)]
unsafe fn second_pass<S: Simd>(a: &Backward, sum_1: f32, sum_2: f32) {
    unsafe {
        let channels = a.channels[0] + a.channels[1];
        let len = (channels * a.hw) as f32;
        let (mean_1, mean_2) = (S::splat(a.rstd * sum_1 / len), S::splat(a.rstd * a.rstd * sum_2 / len));
        let mut c = 0;
        for part in 0..2 {
            let floats = a.channels[part] * a.hw;
            for i in 0..a.channels[part] {
                let scale = S::splat(a.rstd * *a.scale.add(c));
                let mean = S::splat(a.mean(c));
                let at = i * a.hw;
                let (x, dx) = (a.x[part].add(at), a.dx[part].add(at));
                let add = if a.add[part].is_null() { a.add[part] } else { a.add[part].add(at) };
                let next_dy = a.dy.wrapping_add((channels + c) * a.hw);
                let mut sum = S::zero();
                let mut i = 0;
                while i < a.hw {
                    let m = (a.hw - i).min(L);
                    // The next group, while this one is in the cache.
                    S::prefetch_line(x.wrapping_add(floats + i));
                    S::prefetch_line(next_dy.wrapping_add(i));
                    macro_rules! load {
                        ($q:expr) => {
                            if m == L { S::load($q) } else { S::load_n($q, m) }
                        };
                    }
                    macro_rules! store {
                        ($v:expr) => {
                            if m == L { S::store(dx.add(i), $v) } else { S::store_n(dx.add(i), m, $v) }
                        };
                    }
                    let centred = S::sub(load!(x.add(i)), mean);
                    let mut r = S::fma(load!(dx.add(i)), scale, S::fnma(centred, mean_2, S::sub(S::zero(), mean_1)));
                    if !a.d_bias.is_null() {
                        if m < L {
                            // Clears the lanes past the end.
                            store!(r);
                            r = load!(dx.add(i));
                        }
                        sum = S::add(sum, r);
                    }
                    if !add.is_null() {
                        r = S::add(r, load!(add.add(i)));
                    }
                    store!(r);
                    i += m;
                }
                if !a.d_bias.is_null() {
                    *a.d_bias.add(c) = S::hsum(sum);
                }
                c += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_group<S: Simd>(a: &Backward) {
    unsafe {
        let (sum_1, sum_2) = first_pass::<S>(a);
        second_pass::<S>(a, sum_1, sum_2);
    }
}
isa_entry!(
    /// [`backward_group`].
    backward_group_isa [] = backward_group(Backward)
);

/// Where the gradients of [`super::group_norm`] go.
#[derive(Debug)]
pub struct NormGradients<'a> {
    /// That of `x`, in its shape.
    pub x: &'a mut [f32],
    /// That of `skip`, in its shape.
    pub skip: &'a mut [f32],
    /// Empty where it is not wanted, or that of the bias, `[n, c]`.
    pub bias: &'a mut [f32],
    /// That of the scale for every image, `[n, c]`.
    pub scale: &'a mut [f32],
    /// That of the offset for every image, `[n, c]`.
    pub offset: &'a mut [f32],
    /// Empty where it is not wanted, or the result of the forward pass once more, `[n, c, hw]`.
    pub y: &'a mut [f32],
}

/// Gradients of [`super::group_norm`]; `add` is added to those of `x` and of `skip`.
///
/// # Shapes
/// `dy`: `[n, c, hw]`; `add`: in the shapes of `x` and `skip`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm_backward(
    s: &GroupNorm,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    dy: &[f32],
    add: [Option<&[f32]>; 2],
    d: NormGradients,
) {
    let stride = s.check(&affine);
    let layout = x.layout(s);
    let (isa, channels) = (Isa::current(), s.channels());
    let (mean, rstd) = (statistics.mean, statistics.rstd);
    assert!(dy.len() == s.len() && d.x.len() == x.x.len() && d.skip.len() == x.skip.len());
    assert!(add[0].is_none_or(|add| add.len() == x.x.len()) && add[1].is_none_or(|add| add.len() == x.skip.len()));
    assert!(mean.len() == s.n * s.groups && rstd.len() == mean.len());
    assert!(d.scale.len() == s.n * s.c && d.offset.len() == d.scale.len());
    assert!(d.bias.is_empty() || d.bias.len() == d.scale.len());
    assert!(d.y.is_empty() || d.y.len() == s.len());
    let y = (!d.y.is_empty()).then(|| Shared::new(d.y));
    let bias = (!x.bias.is_empty()).then(|| Shared::read(x.bias));
    let d_bias = (!d.bias.is_empty()).then(|| Shared::new(d.bias));
    let x = [Some(Shared::read(x.x)), Some(Shared::read(x.skip))];
    let dx = [Some(Shared::new(d.x)), Some(Shared::new(d.skip))];
    let add = add.map(|add| add.map(Shared::read));
    let dy = Shared::read(dy);
    let (d_scale, d_offset) = (Shared::new(d.scale), Shared::new(d.offset));
    let (scale, offset) = (Shared::read(affine.scale), Shared::read(affine.offset));
    (0..s.n * s.groups).into_par_iter().for_each(|i| {
        let (image, group) = (i / s.groups, i % s.groups);
        let place = layout.group(i);
        let channel = image * stride + group * channels;
        let args = Backward {
            hw: s.hw,
            channels: place.channels,
            silu: s.silu,
            x: place.of(x),
            bias: bias.map_or(std::ptr::null(), |bias| bias.at(i * channels).cast_const()),
            dy: dy.at(i * channels * s.hw),
            add: place.of(add),
            dx: place.of(dx),
            y: y.map_or(std::ptr::null_mut(), |y| y.at(i * channels * s.hw)),
            scale: scale.at(channel),
            offset: offset.at(channel),
            mean: mean[i],
            rstd: rstd[i],
            d_scale: d_scale.at(i * channels),
            d_offset: d_offset.at(i * channels),
            d_bias: d_bias.map_or(std::ptr::null_mut(), |d| d.at(i * channels)),
        };
        // SAFETY: the lengths were checked; every task writes its own group.
        unsafe { backward_group_isa(isa, &args) }
    });
}

/// [`group_norm_backward`] of one image, in this thread; `add` is added to `dx`, `sums` are the gradients of scale and offset.
///
/// # Safety
/// The pointers must be good for an image, the channels, and the groups.
#[allow(clippy::too_many_arguments)] // the operands and results of the operation
pub(in crate::cpu) unsafe fn group_norm_backward_image(
    isa: Isa,
    s: &GroupNorm,
    x: *const f32,
    [mean, rstd]: [*const f32; 2],
    [scale, offset]: [*const f32; 2],
    dy: *const f32,
    add: *const f32,
    dx: *mut f32,
    [d_scale, d_offset]: [*mut f32; 2],
) {
    let channels = s.channels();
    for group in 0..s.groups {
        let (channel, at) = (group * channels, group * channels * s.hw);
        // SAFETY: the caller's contract; group after group lies in the image.
        unsafe {
            let args = Backward {
                hw: s.hw,
                channels: [channels, 0],
                silu: s.silu,
                x: [x.add(at).cast_mut(); 2],
                bias: std::ptr::null(),
                dy: dy.add(at),
                add: [add.add(at).cast_mut(); 2],
                dx: [dx.add(at); 2],
                y: std::ptr::null_mut(),
                scale: scale.add(channel),
                offset: offset.add(channel),
                mean: *mean.add(group),
                rstd: *rstd.add(group),
                d_scale: d_scale.add(channel),
                d_offset: d_offset.add(channel),
                d_bias: std::ptr::null_mut(),
            };
            backward_group_isa(isa, &args);
        }
    }
}
