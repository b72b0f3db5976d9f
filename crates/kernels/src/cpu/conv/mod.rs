//! Two-dimensional convolution with any square kernel, stride and padding: which algorithm, and the general one.

mod chunks;
mod joined;
mod pointwise;
mod product;
mod taps;
mod weight;

pub use joined::{JoinedConv1x1, conv1x1_joined, conv1x1_joined_backward_input, conv1x1_joined_backward_weight};

use super::elementwise::sum_images;
use super::gemm::Matrix;
use super::scratch::{Shared, with};
use super::winograd::{Conv3x3, TileSize, conv3x3, conv3x3_backward_input, conv3x3_backward_weight};
use product::{Images, Lowered, convolve};
use rayon::prelude::*;
use taps::{Grid, Table, Tap};

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
    /// If the stride is 0 or the padded input smaller than the kernel.
    pub fn output_size(&self) -> (usize, usize) {
        let [top, left, bottom, right] = self.padding;
        let (h, w) = (self.h + top + bottom, self.w + left + right);
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
        self.n * self.c * self.h * self.w
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        let (h, w) = self.output_size();
        self.n * self.k * h * w
    }

    /// Values of the weight.
    pub fn weight_len(&self) -> usize {
        self.k * self.c * self.side * self.side
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

    /// Columns of every phase of an input row for a stride, and the lowered grid of the output.
    fn grid(&self) -> Grid {
        let (height, width) = self.output_size();
        let plane = self.w.div_ceil(self.stride);
        Grid { rows: self.h, pitch: self.stride * plane, plane, row_step: self.stride, height, width }
    }

    fn taps(&self) -> Vec<Tap> {
        let [top, left, _, _] = self.padding;
        let stride = self.stride as isize;
        let at = |ky: usize, kx: usize| {
            let column = kx as isize - left as isize;
            let phase = column.rem_euclid(stride) as usize;
            Tap {
                plane: phase,
                dy: ky as isize - top as isize,
                dx: column.div_euclid(stride),
                columns: (self.w + self.stride - 1 - phase) / self.stride,
            }
        };
        (0..self.side * self.side).map(|i| at(i / self.side, i % self.side)).collect()
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
        Pass::Forward => s.c > FEW_CHANNELS,
        Pass::BackwardInput => s.k > FEW_CHANNELS,
        Pass::BackwardWeight => s.c > FEW_CHANNELS_WEIGHT,
    };
    pays.then(|| (sizes, TileSize::for_size(s.h, s.w)))
}

/// Whether Winograd's algorithm pays for a 3×3 convolution from `c` to `k` channels and both its gradients.
pub(crate) fn is_winograd(c: usize, k: usize) -> bool {
    c > FEW_CHANNELS && k > FEW_CHANNELS
}

/// The tiles of a convolution whose filters are transformed, where the transform is a good part of its time; `None`
/// where it is computed otherwise, or over so many tiles ([`FEW_TILES`]) that nothing is gained.
pub(crate) fn kept_tile(s: &Conv2d) -> Option<(Conv3x3, TileSize)> {
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
    if let Some((s, tile)) = winograd(s, Pass::Forward) {
        return conv3x3(&s, tile, x, weight, bias, residual, y);
    }
    assert!(x.len() == s.input_len() && weight.len() == s.weight_len());
    let table = Table::new(&s.grid(), &s.taps());
    with_phases(s, x, |images| {
        let matrix = Matrix::rows(weight, s.c * s.side * s.side);
        let images = [images, Images::NONE];
        let lowered = Lowered { images, table: &table, m: s.k, matrix, bias, add: residual };
        convolve(&lowered, y);
    })
}

/// Input gradient of [`conv2d`], plus `add` (in the shape of `dx`).
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_input(s: &Conv2d, dy: &[f32], weight: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    if let Some((s, tile)) = winograd(s, Pass::BackwardInput) {
        return conv3x3_backward_input(&s, tile, dy, weight, add, dx);
    }
    assert!(dy.len() == s.output_len() && weight.len() == s.weight_len() && dx.len() == s.input_len());
    assert!(add.is_none_or(|add| add.len() == dx.len()));
    if s.stride == 1 {
        return phase_gradient(s, 0, 0, dy, weight, add, dx);
    }
    // Pixels whose row and column leave the same remainders see the same taps: a convolution for each.
    with(dx.len(), |phases| {
        let mut rest = &mut *phases;
        for i in 0..s.stride * s.stride {
            let (py, px) = (i / s.stride, i % s.stride);
            let (part, after) =
                rest.split_at_mut(s.n * s.c * phase_len(s.h, s.stride, py) * phase_len(s.w, s.stride, px));
            phase_gradient(s, py, px, dy, weight, None, part);
            rest = after;
        }
        interleave(s, phases, add, dx);
    });
}

/// Weight gradient `dw: [k, c, side, side]` and bias gradient `db: [k]` of [`conv2d`], whichever are wanted.
///
/// # Panics
/// If a length does not fit.
pub fn conv2d_backward_weight(s: &Conv2d, x: &[f32], dy: &[f32], dw: Option<&mut [f32]>, mut db: Option<&mut [f32]>) {
    assert!(x.len() == s.input_len() && dy.len() == s.output_len());
    match (dw, winograd(s, Pass::BackwardWeight)) {
        (Some(dw), Some((s, tile))) => {
            let mut unwanted = vec![0.0; if db.is_none() { s.k } else { 0 }];
            conv3x3_backward_weight(&s, tile, x, dy, dw, db.unwrap_or(&mut unwanted));
        }
        (dw, _) => {
            if let Some(dw) = dw {
                assert!(dw.len() == s.weight_len());
                let sizes = [s.n, s.h * s.w, s.k, s.c];
                if s.is_pointwise() && pointwise::backward_weight(x, dy, sizes, dw, (0, s.c), db.as_deref_mut()) {
                    return;
                }
                let table = Table::new(&s.grid(), &s.taps());
                with_phases(s, x, |images| weight::backward_weight(images, &table, s.k, dy, dw));
            }
            if let Some(db) = db {
                assert!(db.len() == s.k);
                sum_images(dy, s.n, s.k, db);
            }
        }
    }
}

/// Rows (or columns) of `len` that leave the remainder `phase`.
fn phase_len(len: usize, stride: usize, phase: usize) -> usize {
    (len + stride - 1 - phase) / stride
}

/// Runs `f` with the images, the columns of every row sorted by their remainder, so that a tap's pixels are consecutive.
fn with_phases(s: &Conv2d, x: &[f32], f: impl FnOnce(Images)) {
    if s.stride == 1 {
        return f(Images { values: x, n: s.n, channels: s.c, stride: s.h * s.w });
    }
    // The phases of a row lie next to each other, as the taps of a pixel read them together.
    let phase = s.w.div_ceil(s.stride);
    let row = s.stride * phase;
    let channel = s.h * row;
    with(s.n * s.c * channel, |phases| {
        if channel > 0 && s.w > 0 {
            let planes = phases.par_chunks_exact_mut(channel).zip(x.par_chunks_exact(s.h * s.w));
            planes.for_each(|(out, image)| {
                for (out, image) in out.chunks_exact_mut(row).zip(image.chunks_exact(s.w)) {
                    for (i, out) in out.chunks_exact_mut(phase).enumerate() {
                        for (out, value) in out.iter_mut().zip(image.iter().skip(i).step_by(s.stride)) {
                            *out = *value;
                        }
                    }
                }
            });
        }
        f(Images { values: phases, n: s.n, channels: s.c, stride: channel });
    })
}

/// The input gradient at the pixels whose row leaves `py` and whose column leaves `px`: a convolution of `dy`.
fn phase_gradient(s: &Conv2d, py: usize, px: usize, dy: &[f32], weight: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    let (oh, ow) = s.output_size();
    let [top, left, _, _] = s.padding;
    let (height, width) = (phase_len(s.h, s.stride, py), phase_len(s.w, s.stride, px));
    let grid = Grid { rows: oh, pitch: ow, plane: 0, row_step: 1, height, width };
    let stride = s.stride as isize;
    let (mut taps, mut used) = (Vec::new(), Vec::new());
    for i in 0..s.side * s.side {
        let y = (py + top) as isize - (i / s.side) as isize;
        let x = (px + left) as isize - (i % s.side) as isize;
        if y.rem_euclid(stride) == 0 && x.rem_euclid(stride) == 0 {
            taps.push(Tap { plane: 0, dy: y / stride, dx: x / stride, columns: ow });
            used.push(i);
        }
    }
    let table = Table::new(&grid, &taps);
    let images = [Images { values: dy, n: s.n, channels: s.k, stride: oh * ow }, Images::NONE];
    let weights = Matrix::rows(weight, s.c).transposed();
    let lowered = Lowered { images, table: &table, m: s.c, matrix: weights, bias: None, add };
    if s.is_pointwise() {
        return convolve(&lowered, dx);
    }
    with(s.c * s.k * used.len(), |matrix| {
        exchange_channels(s, weight, &used, matrix);
        convolve(&Lowered { matrix: Matrix::rows(matrix, s.k * used.len()), ..lowered }, dx);
    })
}

/// The `used` taps of `weight: [k][c][tap]` as `[c][k][used]`.
fn exchange_channels(s: &Conv2d, weight: &[f32], used: &[usize], matrix: &mut [f32]) {
    /// Input channels of a task: neighbours in `weight`, so that whole lines of it are used.
    const CHANNELS: usize = 16;
    let (area, row) = (s.side * s.side, s.k * used.len());
    if row == 0 {
        return;
    }
    matrix.par_chunks_mut(CHANNELS * row).enumerate().for_each(|(i, rows)| {
        for (k, weight) in weight.chunks_exact(s.c * area).enumerate() {
            let weight = weight[i * CHANNELS * area..].chunks_exact(area);
            for (row, weight) in rows.chunks_exact_mut(row).zip(weight) {
                for (out, &tap) in row[k * used.len()..].iter_mut().zip(used) {
                    *out = weight[tap];
                }
            }
        }
    });
}

/// Puts the phases of the input gradient in their places, plus `add`.
fn interleave(s: &Conv2d, phases: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
    let plane = s.h * s.w;
    if plane == 0 {
        return;
    }
    let planes = s.n * s.c;
    let (stride, phases) = (s.stride, Shared::read(phases));
    dx.par_chunks_exact_mut(plane).enumerate().for_each(|(i, dx)| {
        let mut start = 0;
        for phase in 0..stride * stride {
            let (py, px) = (phase / stride, phase % stride);
            let (height, width) = (phase_len(s.h, stride, py), phase_len(s.w, stride, px));
            let src = phases.at(start + i * height * width);
            // SAFETY: the phases lie one after the other, each `[n, c, height, width]`.
            let src = unsafe { std::slice::from_raw_parts(src, height * width) };
            for y in 0..height {
                let row = &mut dx[(y * stride + py) * s.w..][..s.w];
                let values = src[y * width..][..width].iter();
                for (out, value) in row.iter_mut().skip(px).step_by(stride).zip(values) {
                    *out = *value;
                }
            }
            start += planes * height * width;
        }
        if let Some(add) = add {
            for (out, value) in dx.iter_mut().zip(&add[i * plane..]) {
                *out += value;
            }
        }
    });
}
