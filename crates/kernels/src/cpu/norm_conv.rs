//! Group normalisation with its activation and the 3×3 convolution behind it: half of a residual block.
//!
//! Images go through both in chunks, so that the normalised values are in the caches when the convolution reads them, and are not kept:
//! the gradient computes them again from the input, which its normalisation reads anyway. So there is less to write, keep and read back.

use super::norm::{
    Affine, GroupNorm, NormGradients, NormInput, Statistics, group_norm, group_norm_backward, images, images_mut,
};
use super::scratch::{Shared, with};
use super::winograd::{
    Conv3x3, FilterOf, Filters, TileSize, conv3x3_backward_input, conv3x3_backward_weight_chunks, conv3x3_filtered,
};
use std::ops::Range;

/// Normalised values of a chunk in bytes (measured: 64 images of 32 channels of 28×28 pixels).
const CHUNK_BYTES: usize = 2 << 20;
/// Tiles of a chunk, at least: transformed filters are read once for each.
const CHUNK_TILES: usize = 256;

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

    fn chunks(&self) -> usize {
        let bytes = (self.norm.c * self.norm.hw * size_of::<f32>()).max(1);
        let tiles = (self.h.div_ceil(4) * self.w.div_ceil(4)).max(1);
        let images = (CHUNK_BYTES / bytes).max(CHUNK_TILES.div_ceil(tiles));
        self.norm.n.div_ceil(images).max(1)
    }

    fn chunk(&self, i: usize) -> Range<usize> {
        let (n, chunks) = (self.norm.n, self.chunks());
        n * i / chunks..n * (i + 1) / chunks
    }

    /// Normalised values of the largest chunk.
    fn chunk_len(&self) -> usize {
        self.norm.n.div_ceil(self.chunks()) * self.norm.c * self.norm.hw
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
    with(s.chunk_len(), |normed| {
        for i in 0..s.chunks() {
            let range = s.chunk(i);
            let normed = &mut normed[..range.len() * c * hw];
            let [mean, rstd] = [&mut *mean, &mut *rstd].map(|values| images_mut(values, n, &range));
            let norm = GroupNorm { n: range.len(), ..s.norm };
            group_norm(&norm, x.images(n, &range), affine.images([n, c], &range), normed, mean, rstd);
            let residual = residual.map(|residual| images(residual, n, &range));
            conv3x3_filtered(&s.conv(range.len()), normed, filters, bias, residual, images_mut(y, n, &range));
        }
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
    let NormGradients { x: dx, skip: d_skip, bias: d_bias, scale, offset, .. } = d.norm;
    let (tile, chunks) = (s.tile(), s.chunks());
    with(2 * s.chunk_len(), |scratch| {
        let (normed, grad) = scratch.split_at_mut(s.chunk_len());
        if chunks == 1 {
            // The filters' memory is that of the weight gradient next.
            conv3x3_backward_input(&s.conv(n), tile, dy, weight, None, &mut grad[..n * c * hw]);
        }
        let mut run = |filters: Option<&Filters>| {
            let chunk = |range: Range<usize>| {
                let len = range.len() * c * hw;
                let (normed, grad) = (&mut normed[..len], &mut grad[..len]);
                let dy = images(dy, n, &range);
                if let Some(filters) = filters {
                    conv3x3_filtered(&s.conv(range.len()).transposed(), dy, filters, None, None, grad);
                }
                let norm = GroupNorm { n: range.len(), ..s.norm };
                let [mean, rstd] = [statistics.mean, statistics.rstd].map(|values| images(values, n, &range));
                let add = add.map(|add| add.map(|add| images(add, n, &range)));
                let d = NormGradients {
                    x: images_mut(dx, n, &range),
                    skip: images_mut(d_skip, n, &range),
                    bias: images_mut(d_bias, n, &range),
                    scale: images_mut(scale, n, &range),
                    offset: images_mut(offset, n, &range),
                    y: normed,
                };
                let affine = affine.images([n, c], &range);
                group_norm_backward(&norm, x.images(n, &range), Statistics { mean, rstd }, affine, grad, add, d);
                [Shared::read(normed), Shared::read(dy)]
            };
            // SAFETY: both hold the images of the range, and the first is written to by the next call only.
            unsafe { conv3x3_backward_weight_chunks(&s.conv(n), tile, chunks, chunk, d.weight, d.bias) }
        };
        if chunks == 1 {
            run(None);
        } else {
            Filters::with(tile, s.k, c, weight, FilterOf::Gradient, |filters| run(Some(filters)));
        }
    });
}
