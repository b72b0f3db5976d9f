//! Group normalisation with its activation and the 3×3 convolution behind it: half of a residual block.
//!
//! Images go through both in chunks, so that the normalised values are in the caches when the convolution reads them, and are not kept:
//! the gradient computes them again from the input, which its normalisation reads anyway. So there is less to write, keep and read back.
//! Threads have chunks of their own, in the L2 cache of their core; only the gradient of a weight whose sums are too large for it goes
//! through larger ones together.

use super::norm::{
    Affine, GroupNorm, ImagesMut, NormGradients, NormInput, Statistics, group_norm, group_norm_backward, images,
};
use super::scratch::{Shared, with};
use super::winograd::{
    Conv3x3, FilterOf, Filters, Pair, TileSize, conv3x3_backward_input, conv3x3_backward_weight_chunks,
    conv3x3_filtered, is_local,
};
use rayon::prelude::*;
use std::ops::Range;

/// Normalised values of a chunk in bytes (measured).
const CHUNK_BYTES: usize = 256 << 10;
/// Tiles of a chunk, at least: transformed filters are read once for each.
const CHUNK_TILES: usize = 48;
/// The same of a chunk that all threads work on.
const SHARED_BYTES: usize = 768 << 10;
const SHARED_TILES: usize = 128;

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
    fn conv(&self, n: usize) -> Conv3x3 {
        Conv3x3 { n, c: self.norm.c, k: self.k, h: self.h, w: self.w }
    }

    pub(crate) fn tile(&self) -> TileSize {
        TileSize::for_size(self.h, self.w)
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.conv(self.norm.n).output_len()
    }

    /// Images of a chunk, at most.
    fn images(&self, bytes: usize, tiles: usize) -> usize {
        let image = (self.norm.c * self.norm.hw * size_of::<f32>()).max(1);
        let tiles_of_image = (self.h.div_ceil(4) * self.w.div_ceil(4)).max(1);
        (bytes / image).max(tiles.div_ceil(tiles_of_image)).min(self.norm.n)
    }
}

/// `y = conv(activation(norm(x))) + bias + residual`, and the statistics of the normalisation; the same bits as of
/// [`group_norm`] and [`conv3x3_filtered`] one after the other.
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
    let GroupNorm { n, c, hw, groups, .. } = s.norm;
    assert!(hw == s.h * s.w && y.len() == s.output_len());
    assert!(mean.len() == n * groups && rstd.len() == mean.len() && residual.is_none_or(|r| r.len() == y.len()));
    if n == 0 {
        return;
    }
    // As many for every thread; the result does not depend on it.
    let chunks = n.div_ceil(s.images(CHUNK_BYTES, CHUNK_TILES)).next_multiple_of(rayon::current_num_threads()).min(n);
    let [y, mean, rstd] = [y, mean, rstd].map(|values| ImagesMut::new(values, n));
    (0..chunks).into_par_iter().with_max_len(1).for_each(|i| {
        let range = n * i / chunks..n * (i + 1) / chunks;
        with(range.len() * c * hw, |normed| {
            // SAFETY: every task has images of its own.
            let [y, mean, rstd] = unsafe { [y, mean, rstd].map(|values| values.get(&range)) };
            let norm = GroupNorm { n: range.len(), ..s.norm };
            group_norm(&norm, x.images(n, &range), affine.images([n, c], &range), normed, mean, rstd);
            let residual = residual.map(|residual| images(residual, n, &range));
            conv3x3_filtered(&s.conv(range.len()), normed, filters, bias, residual, y);
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
    assert!(hw == s.h * s.w && dy.len() == s.output_len());
    if n == 0 {
        d.weight.fill(0.0);
        d.bias.fill(0.0);
        return;
    }
    let conv = s.conv(n);
    let NormGradients { x: dx, skip, bias, scale, offset, .. } = d.norm;
    let written = [dx, skip, bias, scale, offset].map(|values| ImagesMut::new(values, n));
    let (tile, is_local) = (s.tile(), is_local(&conv, s.tile()));
    let chunk = if is_local { s.images(CHUNK_BYTES, CHUNK_TILES) } else { s.images(SHARED_BYTES, SHARED_TILES) };
    // From the gradient of the normalised values to that of the input, and the operands of the weight gradient.
    let norm_backward = |range: &Range<usize>, grad: &[f32], normed: &mut [f32]| -> Pair {
        // SAFETY: every task has images of its own.
        let [x_gradient, skip, bias, scale, offset] = unsafe { written.map(|values| values.get(range)) };
        let norm = GroupNorm { n: range.len(), ..s.norm };
        let [mean, rstd] = [statistics.mean, statistics.rstd].map(|values| images(values, n, range));
        let add = add.map(|add| add.map(|add| images(add, n, range)));
        let d = NormGradients { x: x_gradient, skip, bias, scale, offset, y: &mut *normed };
        let affine = affine.images([n, c], range);
        group_norm_backward(&norm, x.images(n, range), Statistics { mean, rstd }, affine, grad, add, d);
        [Shared::read(normed), Shared::read(images(dy, n, range))]
    };
    if chunk == n && !is_local {
        // All images at once: the filters' memory is that of the weight gradient next.
        return with(2 * n * c * hw, |scratch| {
            let (normed, grad) = scratch.split_at_mut(n * c * hw);
            conv3x3_backward_input(&conv, tile, dy, weight, None, grad);
            let [_, dy] = norm_backward(&(0..n), grad, normed);
            let pair = [Shared::read(normed), dy];
            // SAFETY: both hold all images.
            unsafe { conv3x3_backward_weight_chunks(&conv, tile, n, |_, sum| sum(pair), d.weight, d.bias) }
        });
    }
    Filters::with(tile, s.k, c, weight, FilterOf::Gradient, |filters| {
        let operands = |range: Range<usize>, sum: &mut dyn FnMut(Pair)| {
            with(2 * range.len() * c * hw, |scratch| {
                let (normed, grad) = scratch.split_at_mut(range.len() * c * hw);
                let transposed = s.conv(range.len()).transposed();
                conv3x3_filtered(&transposed, images(dy, n, &range), filters, None, None, grad);
                sum(norm_backward(&range, grad, normed));
            });
        };
        // SAFETY: both hold the images of the range.
        unsafe { conv3x3_backward_weight_chunks(&conv, tile, chunk, operands, d.weight, d.bias) }
    });
}
