//! Convolutions and self-attention that multiply bf16 and add f32, by the processor's tile unit: 3×3 and 1×1 convolutions with stride 1; forward and
//! all gradients.
//!
//! | module | what lives there |
//! |---|---|
//! | `tiles`, `emulation` | the tile unit's one inner kernel, and the same in plain code |
//! | `grid`, `panel`, `weights` | the layouts of pixels, activations and weights |
//! | `product`, `weight` | forward and the gradient for the input; the gradient for the weights |
//! | `number`, `portable`, `avx512` | rounding; what is around the products, in plain code and with AVX-512 |
//! | `attention` | self-attention over pixels and its gradient |
//! | `normed` | a group normalisation that is rounded into a panel |
//! | `memory` | scratch memory in parts |
//!
//! Inputs and weights are rounded when they are packed. Sums are f32, in an order that follows from the sizes alone: the bits depend neither on
//! threads nor on whether there is a tile unit.

/// Calls what is around the products as this processor can.
macro_rules! around {
    ($name:ident($($argument:expr),*)) => {
        match super::wide() {
            #[cfg(target_arch = "x86_64")]
            true => super::avx512::$name($($argument),*),
            _ => super::portable::$name($($argument),*),
        }
    };
}

pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod emulation;
mod grid;
mod memory;
mod normed;
mod number;
mod panel;
mod portable;
mod product;
#[cfg(test)]
mod tests;
mod tiles;
mod weight;
mod weights;

pub(crate) use tiles::has_tiles;

use super::norm::{Affine, NormInput};
use super::norm_conv::NormConv;
use super::precision::Precision;
use super::scratch;
use grid::Grid;
pub(crate) use grid::Lattice;
use normed::Normed;
use panel::{BLOCK, Outputs, block_len, blocks, panel_len};

/// Fewest channels on either side for which this is used: a block of 32 channels costs the same however few it has.
const FEW_CHANNELS: usize = 16;

/// Whether what is around the products uses AVX-512 with bf16, which all processors with tiles have.
#[cfg(target_arch = "x86_64")]
fn wide() -> bool {
    !cfg!(miri)
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn wide() -> bool {
    false
}

/// Whether a 3×3 convolution with stride 1 or 2, or a 1×1 convolution, from `c` to `k` channels gains from [`Precision::Bf16`]; others stay f32.
pub fn is_bf16(c: usize, k: usize) -> bool {
    c >= FEW_CHANNELS && k >= FEW_CHANNELS
}

/// Whether the calling thread has chosen bf16, and a self-attention with `d` channels a head gains from it.
pub(crate) fn is_attention_chosen(d: usize) -> bool {
    Precision::current() == Precision::Bf16 && d >= FEW_CHANNELS
}

/// Sizes of a convolution of the channels of one tensor or two: with stride 1 and as many pixels in its output as in its input, or 3×3 with stride 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Input channels in either tensor.
    pub(crate) c: [usize; 2],
    /// Output channels.
    pub(crate) k: usize,
    /// 1 or 9.
    pub(crate) taps: usize,
    /// Where the middles of its kernels lie in the input, if not at every pixel.
    pub(crate) strided: Option<Lattice>,
}

impl Lattice {
    /// The middles of the kernels of a 3×3 convolution with stride 2 and at most one line of zeros on each side; `size` is that of its output.
    pub(crate) fn of_stride_2([top, left]: [usize; 2], size: (usize, usize)) -> Self {
        Self { stride: 2, first: [1 - top, 1 - left], size: [size.0, size.1] }
    }
}

impl Sizes {
    /// Itself, where the calling thread has chosen bf16 and the convolution gains from it.
    pub(crate) fn chosen(self) -> Option<Self> {
        let pays = is_bf16(self.c[0] + self.c[1], self.k);
        (Precision::current() == Precision::Bf16 && pays && self.n * self.h * self.w > 0).then_some(self)
    }

    fn grid(&self) -> Grid {
        Grid::new(self.n, self.h, self.w, self.taps)
    }

    /// The pixels of the output in the grid.
    fn lattice(&self, grid: &Grid) -> Lattice {
        self.strided.unwrap_or(grid.all())
    }
}

/// `y = conv(x, weight) + bias + residual`.
pub(crate) fn forward(
    s: &Sizes,
    x: [&[f32]; 2],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    forward_of(s, |grid, panel| panel::pack(grid, &grid.all(), x, s.c, panel), weight, [bias, residual], y);
}

/// [`forward`] of what `pack` writes into a panel.
fn forward_of(
    s: &Sizes,
    pack: impl FnOnce(&Grid, &mut [u16]),
    weight: &[f32],
    [bias, residual]: [Option<&[f32]>; 2],
    y: &mut [f32],
) {
    let (grid, out) = (s.grid(), [s.k, 0]);
    let halves = [panel_len(&grid, s.c), weights::tiles_len(out, s.c, s.taps)];
    let floats = [blocks(out) * BLOCK];
    memory::with(&halves, &floats, |mut parts| {
        let [panel, tiles] = halves.map(|len| parts.halves(len));
        let padded = parts.floats(floats[0]);
        pack(&grid, panel);
        weights::forward(weight, s.k, s.c, s.taps, tiles);
        padded.fill(0.0);
        if let Some(bias) = bias {
            padded[..s.k].copy_from_slice(bias);
        }
        let lattice = s.lattice(&grid);
        let outputs = Outputs::new([s.n, lattice.plane()], out, [residual, None], [y, &mut []]);
        product::convolve(
            &grid,
            &grid.windows_of(&lattice),
            s.taps,
            [blocks(s.c), blocks(out)],
            panel,
            tiles,
            padded,
            &outputs,
        );
    });
}

/// Gradients of [`forward`] for its inputs, plus `add`, and for its weight, whichever there is room for.
pub(crate) fn backward(
    s: &Sizes,
    x: [&[f32]; 2],
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    dx: Option<[&mut [f32]; 2]>,
    dw: Option<&mut [f32]>,
) {
    backward_of(s, dy, |grid, dy| {
        if let Some(dx) = dx {
            backward_input(s, grid, dy, weight, add, dx);
        }
        if let Some(dw) = dw {
            backward_weight(s, grid, |panel| panel::pack(grid, &grid.all(), x, s.c, panel), dy, dw);
        }
    });
}

/// Runs `f` with the gradient of the result as a panel, with zeros between the pixels of a strided one.
fn backward_of(s: &Sizes, dy: &[f32], f: impl FnOnce(&Grid, &[u16])) {
    let (grid, out) = (s.grid(), [s.k, 0]);
    let halves = [panel_len(&grid, out)];
    memory::with(&halves, &[], |mut parts| {
        let panel = parts.halves(halves[0]);
        panel::pack(&grid, &s.lattice(&grid), [dy, &[]], out, panel);
        f(&grid, panel);
    });
}

fn backward_input(s: &Sizes, grid: &Grid, dy: &[u16], weight: &[f32], add: [Option<&[f32]>; 2], dx: [&mut [f32]; 2]) {
    let halves = [weights::tiles_len(s.c, [s.k, 0], s.taps)];
    let floats = [blocks(s.c) * BLOCK];
    memory::with(&halves, &floats, |mut parts| {
        let tiles = parts.halves(halves[0]);
        let padded = parts.floats(floats[0]);
        weights::turned(weight, s.c, s.k, s.taps, tiles);
        padded.fill(0.0);
        let outputs = Outputs::new([s.n, grid.h * grid.w], s.c, add, dx);
        product::convolve(
            grid,
            &grid.windows_of(&grid.all()),
            s.taps,
            [blocks([s.k, 0]), blocks(s.c)],
            dy,
            tiles,
            padded,
            &outputs,
        );
    });
}

fn backward_weight(s: &Sizes, grid: &Grid, pack: impl FnOnce(&mut [u16]), dy: &[u16], dw: &mut [f32]) {
    let windows = grid.around(&s.lattice(grid));
    let cut = weight::Cut::new(s.k, s.c, s.taps, windows.len());
    let panel = panel_len(grid, s.c);
    let halves = [panel, 2 * panel, dy.len() / block_len(grid) * windows.len() * 1024];
    let floats = [cut.sums_len()];
    memory::with(&halves, &floats, |mut parts| {
        let [panel, pairs, turned] = halves.map(|len| parts.halves(len));
        let sums = parts.floats(floats[0]);
        pack(panel);
        panel::pair(grid, panel, pairs);
        panel::turn(grid, dy, &windows, turned);
        weight::gradient(grid, cut, &windows, pairs, turned, sums, [[s.k, 0], s.c], dw);
    });
}

/// Sizes of the convolution behind a norm.
fn behind_norm(s: &NormConv) -> Sizes {
    Sizes { n: s.norm.n, h: s.h, w: s.w, c: [s.norm.c, 0], k: s.k, taps: 9, strided: None }
}

/// `y = conv(norm(x)) + bias + residual`, and the statistics of the norm.
#[allow(clippy::too_many_arguments)] // the operands and results of two operations
pub(crate) fn norm_conv(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
    statistics: [&mut [f32]; 2],
) {
    let normed = Normed { s: &s.norm, x, affine };
    let pack = |grid: &Grid, panel: &mut [u16]| normed.pack(grid, panel, statistics);
    forward_of(&behind_norm(s), pack, weight, [bias, residual], y);
}

/// Gradients of [`norm_conv`] for the result of the norm, which `norm_backward` gets, and for the weight.
pub(crate) fn norm_conv_backward(
    s: &NormConv,
    x: NormInput,
    affine: Affine,
    weight: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    norm_backward: impl FnOnce(&[f32]),
) {
    let (sizes, normed) = (behind_norm(s), Normed { s: &s.norm, x, affine });
    backward_of(&sizes, dy, |grid, dy| {
        scratch::with(s.norm.len(), |d_normed| {
            backward_input(&sizes, grid, dy, weight, [None; 2], [&mut *d_normed, &mut []]);
            norm_backward(d_normed);
        });
        let groups = s.norm.n * s.norm.groups;
        scratch::with(2 * groups, |statistics| {
            let (mean, rstd) = statistics.split_at_mut(groups);
            backward_weight(&sizes, grid, |panel| normed.pack(grid, panel, [mean, rstd]), dy, dw);
        });
    });
}
