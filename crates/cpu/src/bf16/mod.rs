//! Convolutions and self-attention that multiply bf16 and add f32, by the processor's tile unit: 3×3 convolutions with stride 1 and 2, 1×1
//! convolutions; forward and all gradients.
//!
//! | module | what lives there |
//! |---|---|
//! | `tiles`, `emulation` | the tile unit's one inner kernel, and the same in plain code |
//! | `grid`, `panel`, `weights` | the layouts of pixels, activations and weights |
//! | `forward`, `backward` | convolutions, also behind a norm, chunk by chunk of the images |
//! | `product`, `weight` | the sums of outputs and of the gradient for the input; those of the gradient for the weights |
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
mod backward;
mod emulation;
mod forward;
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

pub(crate) use backward::{backward, norm_conv_backward};
pub(crate) use forward::{forward, norm_conv};
pub(crate) use tiles::has_tiles;

use super::images::images;
use super::norm_conv::NormConv;
use super::precision::Precision;
use grid::Grid;
pub(crate) use grid::Lattice;
use std::ops::Range;

/// Fewest channels on either side for which this is used: a block of 32 channels costs the same however few it has.
const FEW_CHANNELS: usize = 16;

/// Bytes of a chunk of images, of a value as f32 and as bf16 together, and pixels of a chunk at least.
const CHUNK_BYTES: usize = 768 << 10;
const CHUNK_BYTES_PER_VALUE: usize = 6;
const CHUNK_PIXELS: usize = 512;

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

    /// The pixels of some images.
    fn grid(&self, images: usize) -> Grid {
        Grid::new(images, self.h, self.w, self.taps)
    }

    /// The pixels of the output in the grid.
    fn lattice(&self, grid: &Grid) -> Lattice {
        self.strided.unwrap_or(grid.all())
    }

    /// Images that stay in the second-level cache while they are packed, multiplied and written; more where they are small, as the weights are
    /// read once for each of these.
    fn chunk(&self) -> usize {
        let pixels = self.h * self.w;
        let bytes = pixels * (self.c[0] + self.c[1] + self.k) * CHUNK_BYTES_PER_VALUE;
        (CHUNK_BYTES / bytes).max(CHUNK_PIXELS.div_ceil(pixels)).clamp(1, self.n)
    }
}

/// The `i`-th of `count` parts of images.
fn part(images: &Range<usize>, i: usize, count: usize) -> Range<usize> {
    images.start + images.len() * i / count..images.start + images.len() * (i + 1) / count
}

/// Images `range` of both tensors, which may be empty.
fn images_of<'a>(x: [&'a [f32]; 2], n: usize, range: &Range<usize>) -> [&'a [f32]; 2] {
    x.map(|x| images(x, n, range))
}

/// Sizes of the convolution behind a norm.
fn behind_norm(s: &NormConv) -> Sizes {
    Sizes { n: s.norm.n, h: s.h, w: s.w, c: [s.norm.c, 0], k: s.k, taps: 9, strided: None }
}
