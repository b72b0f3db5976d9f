//! Group normalisation with its affine map and SiLU in one pass over memory, and the gradients.

use super::isa::{Isa, isa_entry};
use super::scratch::Shared;
use super::simd::{L, Simd};
use rayon::prelude::*;

/// Sizes of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Pixels of an image.
    pub hw: usize,
    /// Groups; divides `c`.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Scale and offset after the normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// `[c]`, or `[n, c]` where every image has its own.
    pub scale: &'a [f32],
    /// As long as `scale`.
    pub offset: &'a [f32],
}

/// Mean and `1 / sqrt(variance + eps)` of every image and group, `[n, groups]` both.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// The means.
    pub mean: &'a [f32],
    /// The reciprocal standard deviations.
    pub rstd: &'a [f32],
}

impl GroupNorm {
    fn len(&self) -> usize {
        self.n * self.c * self.hw
    }

    fn channels(&self) -> usize {
        self.c / self.groups
    }

    /// Floats from one image's scales to the next's.
    fn check(&self, affine: &Affine) -> usize {
        assert!(
            self.groups > 0 && self.c.is_multiple_of(self.groups),
            "group_norm: {} groups do not divide {} channels",
            self.groups,
            self.c
        );
        let len = affine.scale.len();
        assert!(len == affine.offset.len() && (len == self.c || len == self.n * self.c));
        if len == self.c { 0 } else { self.c }
    }
}

/// One group of one image.
struct Forward {
    hw: usize,
    channels: usize,
    eps: f32,
    silu: bool,
    x: *const f32,
    y: *mut f32,
    scale: *const f32,
    offset: *const f32,
    mean: *mut f32,
    rstd: *mut f32,
}

/// `Σ (x - m)`, or with `SQUARED` `Σ (x - m)²`.
#[inline(always)]
unsafe fn sum<S: Simd, const SQUARED: bool>(x: *const f32, n: usize, m: f32) -> f32 {
    unsafe {
        let mv = S::splat(m);
        let mut acc = [S::zero(); 4];
        macro_rules! add {
            ($q:expr, $v:expr) => {
                let d = S::sub($v, mv);
                acc[$q] = if SQUARED { S::fma(d, d, acc[$q]) } else { S::add(acc[$q], d) };
            };
        }
        let mut i = 0;
        while i + 4 * L <= n {
            for q in 0..4 {
                add!(q, S::load(x.add(i + q * L)));
            }
            i += 4 * L;
        }
        while i + L <= n {
            add!(0, S::load(x.add(i)));
            i += L;
        }
        let mut s = S::hsum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])));
        while i < n {
            let d = *x.add(i) - m;
            s += if SQUARED { d * d } else { d };
            i += 1;
        }
        s
    }
}

#[inline(always)]
unsafe fn forward_group<S: Simd>(a: &Forward) {
    unsafe {
        let len = a.channels * a.hw;
        let mean = sum::<S, false>(a.x, len, 0.0) / len as f32;
        let variance = sum::<S, true>(a.x, len, mean) / len as f32;
        let rstd = 1.0 / (variance + a.eps).sqrt();
        *a.mean = mean;
        *a.rstd = rstd;
        for c in 0..a.channels {
            let scale = *a.scale.add(c) * rstd;
            // Centred first: `x scale + (offset - mean scale)` would cancel where |mean| is large.
            let (mean, offset) = (S::splat(mean), S::splat(*a.offset.add(c)));
            let scale = S::splat(scale);
            let (x, y) = (a.x.add(c * a.hw), a.y.add(c * a.hw));
            macro_rules! f {
                ($v:expr) => {{
                    let z = S::fma(S::sub($v, mean), scale, offset);
                    if a.silu { S::mul(z, S::sigmoid(z)) } else { z }
                }};
            }
            let mut i = 0;
            while i + 2 * L <= a.hw {
                let (v, w) = (f!(S::load(x.add(i))), f!(S::load(x.add(i + L))));
                S::store(y.add(i), v);
                S::store(y.add(i + L), w);
                i += 2 * L;
            }
            while i < a.hw {
                let m = (a.hw - i).min(L);
                S::store_n(y.add(i), m, f!(S::load_n(x.add(i), m)));
                i += m;
            }
        }
    }
}
isa_entry!(
    /// [`forward_group`].
    forward_group_isa [] = forward_group(Forward)
);

/// `y = silu(normalised x · scale + offset)`, or without SiLU; also the statistics.
///
/// # Shapes
/// `x`, `y`: `[n, c, hw]`; `mean`, `rstd`: `[n, groups]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm(s: &GroupNorm, x: &[f32], affine: Affine, y: &mut [f32], mean: &mut [f32], rstd: &mut [f32]) {
    let stride = s.check(&affine);
    let (isa, channels) = (Isa::current(), s.channels());
    assert!(x.len() == s.len() && y.len() == s.len());
    assert!(mean.len() == s.n * s.groups && rstd.len() == mean.len());
    let (x, y) = (Shared::read(x), Shared::new(y));
    let (mean, rstd) = (Shared::new(mean), Shared::new(rstd));
    let (scale, offset) = (Shared::read(affine.scale), Shared::read(affine.offset));
    (0..s.n * s.groups).into_par_iter().for_each(|i| {
        let (image, group) = (i / s.groups, i % s.groups);
        let (at, channel) = (i * channels * s.hw, image * stride + group * channels);
        let args = Forward {
            hw: s.hw,
            channels,
            eps: s.eps,
            silu: s.silu,
            x: x.at(at),
            y: y.at(at),
            scale: scale.at(channel),
            offset: offset.at(channel),
            mean: mean.at(i),
            rstd: rstd.at(i),
        };
        // SAFETY: the lengths were checked; every task writes its own group.
        unsafe { forward_group_isa(isa, &args) }
    });
}

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
        let len = (a.channels * a.hw) as f32;
        let (mean_1, mean_2) = (S::splat(a.rstd * sum_1 / len), S::splat(a.rstd * a.rstd * sum_2 / len));
        for c in 0..a.channels {
            let scale = S::splat(a.rstd * *a.scale.add(c));
            let at = c * a.hw;
            let mut i = 0;
            while i < a.hw {
                let m = (a.hw - i).min(L);
                let p = at + i;
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

/// Gradients of [`group_norm`]: `dx` plus `add`, and those of scale and offset for every image.
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
