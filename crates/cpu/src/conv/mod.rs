//! Two-dimensional convolution with any square kernel, stride and padding: which algorithm, and the general one.

mod ahead;
mod chunks;
mod few;
mod gradients;
mod inplace;
mod input;
mod joined;
mod lowered;
mod pointwise;
mod product;
mod sizes;
mod strided;
mod taps;
mod weight;

pub use joined::{
    JoinedConv1x1, conv1x1_joined, conv1x1_joined_backward, conv1x1_joined_backward_input,
    conv1x1_joined_backward_weight,
};

use super::bf16;
use super::elementwise::sum_images_on;
use super::gemm::Matrix;
use super::images::{ImagesMut, images};
use super::isa::Isa;
use super::sizes::{check_len, check_option};
use super::winograd::{
    Conv3x3, Epilogue, TileSize, conv3x3_backward_chunks, conv3x3_backward_input_on, conv3x3_backward_weight_on,
    conv3x3_on,
};
use gradients::{Gradients, gradients};
use lowered::{Images, Lowered};
use product::convolve;
pub use sizes::Conv2d;
use sizes::NAME;

/// What a convolution is computed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Forward,
    BackwardInput,
    BackwardWeight,
}

/// Most input channels for which a product over the taps is faster than Winograd's algorithm, which transforms 16
/// channels at a time and so does as much for one: measured with 1, 3, 4 and 8 channels on 28×28 and 32×32 pixels
/// (`benches/kernels.rs`, `few_channels`). The input gradient is a convolution of the output's channels.
const FEW_CHANNELS: usize = 4;
/// The same for the weight gradient.
const FEW_CHANNELS_WEIGHT: usize = 2;

/// Tiles of a whole batch up to which filters are kept: with four images of 28×28 (196 tiles) an evaluation took a fifth less
/// time, with sixteen (784) no less (measured: `sfumato-bench evaluate small --batch N`).
const FEW_TILES: usize = 512;

/// Winograd's sizes where it pays: the one place where that is decided.
fn winograd(s: &Conv2d, pass: Pass) -> Option<(Conv3x3, TileSize)> {
    let sizes = s.as_3x3()?;
    let pays = match pass {
        Pass::Forward => s.c > FEW_CHANNELS && !few::pays(s),
        Pass::BackwardInput => s.k > FEW_CHANNELS,
        Pass::BackwardWeight => s.c > FEW_CHANNELS_WEIGHT && !few::pays(s),
    };
    pays.then(|| (sizes, TileSize::for_size(s.h, s.w)))
}

/// The sizes for bf16, where it is chosen and pays.
fn in_bf16(s: &Conv2d) -> Option<bf16::Sizes> {
    let [top, left, bottom, right] = s.padding;
    let is_strided = s.side == 3 && s.stride == 2 && top.max(left).max(bottom).max(right) <= 1;
    let (taps, strided) = match s {
        s if s.as_3x3().is_some() => (9, None),
        s if s.is_pointwise() => (1, None),
        _ if is_strided => (9, Some(bf16::Lattice::of_stride_2([top, left], s.output_size()))),
        _ => return None,
    };
    bf16::Sizes { n: s.n, h: s.h, w: s.w, c: [s.c, 0], k: s.k, taps, strided }.chosen()
}

/// Whether Winograd's algorithm pays for a 3×3 convolution from `c` to `k` channels and both its gradients.
pub fn is_winograd(c: usize, k: usize) -> bool {
    c > FEW_CHANNELS && k > FEW_CHANNELS
}

/// The tiles of a convolution whose filters are transformed, where the transform is a good part of its time; `None`
/// where it is computed otherwise, or over so many tiles that nothing is gained.
pub fn kept_tile(s: &Conv2d) -> Option<(Conv3x3, TileSize)> {
    let (sizes, tile) = winograd(s, Pass::Forward)?;
    let side = match tile {
        TileSize::Two => 2,
        TileSize::Four => 4,
    };
    (s.n * s.h.div_ceil(side) * s.w.div_ceil(side) <= FEW_TILES).then_some((sizes, tile))
}

/// Panics unless what [`conv2d`] reads fits the sizes, and `y` values are its output.
#[track_caller]
pub(super) fn check_forward(s: &Conv2d, [x, weight]: [&[f32]; 2], [bias, residual]: [Option<&[f32]>; 2], y: usize) {
    s.check(x.len(), y, weight.len());
    check_option(NAME, "the bias", bias, s.k);
    check_option(NAME, "the residual", residual, y);
}

/// Panics unless what [`conv2d_backward_input`] reads fits the sizes, and `dx` values are its output.
#[track_caller]
pub(super) fn check_backward_input(s: &Conv2d, [dy, weight]: [&[f32]; 2], add: Option<&[f32]>, dx: usize) {
    s.check(dx, dy.len(), weight.len());
    check_option(NAME, "what is added", add, dx);
}

/// Panics unless what [`conv2d_backward`] reads fits the sizes, and so does `db`.
#[track_caller]
pub(super) fn check_backward(s: &Conv2d, [x, dy, weight]: [&[f32]; 3], add: Option<&[f32]>, db: Option<&[f32]>) {
    s.check(x.len(), dy.len(), weight.len());
    check_option(NAME, "what is added", add, x.len());
    check_option(NAME, "db", db, s.k);
}

/// Panics unless what [`conv2d_backward_weight`] reads fits the sizes, `dw` values are a weight, and `db` fits.
#[track_caller]
pub(super) fn check_backward_weight(s: &Conv2d, [x, dy]: [&[f32]; 2], dw: usize, db: Option<&[f32]>) {
    s.check(x.len(), dy.len(), dw);
    check_option(NAME, "db", db, s.k);
}

/// `y = conv(x, weight) + bias + residual`.
///
/// # Shapes
/// `x: [n, c, h, w]`, `weight: [k, c, side, side]`, `bias: [k]`, `residual` and `y`: `[n, k, h', w']`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d(s: &Conv2d, x: &[f32], weight: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>, y: &mut [f32]) {
    check_forward(s, [x, weight], [bias, residual], y.len());
    if y.is_empty() {
        return;
    }
    if let Some(sizes) = in_bf16(s) {
        return bf16::forward(&sizes, [x, &[]], weight, bias, residual, y);
    }
    let isa = Isa::current();
    if let Some((s, tile)) = winograd(s, Pass::Forward) {
        return conv3x3_on(isa, &s, tile, x, weight, Epilogue { bias, residual }, y);
    }
    if few::forward(isa, s, x, weight, bias, residual, y) || strided::forward(isa, s, x, weight, bias, residual, y) {
        return;
    }
    let matrix = Matrix::rows(weight, s.c * s.side * s.side);
    let images = [s.images(x), Images::NONE];
    convolve(isa, &Lowered { images, table: &s.table(), m: s.k, matrix, bias, add: residual }, y);
}

/// Input gradient of [`conv2d`], plus `add` (in the shape of `dx`).
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_input(s: &Conv2d, dy: &[f32], weight: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    backward_input(Isa::current(), s, dy, weight, add, dx);
}

fn backward_input(isa: Isa, s: &Conv2d, dy: &[f32], weight: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    check_backward_input(s, [dy, weight], add, dx.len());
    if dx.is_empty() || dy.is_empty() {
        return match add {
            Some(add) => dx.copy_from_slice(add),
            None => dx.fill(0.0),
        };
    }
    if let Some(sizes) = in_bf16(s) {
        return bf16::backward(&sizes, [&[]; 2], dy, weight, [add, None], Some([dx, &mut []]), None);
    }
    if let Some((s, tile)) = winograd(s, Pass::BackwardInput) {
        return conv3x3_backward_input_on(isa, &s, tile, dy, weight, add, dx);
    }
    if strided::backward_input(isa, s, dy, weight, add, dx) {
        return;
    }
    input::backward_input(isa, s, dy, weight, add, dx);
}

/// All gradients of [`conv2d`]: those of [`conv2d_backward_input`] and [`conv2d_backward_weight`], of small 1×1 convolutions in
/// one pass over the pixels.
///
/// # Panics
/// If a length does not fit.
#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub fn conv2d_backward(
    s: &Conv2d,
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
    dw: &mut [f32],
    mut db: Option<&mut [f32]>,
) {
    check_backward(s, [x, dy, weight], add, db.as_deref());
    check_len(NAME, "dx", dx.len(), x.len());
    check_len(NAME, "dw", dw.len(), weight.len());
    let isa = Isa::current();
    if let Some(sizes) = in_bf16(s) {
        bf16::backward(&sizes, [x, &[]], dy, weight, [add, None], Some([dx, &mut []]), Some(dw));
        if let Some(db) = db {
            sum_images_on(isa, dy, s.n, s.k, db);
        }
        return;
    }
    if s.is_pointwise() {
        let (x, add) = ([x, &[]], [add, None]);
        let known = Gradients { n: s.n, pixels: s.h * s.w, c: [s.c, 0], k: s.k, x, dy, weight, add };
        if gradients(isa, &known, [&mut *dx, &mut []], dw, db.as_deref_mut()) {
            return;
        }
    }
    let pays = s.n > 0 && winograd(s, Pass::BackwardWeight).is_some();
    let by_tiles = winograd(s, Pass::BackwardInput).filter(|_| pays);
    if let Some((sizes, tile)) = by_tiles {
        let mut unwanted = vec![0.0; if db.is_none() { s.k } else { 0 }];
        let gradients = ImagesMut::new(dx, s.n);
        let db = db.unwrap_or(&mut unwanted);
        return conv3x3_backward_chunks(isa, &sizes, tile, dy, weight, dw, db, |range, chunk| {
            // SAFETY: every chunk has images of its own.
            chunk.input(add.map(|add| images(add, s.n, &range)), unsafe { gradients.get(&range) });
            chunk.weight(images(x, s.n, &range));
        });
    }
    backward_input(isa, s, dy, weight, add, dx);
    backward_weight(isa, s, x, dy, Some(dw), db);
}

/// Weight gradient `dw: [k, c, side, side]` and bias gradient `db: [k]` of [`conv2d`], whichever are wanted.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_weight(s: &Conv2d, x: &[f32], dy: &[f32], dw: Option<&mut [f32]>, db: Option<&mut [f32]>) {
    backward_weight(Isa::current(), s, x, dy, dw, db);
}

fn backward_weight(
    isa: Isa,
    s: &Conv2d,
    x: &[f32],
    dy: &[f32],
    mut dw: Option<&mut [f32]>,
    mut db: Option<&mut [f32]>,
) {
    let dw_len = dw.as_ref().map_or_else(|| s.weight_len(), |dw| dw.len());
    check_backward_weight(s, [x, dy], dw_len, db.as_deref());
    if x.is_empty() || dy.is_empty() {
        if let Some(dw) = dw {
            dw.fill(0.0);
        }
        if let Some(db) = db {
            sum_images_on(isa, dy, s.n, s.k, db);
        }
        return;
    }
    if let (Some(dw), Some(sizes)) = (&mut dw, in_bf16(s)) {
        bf16::backward(&sizes, [x, &[]], dy, &[], [None; 2], None, Some(dw));
        if let Some(db) = db {
            sum_images_on(isa, dy, s.n, s.k, db);
        }
        return;
    }
    match (dw, winograd(s, Pass::BackwardWeight)) {
        (Some(dw), Some((s, tile))) => {
            let mut unwanted = vec![0.0; if db.is_none() { s.k } else { 0 }];
            conv3x3_backward_weight_on(isa, &s, tile, x, dy, dw, db.unwrap_or(&mut unwanted));
        }
        (dw, _) => {
            if let Some(dw) = dw {
                let sizes = [s.n, s.h * s.w, s.k, s.c];
                if s.is_pointwise() && pointwise::backward_weight(isa, x, dy, sizes, dw, (0, s.c), db.as_deref_mut()) {
                    return;
                }
                if !few::backward_weight(isa, s, x, dy, dw) && !strided::backward_weight(isa, s, x, dy, dw) {
                    weight::backward_weight(isa, s.images(x), &s.table(), s.k, dy, dw);
                }
            }
            if let Some(db) = db {
                sum_images_on(isa, dy, s.n, s.k, db);
            }
        }
    }
}
