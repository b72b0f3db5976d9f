//! Sizes of a convolution, and what follows from them.

use super::lowered::Images;
use super::taps::{Grid, Table, Tap};
use crate::sizes::{check_len, values};
use crate::winograd::Conv3x3;

/// In messages.
pub(super) const NAME: &str = "conv2d";
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
    pub(super) fn check(&self, input: usize, output: usize, weight: usize) {
        check_len(NAME, "the input", input, self.input_len());
        check_len(NAME, "the output", output, self.output_len());
        check_len(NAME, "the weight", weight, self.weight_len());
        assert!(self.stride <= MAX_STRIDE, "conv2d: the stride is {}, expected at most {MAX_STRIDE}", self.stride);
    }

    /// The convolution as Winograd's algorithm takes it, if it does.
    pub(super) fn as_3x3(&self) -> Option<Conv3x3> {
        let same = self.side == 3 && self.stride == 1 && self.padding == [1; 4];
        same.then_some(Conv3x3 { n: self.n, c: self.c, k: self.k, h: self.h, w: self.w })
    }

    /// Whether output pixels are input pixels.
    pub(super) fn is_pointwise(&self) -> bool {
        self.side == 1 && self.stride == 1 && self.padding == [0; 4]
    }

    pub(super) fn images<'a>(&self, values: &'a [f32]) -> Images<'a> {
        Images { values, n: self.n, channels: self.c, stride: self.h * self.w }
    }

    /// Where the taps of the output's pixels read the input.
    pub(super) fn table(&self) -> Table {
        let (height, width) = self.output_size();
        let grid = Grid { rows: self.h, columns: self.w, step: self.stride, height, width };
        let [top, left, _, _] = self.padding;
        let at = |i: usize, padding: usize| i as isize - padding as isize;
        let taps = (0..self.side * self.side).map(|i| Tap { dy: at(i / self.side, top), dx: at(i % self.side, left) });
        Table::new(&grid, &taps.collect::<Vec<_>>())
    }
}
