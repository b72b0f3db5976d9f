//! Gradients of the group normalisation.

use super::passes::{Backward, backward_group_isa};
use super::{Affine, GroupNorm, NormInput, Statistics};
use crate::isa::Isa;
use crate::scratch::Shared;
use crate::sizes::{check_len, check_option};
use rayon::prelude::*;

/// In messages.
const NAME: &str = "group_norm_backward";

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
    group_norm_backward_on(Isa::current(), s, x, statistics, affine, dy, add, d);
}

impl GroupNorm {
    /// Panics unless what the gradients are computed from fits the sizes.
    pub(crate) fn check_backward(
        &self,
        x: &NormInput,
        statistics: Statistics,
        affine: &Affine,
        dy: &[f32],
        add: [Option<&[f32]>; 2],
    ) {
        self.check_input(x, affine);
        check_len(NAME, "dy", dy.len(), self.len());
        for (add, x) in add.iter().zip([x.x, x.skip]) {
            check_option(NAME, "what is added", *add, x.len());
        }
        check_len(NAME, "the mean", statistics.mean.len(), self.n * self.groups);
        check_len(NAME, "rstd", statistics.rstd.len(), self.n * self.groups);
    }
}

/// [`group_norm_backward`] with a given instruction set.
#[allow(clippy::too_many_arguments)] // the operands and results of the operation
pub(crate) fn group_norm_backward_on(
    isa: Isa,
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
    let channels = s.channels();
    let (mean, rstd) = (statistics.mean, statistics.rstd);
    s.check_backward(&x, statistics, &affine, dy, add);
    let check = |name: &str, len: usize, expected: usize| check_len(NAME, name, len, expected);
    check("dx", d.x.len(), x.x.len());
    check("the gradient of the skip", d.skip.len(), x.skip.len());
    check("the gradient of the scale", d.scale.len(), s.n * s.c);
    check("the gradient of the offset", d.offset.len(), s.n * s.c);
    if !d.bias.is_empty() {
        check("the gradient of the bias", d.bias.len(), s.n * s.c);
    }
    if !d.y.is_empty() {
        check("y", d.y.len(), s.len());
    }
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
pub(crate) unsafe fn group_norm_backward_image(
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
