//! 3×3 convolution with stride 1 and padding 1 by Winograd's minimal filtering, Lavin & Gray (2016),
//! arXiv:1509.09308: forward, input gradient, weight gradient.
//!
//! F(4×4, 3×3) needs 36 multiplications for 16 outputs where the definition needs 144. Planes of images become pixels of
//! 16 channels, so that every SIMD lane transforms one channel, and the products are matrix products over channels:
//!
//! | array | layout |
//! |---|---|
//! | transformed input or output gradient `V` | `[x][ch / 16][tile][16]`, `x` of the `T T` points of a tile |
//! | transformed filters `U` | `[k / 32][x][c][32]`, the last block possibly 16 wide |
//! | products `M` of a block of tiles and 32 output channels | `[tile][x][32]` |
//! | transformed weight gradient `dU` | `[x][k][c]` |
//!
//! Behind nearest upsampling 25 multiplications do for 16 outputs (`upsampled`).

mod domain;
mod filter;
mod finish;
mod forward;
mod geometry;
mod gradients;
mod micro;
mod tile;
mod tile_size;
mod transform;
mod upsampled;
mod weight;

pub use filter::Filters;
pub use geometry::Conv3x3;
pub(super) use gradients::ChunkGradients;
pub use tile_size::TileSize;
pub use upsampled::UpsampleConv3x3;
pub(super) use upsampled::{check_backward as check_upsampled_backward, check_forward as check_upsampled};

use crate::isa::Isa;
pub(super) use forward::Epilogue;
use forward::{How, check, convolve, convolve_transformed};
use std::ops::Range;
use tile::{F2, F4};

/// `y = conv(x, w) + bias + residual`.
///
/// # Shapes
/// `x: [n, c, h, w]`, `w: [k, c, 3, 3]`, `bias: [k]`, `residual` and `y`: `[n, k, h, w]`, all contiguous.
///
/// # Panics
/// If a length does not fit.
pub fn conv3x3(
    s: &Conv3x3,
    tile: TileSize,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    conv3x3_on(Isa::current(), s, tile, x, w, Epilogue { bias, residual }, y);
}

/// [`conv3x3`] with a given instruction set.
pub(super) fn conv3x3_on(isa: Isa, s: &Conv3x3, tile: TileSize, x: &[f32], w: &[f32], add: Epilogue, y: &mut [f32]) {
    match tile {
        TileSize::Two => convolve::<F2>(isa, s, x, w, false, add, How::default(), y),
        TileSize::Four => convolve::<F4>(isa, s, x, w, false, add, How::default(), y),
    }
}

/// Panics unless what [`conv3x3_filtered`] reads fits the sizes, and the output has `y` values.
pub(super) fn check_filtered(s: &Conv3x3, x: &[f32], filters: &Filters, add: Epilogue, y: usize) {
    filters.check(s.k, s.c);
    check(s, x, add, y);
}

/// [`conv3x3`] with filters that are transformed already; the same bits.
///
/// # Panics
/// If a length does not fit, or the filters are for other channels.
pub fn conv3x3_filtered(
    s: &Conv3x3,
    x: &[f32],
    filters: &Filters,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    conv3x3_filtered_on(Isa::current(), s, x, filters, Epilogue { bias, residual }, y);
}

/// [`conv3x3_filtered`] with a given instruction set.
pub(super) fn conv3x3_filtered_on(isa: Isa, s: &Conv3x3, x: &[f32], filters: &Filters, add: Epilogue, y: &mut [f32]) {
    filters.check(s.k, s.c);
    match filters.tile {
        TileSize::Two => convolve_transformed::<F2>(isa, s, x, filters.u(), add, How::default(), y),
        TileSize::Four => convolve_transformed::<F4>(isa, s, x, filters.u(), add, How::default(), y),
    }
}

/// Input gradient of [`conv3x3`], plus `add` (in the shape of `dx`).
///
/// # Panics
/// If a length does not fit.
pub fn conv3x3_backward_input(s: &Conv3x3, tile: TileSize, dy: &[f32], w: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    conv3x3_backward_input_on(Isa::current(), s, tile, dy, w, add, dx);
}

/// [`conv3x3_backward_input`] with a given instruction set.
pub(super) fn conv3x3_backward_input_on(
    isa: Isa,
    s: &Conv3x3,
    tile: TileSize,
    dy: &[f32],
    w: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
) {
    let add = Epilogue { residual: add, ..Epilogue::default() };
    let s = &s.transposed();
    match tile {
        TileSize::Two => convolve::<F2>(isa, s, dy, w, true, add, How::default(), dx),
        TileSize::Four => convolve::<F4>(isa, s, dy, w, true, add, How::default(), dx),
    }
}

/// Weight gradient `dw: [k, c, 3, 3]` and bias gradient `db: [k]` of [`conv3x3`].
///
/// # Panics
/// If a length does not fit.
pub fn conv3x3_backward_weight(s: &Conv3x3, tile: TileSize, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    conv3x3_backward_weight_on(Isa::current(), s, tile, x, dy, dw, db);
}

/// [`conv3x3_backward_weight`] with a given instruction set.
pub(super) fn conv3x3_backward_weight_on(
    isa: Isa,
    s: &Conv3x3,
    tile: TileSize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    match tile {
        TileSize::Two => weight::backward_weight::<F2>(isa, s, x, dy, dw, db),
        TileSize::Four => weight::backward_weight::<F4>(isa, s, x, dy, dw, db),
    }
}

/// Both gradients of [`conv3x3`], a chunk of images after the other: `each` has those of a range of images computed. Threads go through
/// chunks of their own where sums of the weight gradient fit into their caches.
///
/// # Panics
/// If a length does not fit.
#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub(super) fn conv3x3_backward_chunks(
    isa: Isa,
    s: &Conv3x3,
    tile: TileSize,
    dy: &[f32],
    w: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
    each: impl Fn(Range<usize>, &mut dyn ChunkGradients) + Sync,
) {
    match tile {
        TileSize::Two => gradients::backward_chunks::<F2>(isa, s, dy, w, dw, db, each),
        TileSize::Four => gradients::backward_chunks::<F4>(isa, s, dy, w, dw, db, each),
    }
}

/// `y = conv(upsample(x), w) + bias`: nearest upsampling by two and the convolution behind it, without the upsampled image.
///
/// # Shapes
/// `x: [n, c, h, w]`, `w: [k, c, 3, 3]`, `bias: [k]`, `y: [n, k, 2h, 2w]`, all contiguous.
///
/// # Panics
/// If a length does not fit.
pub fn upsample_conv3x3(s: &UpsampleConv3x3, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    upsampled::convolve(Isa::current(), s, x, w, bias, y);
}

/// Gradients of [`upsample_conv3x3`]: `dx`, plus `add` (in the shape of `x`), `dw: [k, c, 3, 3]` and `db: [k]`.
///
/// # Panics
/// If a length does not fit.
#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub fn upsample_conv3x3_backward(
    s: &UpsampleConv3x3,
    x: &[f32],
    dy: &[f32],
    w: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    upsampled::backward(Isa::current(), s, x, dy, w, add, dx, [dw, db]);
}
