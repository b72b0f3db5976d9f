//! Two-dimensional convolution with any square kernel, stride and padding: which algorithm, and the general one.

mod ahead;
mod chunks;
mod few;
mod gradients;
mod inplace;
mod input;
mod joined;
mod pointwise;
mod product;
mod strided;
mod taps;
mod weight;

pub use joined::{
    JoinedConv1x1, conv1x1_joined, conv1x1_joined_backward, conv1x1_joined_backward_input,
    conv1x1_joined_backward_weight,
};

use super::elementwise::sum_images_on;
use super::gemm::Matrix;
use super::images::{ImagesMut, images};
use super::isa::Isa;
use super::sizes::{check_len, check_option, values};
use super::winograd::{
    Conv3x3, Epilogue, TileSize, conv3x3_backward_chunks, conv3x3_backward_input_on, conv3x3_backward_weight_on,
    conv3x3_on,
};
use gradients::{Gradients, gradients};
use product::{Images, Lowered, convolve};
use taps::{Grid, Table, Tap};

/// In messages.
const NAME: &str = "conv2d";
/// The input gradient has a part of its own for every pixel of a square of this side.
const MAX_STRIDE: usize = 256;

/// A side with zeros around it.
#[track_caller]
fn padded(side: usize, zeros: [usize; 2]) -> usize {
    // As one number of rows, which is bounded, each of its terms is.
    let all = zeros.iter().fold(side, |sum, &zeros| sum.saturating_add(zeros));
    values(NAME, [all])
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Height of the input.
    pub h: usize,
    /// Width of the input.
    pub w: usize,
    /// Side of the kernel.
    pub side: usize,
    /// Step between output pixels.
    pub stride: usize,
    /// Zeros at the top, left, bottom and right.
    pub padding: [usize; 4],
}

impl Conv2d {
    /// Height and width of the output.
    ///
    /// # Panics
    /// If the stride is 0 or the padded input smaller than the kernel, or larger than any memory holds.
    pub fn output_size(&self) -> (usize, usize) {
        let [top, left, bottom, right] = self.padding;
        let (h, w) = (padded(self.h, [top, bottom]), padded(self.w, [left, right]));
        assert!(
            self.stride > 0 && self.side > 0 && h >= self.side && w >= self.side,
            "conv2d: no kernel of side {} with stride {} fits a padded input of {h}×{w}",
            self.side,
            self.stride
        );
        ((h - self.side) / self.stride + 1, (w - self.side) / self.stride + 1)
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        values(NAME, [self.n, self.c, self.h, self.w])
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        let (h, w) = self.output_size();
        values(NAME, [self.n, self.k, h, w])
    }

    /// Values of the weight.
    pub fn weight_len(&self) -> usize {
        values(NAME, [self.k, self.c, self.side, self.side])
    }

    /// Panics unless input, output and weight are so long, and the stride is one that kernels are made for.
    #[track_caller]
    fn check(&self, input: usize, output: usize, weight: usize) {
        check_len(NAME, "the input", input, self.input_len());
        check_len(NAME, "the output", output, self.output_len());
        check_len(NAME, "the weight", weight, self.weight_len());
        assert!(self.stride <= MAX_STRIDE, "conv2d: the stride is {}, expected at most {MAX_STRIDE}", self.stride);
    }

    /// The convolution as Winograd's algorithm takes it, if it does.
    fn as_3x3(&self) -> Option<Conv3x3> {
        let same = self.side == 3 && self.stride == 1 && self.padding == [1; 4];
        same.then_some(Conv3x3 { n: self.n, c: self.c, k: self.k, h: self.h, w: self.w })
    }

    /// Whether output pixels are input pixels.
    fn is_pointwise(&self) -> bool {
        self.side == 1 && self.stride == 1 && self.padding == [0; 4]
    }

    fn images<'a>(&self, values: &'a [f32]) -> Images<'a> {
        Images { values, n: self.n, channels: self.c, stride: self.h * self.w }
    }

    /// Where the taps of the output's pixels read the input.
    fn table(&self) -> Table {
        let (height, width) = self.output_size();
        let grid = Grid { rows: self.h, columns: self.w, step: self.stride, height, width };
        let [top, left, _, _] = self.padding;
        let at = |i: usize, padding: usize| i as isize - padding as isize;
        let taps = (0..self.side * self.side).map(|i| Tap { dy: at(i / self.side, top), dx: at(i % self.side, left) });
        Table::new(&grid, &taps.collect::<Vec<_>>())
    }
}

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

/// `y = conv(x, weight) + bias + residual`.
///
/// # Shapes
/// `x: [n, c, h, w]`, `weight: [k, c, side, side]`, `bias: [k]`, `residual` and `y`: `[n, k, h', w']`.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d(s: &Conv2d, x: &[f32], weight: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>, y: &mut [f32]) {
    s.check(x.len(), y.len(), weight.len());
    check_option(NAME, "the bias", bias, s.k);
    check_option(NAME, "the residual", residual, y.len());
    if y.is_empty() {
        return;
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
    s.check(dx.len(), dy.len(), weight.len());
    check_option(NAME, "what is added", add, dx.len());
    if dx.is_empty() || dy.is_empty() {
        return match add {
            Some(add) => dx.copy_from_slice(add),
            None => dx.fill(0.0),
        };
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
    s.check(x.len(), dy.len(), weight.len());
    check_len(NAME, "dx", dx.len(), x.len());
    check_len(NAME, "dw", dw.len(), weight.len());
    check_option(NAME, "what is added", add, x.len());
    check_option(NAME, "db", db.as_deref(), s.k);
    let isa = Isa::current();
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

fn backward_weight(isa: Isa, s: &Conv2d, x: &[f32], dy: &[f32], dw: Option<&mut [f32]>, mut db: Option<&mut [f32]>) {
    s.check(x.len(), dy.len(), dw.as_ref().map_or_else(|| s.weight_len(), |dw| dw.len()));
    check_option(NAME, "db", db.as_deref(), s.k);
    if x.is_empty() || dy.is_empty() {
        if let Some(dw) = dw {
            dw.fill(0.0);
        }
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
