//! Group normalisation with its affine map and SiLU in one pass over memory.
//!
//! What a network does to the input just before costs no pass of its own: a value added to every pixel of a channel moves
//! the mean that is subtracted, and channels joined from two tensors are read where they are.

mod backward;
mod forward;
mod input;
mod passes;
mod vectors;

pub(super) use backward::group_norm_backward_image;
pub(super) use backward::group_norm_backward_on;
pub use backward::{NormGradients, group_norm_backward};
pub use input::NormInput;

use crate::images::images;
use crate::isa::Isa;
use crate::scratch::Shared;
use crate::sizes::{check_len, values};
use forward::{Forward, forward_group_isa};
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
    /// Values of what is normalised.
    pub(crate) fn len(&self) -> usize {
        values("group_norm", [self.n, self.c, self.hw])
    }

    fn channels(&self) -> usize {
        self.c / self.groups
    }

    /// Panics unless the groups divide the channels and a length fits.
    pub(super) fn check_input(&self, x: &NormInput, affine: &Affine) {
        self.check(affine);
        x.layout(self);
    }

    /// Floats from one image's scales to the next's.
    fn check(&self, affine: &Affine) -> usize {
        assert!(
            self.groups > 0 && self.c.is_multiple_of(self.groups),
            "group_norm: {} groups do not divide {} channels",
            self.groups,
            self.c
        );
        // The lengths of everything that the groups are cut of are products of some of these.
        values("group_norm", [self.n, self.groups]);
        self.len();
        let len = affine.scale.len();
        check_len("group_norm", "the offset", affine.offset.len(), len);
        assert!(
            len == self.c || len == self.n * self.c,
            "group_norm: the scale has {len} values, expected one for each of {} channels of all or of each of {} images",
            self.c,
            self.n
        );
        if len == self.c { 0 } else { self.c }
    }
}

/// `y = silu(normalised x · scale + offset)`, or without SiLU; also the statistics.
///
/// # Shapes
/// `y`: `[n, c, hw]`; `mean`, `rstd`: `[n, groups]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm(s: &GroupNorm, x: NormInput, affine: Affine, y: &mut [f32], mean: &mut [f32], rstd: &mut [f32]) {
    group_norm_on(Isa::current(), s, x, affine, y, [mean, rstd]);
}

/// [`group_norm`] with a given instruction set.
pub(super) fn group_norm_on(
    isa: Isa,
    s: &GroupNorm,
    x: NormInput,
    affine: Affine,
    y: &mut [f32],
    [mean, rstd]: [&mut [f32]; 2],
) {
    let stride = s.check(&affine);
    let layout = x.layout(s);
    let channels = s.channels();
    check_len("group_norm", "y", y.len(), s.len());
    check_len("group_norm", "the mean", mean.len(), s.n * s.groups);
    check_len("group_norm", "rstd", rstd.len(), s.n * s.groups);
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
