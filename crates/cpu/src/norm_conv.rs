//! Group normalisation with its activation and the 3×3 convolution behind it: half of a residual block.
//!
//! Images go through both in chunks, so that the normalised values are in the caches when the convolution reads them, and are not kept:
//! the gradient computes them again from the input, which its normalisation reads anyway. So there is less to write, keep and read back.
//! Threads have chunks of their own, in the L2 cache of their core; only the gradient of a weight whose sums are too large for it goes
//! through larger ones together.

use super::bf16;
use super::elementwise::sum_images_on;
use super::images::{ImagesMut, images};
use super::isa::Isa;
use super::norm::{Affine, GroupNorm, NormGradients, NormInput, Statistics, group_norm_backward_on, group_norm_on};
use super::scratch::with;
use super::sizes::{check_len, check_option, values};
use super::winograd::{Conv3x3, Epilogue, Filters, TileSize, conv3x3_backward_chunks, conv3x3_filtered_on};
use rayon::prelude::*;
use std::ops::Range;

/// In messages.
const NAME: &str = "norm_conv";
/// Normalised values of a chunk in bytes (measured).
const CHUNK_BYTES: usize = 256 << 10;
/// Tiles of a chunk, at least: transformed filters are read once for each.
const CHUNK_TILES: usize = 48;

/// Sizes of a group normalisation and a 3×3 convolution with stride 1 and padding 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormConv {
    /// The normalisation of images of `h w` pixels.
    pub norm: GroupNorm,
    /// Output channels.
    pub k: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

/// Where the gradients of [`norm_conv`] go.
#[derive(Debug)]
pub struct NormConvGradients<'a> {
    /// Those of the normalisation; `y` is empty.
    pub norm: NormGradients<'a>,
    /// That of the weight, `[k, c, 3, 3]`.
    pub weight: &'a mut [f32],
    /// That of the convolution's bias, `[k]`.
    pub bias: &'a mut [f32],
}

impl NormConv {
    /// Panics unless the sizes fit together and what both passes read is as long as they say: chunks are cut of whole batches.
    #[track_caller]
    fn check(&self, x: &NormInput, affine: &Affine) {
        check_len(NAME, "an image", self.norm.hw, values(NAME, [self.h, self.w]));
        self.norm.check_input(x, affine);
    }

    /// Panics unless what [`norm_conv`] reads fits the sizes.
    #[track_caller]
    pub(super) fn check_forward(
        &self,
        x: &NormInput,
        affine: &Affine,
        filters: &Filters,
        bias: Option<&[f32]>,
        residual: Option<&[f32]>,
    ) {
        self.check(x, affine);
        filters.check(self.k, self.norm.c);
        check_option(NAME, "the bias", bias, self.k);
        check_option(NAME, "the residual", residual, self.output_len());
    }

    /// Panics unless what [`norm_conv_bf16`] reads fits the sizes.
    #[track_caller]
    pub(super) fn check_bf16(
        &self,
        x: &NormInput,
        affine: &Affine,
        weight: &[f32],
        [bias, residual]: [Option<&[f32]>; 2],
    ) {
        self.check(x, affine);
        check_len(NAME, "the weight", weight.len(), self.conv(self.norm.n).weight_len());
        check_option(NAME, "the bias", bias, self.k);
        check_option(NAME, "the residual", residual, self.output_len());
    }

    /// Panics unless what [`norm_conv_backward`] reads fits the sizes.
    #[track_caller]
    pub(super) fn check_backward(
        &self,
        x: &NormInput,
        statistics: Statistics,
        affine: &Affine,
        [weight, dy]: [&[f32]; 2],
        add: [Option<&[f32]>; 2],
    ) {
        let GroupNorm { n, groups, .. } = self.norm;
        self.check(x, affine);
        check_len(NAME, "dy", dy.len(), self.output_len());
        check_len(NAME, "the weight", weight.len(), self.conv(n).weight_len());
        check_len(NAME, "the mean", statistics.mean.len(), n * groups);
        check_len(NAME, "rstd", statistics.rstd.len(), n * groups);
        check_option(NAME, "what is added to the gradient of x", add[0], x.x.len());
        check_option(NAME, "what is added to the gradient of skip", add[1], x.skip.len());
    }

    /// Panics unless results fit the sizes.
    #[track_caller]
    fn check_results(&self, y: &[f32], [mean, rstd]: [&[f32]; 2]) {
        check_len(NAME, "y", y.len(), self.output_len());
        check_len(NAME, "the mean", mean.len(), self.norm.n * self.norm.groups);
        check_len(NAME, "rstd", rstd.len(), self.norm.n * self.norm.groups);
    }

    /// Panics unless gradients fit what they are of.
    #[track_caller]
    fn check_gradients(&self, x: &NormInput, weight: &[f32], d: &NormConvGradients) {
        let GroupNorm { n, c, .. } = self.norm;
        check_len(NAME, "the gradient of the weight", d.weight.len(), weight.len());
        check_len(NAME, "the gradient of the convolution's bias", d.bias.len(), self.k);
        for (name, gradient, of) in
            [("x", &d.norm.x, x.x), ("skip", &d.norm.skip, x.skip), ("bias", &d.norm.bias, x.bias)]
        {
            check_len(NAME, name, gradient.len(), of.len());
        }
        check_len(NAME, "the gradient of the scale", d.norm.scale.len(), n * c);
        check_len(NAME, "the gradient of the offset", d.norm.offset.len(), n * c);
    }

    fn conv(&self, n: usize) -> Conv3x3 {
        Conv3x3 { n, c: self.norm.c, k: self.k, h: self.h, w: self.w }
    }

    /// The tiles that its filters are to be transformed for.
    pub fn tile(&self) -> TileSize {
        TileSize::for_size(self.h, self.w)
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.conv(self.norm.n).output_len()
    }

    /// Images of a chunk, at most.
    fn images(&self) -> usize {
        let image = (self.norm.c * self.norm.hw * size_of::<f32>()).max(1);
        let tiles_of_image = (self.h.div_ceil(4) * self.w.div_ceil(4)).max(1);
        (CHUNK_BYTES / image).max(CHUNK_TILES.div_ceil(tiles_of_image)).min(self.norm.n)
    }
}

/// `y = conv(activation(norm(x))) + bias + residual`, and the statistics of the normalisation; the same bits as of
/// [`group_norm`](crate::group_norm) and [`conv3x3_filtered`](crate::winograd::conv3x3_filtered) one after the other.
///
/// # Shapes
/// `x: [n, c, h, w]`, `residual` and `y`: `[n, k, h, w]`, `bias: [k]`; `mean`, `rstd`: `[n, groups]`.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or the filters are for other channels.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub fn norm_conv(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    filters: &Filters,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
    [mean, rstd]: [&mut [f32]; 2],
) {
    let GroupNorm { n, c, hw, .. } = s.norm;
    s.check_forward(&x, &affine, filters, bias, residual);
    s.check_results(y, [mean, rstd]);
    if n == 0 {
        return;
    }
    let isa = Isa::current();
    // As many for every thread; the result does not depend on it.
    let chunks = n.div_ceil(s.images()).next_multiple_of(rayon::current_num_threads()).min(n);
    let [y, mean, rstd] = [y, mean, rstd].map(|values| ImagesMut::new(values, n));
    (0..chunks).into_par_iter().with_max_len(1).for_each(|i| {
        let range = n * i / chunks..n * (i + 1) / chunks;
        with(range.len() * c * hw, |normed| {
            // SAFETY: every task has images of its own.
            let [y, mean, rstd] = unsafe { [y, mean, rstd].map(|values| values.get(&range)) };
            let norm = GroupNorm { n: range.len(), ..s.norm };
            group_norm_on(isa, &norm, x.images(n, &range), affine.images([n, c], &range), normed, [mean, rstd]);
            let residual = residual.map(|residual| images(residual, n, &range));
            conv3x3_filtered_on(isa, &s.conv(range.len()), normed, filters, Epilogue { bias, residual }, y);
        });
    });
}

/// Gradients of [`norm_conv`]; `add` is added to those of `x` and of `skip`. That of the residual is `dy` itself.
///
/// # Shapes
/// `weight: [k, c, 3, 3]`, `dy: [n, k, h, w]`; `add`: in the shapes of `x` and `skip`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub fn norm_conv_backward(
    s: &NormConv,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    add: [Option<&[f32]>; 2],
    d: NormConvGradients,
) {
    let GroupNorm { n, c, hw, .. } = s.norm;
    s.check_backward(&x, statistics, &affine, [weight, dy], add);
    s.check_gradients(&x, weight, &d);
    if dy.is_empty() {
        return nothing_to_go_back(add, d);
    }
    let isa = Isa::current();
    let norm_backward = norm_backward(isa, &s.norm, x, statistics, affine, add, d.norm);
    conv3x3_backward_chunks(isa, &s.conv(n), s.tile(), dy, weight, d.weight, d.bias, |range, chunk| {
        with(2 * range.len() * c * hw, |scratch| {
            let (normed, grad) = scratch.split_at_mut(range.len() * c * hw);
            chunk.input(None, grad);
            norm_backward(&range, grad, normed);
            chunk.weight(normed);
        });
    });
}

/// [`norm_conv`] with a convolution of [`Precision::Bf16`](crate::Precision::Bf16): the bits of [`group_norm`](crate::group_norm) and
/// [`conv2d`](crate::conv2d) one after the other, whose normalised values are kept nowhere. It
/// rounds whatever the channels; `conv2d` does so where [`is_bf16`](crate::is_bf16) holds.
///
/// # Shapes
/// Those of [`norm_conv`]; `weight: [k, c, 3, 3]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub fn norm_conv_bf16(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
    [mean, rstd]: [&mut [f32]; 2],
) {
    s.check_bf16(&x, &affine, weight, [bias, residual]);
    s.check_results(y, [mean, rstd]);
    if s.norm.len() == 0 || y.is_empty() {
        let filters = Filters::new(s.tile(), s.k, s.norm.c, weight);
        return norm_conv(s, x, affine, &filters, bias, residual, y, [mean, rstd]);
    }
    bf16::norm_conv(s, x, affine, weight, bias, residual, y, [mean, rstd]);
}

/// Gradients of [`norm_conv_bf16`], as [`norm_conv_backward`] has them.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub fn norm_conv_bf16_backward(
    s: &NormConv,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    add: [Option<&[f32]>; 2],
    d: NormConvGradients,
) {
    s.check_backward(&x, statistics, &affine, [weight, dy], add);
    s.check_gradients(&x, weight, &d);
    if dy.is_empty() {
        return nothing_to_go_back(add, d);
    }
    if s.norm.len() == 0 {
        return norm_conv_backward(s, x, statistics, affine, weight, dy, add, d);
    }
    let isa = Isa::current();
    sum_images_on(isa, dy, s.norm.n, s.k, d.bias);
    let norm_backward = norm_backward(isa, &s.norm, x, statistics, affine, add, d.norm);
    bf16::norm_conv_backward(s, x, affine, weight, dy, d.weight, norm_backward, isa);
}

/// Gradients where there is no result, as without output channels.
fn nothing_to_go_back(add: [Option<&[f32]>; 2], d: NormConvGradients) {
    let NormGradients { x, skip, bias, scale, offset, .. } = d.norm;
    for (to, add) in [x, skip].into_iter().zip(add) {
        match add {
            Some(add) => to.copy_from_slice(add),
            None => to.fill(0.0),
        }
    }
    [bias, scale, offset, d.weight, d.bias].into_iter().for_each(|gradient| gradient.fill(0.0));
}

/// What computes, for a range of images, from the gradient of the normalised values that of the input, and writes the normalised values where
/// there is room for them.
fn norm_backward<'a>(
    isa: Isa,
    s: &'a GroupNorm,
    x: NormInput<'a>,
    statistics: Statistics<'a>,
    affine: Affine<'a>,
    add: [Option<&'a [f32]>; 2],
    d: NormGradients<'a>,
) -> impl Fn(&Range<usize>, &[f32], &mut [f32]) + Sync {
    let (n, c) = (s.n, s.c);
    let NormGradients { x: dx, skip, bias, scale, offset, .. } = d;
    let written = [dx, skip, bias, scale, offset].map(|values| ImagesMut::new(values, n));
    move |range, grad, normed| {
        // SAFETY: every task has images of its own.
        let [x_gradient, skip, bias, scale, offset] = unsafe { written.map(|values| values.get(range)) };
        let norm = GroupNorm { n: range.len(), ..*s };
        let [mean, rstd] = [statistics.mean, statistics.rstd].map(|values| images(values, n, range));
        let add = add.map(|add| add.map(|add| images(add, n, range)));
        let d = NormGradients { x: x_gradient, skip, bias, scale, offset, y: normed };
        let affine = affine.images([n, c], range);
        group_norm_backward_on(isa, &norm, x.images(n, range), Statistics { mean, rstd }, affine, grad, add, d);
    }
}
