//! Nearest upsampling by two and the 3×3 convolution behind it, without the upsampled image.
//!
//! `phases` has the arithmetic in one dimension, `tile` in two; arrays are laid out as for other convolutions, with 5×5 products a tile
//! of 2×2 pixels of the input and 4×4 of the output.

mod backward;
mod block;
mod forward;
mod phases;
mod tile;

pub(super) use backward::backward;
pub(crate) use backward::check as check_backward;
pub(crate) use forward::check as check_forward;
pub(super) use forward::convolve;

use super::Conv3x3;

/// Sizes of an upsampling by two and a 3×3 convolution with stride 1 and padding 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpsampleConv3x3 {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Height of the input, half of the output's.
    pub h: usize,
    /// Width of the input, half of the output's.
    pub w: usize,
}

impl UpsampleConv3x3 {
    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.low().input_len()
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        // No overflow: the product of the four is far below the largest number.
        4 * self.low().output_len()
    }

    /// Values of the weight.
    pub fn weight_len(&self) -> usize {
        self.low().weight_len()
    }

    /// A convolution of the images before the upsampling.
    fn low(&self) -> Conv3x3 {
        let Self { n, c, k, h, w } = *self;
        Conv3x3 { n, c, k, h, w }
    }

    /// One of those behind it.
    fn high(&self) -> Conv3x3 {
        Conv3x3 { h: 2 * self.h, w: 2 * self.w, ..self.low() }
    }
}
