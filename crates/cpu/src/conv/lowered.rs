//! Operands of a convolution as a matrix product.

use super::taps::Table;
use crate::gemm::Matrix;

/// Images as a convolution reads them.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub(super) values: &'a [f32],
    pub(super) n: usize,
    pub(super) channels: usize,
    /// Floats from one channel to the next (`channels` times that from one image to the next).
    pub(super) stride: usize,
}

impl Images<'_> {
    /// No channels.
    pub(super) const NONE: Self = Self { values: &[], n: 0, channels: 0, stride: 0 };
}

/// What is multiplied, and what is added to it.
pub(super) struct Lowered<'a> {
    /// Channels of the same images and sizes, which are multiplied as if they were joined.
    pub(super) images: [Images<'a>; 2],
    pub(super) table: &'a Table,
    /// Output channels.
    pub(super) m: usize,
    /// `[m, channels taps]`
    pub(super) matrix: Matrix<'a>,
    /// `[m]`
    pub(super) bias: Option<&'a [f32]>,
    /// In the shape of the output.
    pub(super) add: Option<&'a [f32]>,
}
