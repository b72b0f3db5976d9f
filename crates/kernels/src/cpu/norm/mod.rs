//! Group normalisation with its affine map and SiLU in one pass over memory.
//!
//! What a network does to the input just before costs no pass of its own: a value added to every pixel of a channel moves
//! the mean that is subtracted, and channels joined from two tensors are read where they are.

mod backward;
mod input;

pub(super) use backward::group_norm_backward_image;
pub use backward::{NormGradients, group_norm_backward};
pub use input::NormInput;
pub(super) use input::{ImagesMut, images};

use crate::cpu::isa::{Isa, isa_entry};
use crate::cpu::scratch::Shared;
use crate::cpu::simd::{L, Simd};
use rayon::prelude::*;
use std::ops::Range;

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

impl<'a> Affine<'a> {
    /// Those of a range of `n` images of `c` channels.
    pub(super) fn images(&self, [n, c]: [usize; 2], range: &Range<usize>) -> Affine<'a> {
        if self.scale.len() == c {
            return *self;
        }
        Affine { scale: images(self.scale, n, range), offset: images(self.offset, n, range) }
    }
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

/// Calls `object.method::<N>(i, lanes)` for all vectors of `hw` floats: `N` of them from float `i` on, of [`L`] lanes each, or
/// one of fewer at the end. As the arithmetic of a vector is one long chain, several are in flight where registers suffice.
macro_rules! each_vector {
    ($S:ident, $hw:expr, $object:ident.$method:ident()) => {{
        let mut i = 0;
        if $S::WIDE {
            while i + 4 * L <= $hw {
                $object.$method::<4>(i, L);
                i += 4 * L;
            }
        }
        while i + L <= $hw {
            $object.$method::<1>(i, L);
            i += L;
        }
        if i < $hw {
            $object.$method::<1>(i, $hw - i);
        }
    }};
}
use each_vector;

/// The first `lanes` lanes, the others zero. Called with the constant [`L`], it is a plain load.
#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    // SAFETY: the caller's contract.
    unsafe { if lanes == L { S::load(p) } else { S::load_n(p, lanes) } }
}

/// Writes the first `lanes` lanes.
#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, lanes: usize, v: S::V) {
    // SAFETY: the caller's contract.
    unsafe { if lanes == L { S::store(p, v) } else { S::store_n(p, lanes, v) } }
}

/// One group of one image.
struct Forward {
    hw: usize,
    /// Channels at each `x`.
    channels: [usize; 2],
    eps: f32,
    silu: bool,
    x: [*mut f32; 2],
    /// Null, or one value a channel, added to `x`.
    bias: *const f32,
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

/// [`sum`] over the biased values of a group.
#[inline(always)]
unsafe fn sum_group<S: Simd, const SQUARED: bool>(a: &Forward, m: f32) -> f32 {
    unsafe {
        let (mut total, mut c) = (0.0, 0);
        for part in 0..2 {
            if a.bias.is_null() {
                total += sum::<S, SQUARED>(a.x[part], a.channels[part] * a.hw, m);
                continue;
            }
            for i in 0..a.channels[part] {
                total += sum::<S, SQUARED>(a.x[part].add(i * a.hw), a.hw, m - *a.bias.add(c));
                c += 1;
            }
        }
        total
    }
}

/// Where a channel is, and what becomes of it.
struct Channel<S: Simd> {
    x: *const f32,
    y: *mut f32,
    mean: S::V,
    scale: S::V,
    offset: S::V,
    silu: bool,
    /// The same channel of the next group.
    next: [*const f32; 2],
}

impl<S: Simd> Channel<S> {
    /// `N` vectors from pixel `i` on, of which only the first `lanes` lanes are there.
    #[inline(always)]
    unsafe fn apply<const N: usize>(&mut self, i: usize, lanes: usize) {
        unsafe {
            // The next group, while this one is in the cache.
            S::prefetch(self.next[0].wrapping_add(i), N * L);
            S::prefetch(self.next[1].wrapping_add(i), N * L);
            let mut z = [S::zero(); N];
            for v in 0..N {
                let x = load::<S>(self.x.add(i + v * L), lanes);
                // Centred first: `x scale + (offset - mean scale)` would cancel where |mean| is large.
                z[v] = S::fma(S::sub(x, self.mean), self.scale, self.offset);
                if self.silu {
                    z[v] = S::mul(z[v], S::sigmoid(z[v]));
                }
            }
            for v in 0..N {
                store::<S>(self.y.add(i + v * L), lanes, z[v]);
            }
        }
    }
}

#[inline(always)]
unsafe fn forward_group<S: Simd>(a: &Forward) {
    unsafe {
        let total = (a.channels[0] + a.channels[1]) * a.hw;
        let mean = sum_group::<S, false>(a, 0.0) / total as f32;
        let variance = sum_group::<S, true>(a, mean) / total as f32;
        let rstd = 1.0 / (variance + a.eps).sqrt();
        *a.mean = mean;
        *a.rstd = rstd;
        let mut c = 0;
        for part in 0..2 {
            for i in 0..a.channels[part] {
                let bias = if a.bias.is_null() { 0.0 } else { *a.bias.add(c) };
                let (x, y) = (a.x[part].add(i * a.hw), a.y.add(c * a.hw));
                let mut channel = Channel::<S> {
                    x,
                    y,
                    mean: S::splat(mean - bias),
                    scale: S::splat(*a.scale.add(c) * rstd),
                    offset: S::splat(*a.offset.add(c)),
                    silu: a.silu,
                    next: [x.wrapping_add(a.channels[part] * a.hw), y.wrapping_add(total)],
                };
                each_vector!(S, a.hw, channel.apply());
                c += 1;
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
/// `y`: `[n, c, hw]`; `mean`, `rstd`: `[n, groups]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm(s: &GroupNorm, x: NormInput, affine: Affine, y: &mut [f32], mean: &mut [f32], rstd: &mut [f32]) {
    let stride = s.check(&affine);
    let layout = x.layout(s);
    let (isa, channels) = (Isa::current(), s.channels());
    assert!(y.len() == s.len());
    assert!(mean.len() == s.n * s.groups && rstd.len() == mean.len());
    let bias = (!x.bias.is_empty()).then(|| Shared::read(x.bias));
    let x = [Some(Shared::read(x.x)), Some(Shared::read(x.skip))];
    let (y, mean, rstd) = (Shared::new(y), Shared::new(mean), Shared::new(rstd));
    let (scale, offset) = (Shared::read(affine.scale), Shared::read(affine.offset));
    (0..s.n * s.groups).into_par_iter().for_each(|i| {
        let (image, group) = (i / s.groups, i % s.groups);
        let place = layout.group(i);
        let channel = image * stride + group * channels;
        let args = Forward {
            hw: s.hw,
            channels: place.channels,
            eps: s.eps,
            silu: s.silu,
            x: place.of(x),
            bias: bias.map_or(std::ptr::null(), |bias| bias.at(i * channels).cast_const()),
            y: y.at(i * channels * s.hw),
            scale: scale.at(channel),
            offset: offset.at(channel),
            mean: mean.at(i),
            rstd: rstd.at(i),
        };
        // SAFETY: the lengths were checked; every task writes its own group.
        unsafe { forward_group_isa(isa, &args) }
    });
}

/// [`group_norm`] of one image `x: [c, hw]`, in this thread; every channel has its scale and offset.
///
/// # Safety
/// The pointers must be good for an image, the channels, and the groups.
pub(super) unsafe fn group_norm_image(
    isa: Isa,
    s: &GroupNorm,
    x: *const f32,
    [scale, offset]: [*const f32; 2],
    y: *mut f32,
    [mean, rstd]: [*mut f32; 2],
) {
    let channels = s.channels();
    for group in 0..s.groups {
        let (channel, at) = (group * channels, group * channels * s.hw);
        // SAFETY: the caller's contract; group after group lies in the image.
        unsafe {
            let args = Forward {
                hw: s.hw,
                channels: [channels, 0],
                eps: s.eps,
                silu: s.silu,
                x: [x.add(at).cast_mut(); 2],
                bias: std::ptr::null(),
                y: y.add(at),
                scale: scale.add(channel),
                offset: offset.add(channel),
                mean: mean.add(group),
                rstd: rstd.add(group),
            };
            forward_group_isa(isa, &args);
        }
    }
}
