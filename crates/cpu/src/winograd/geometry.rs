//! How a batch of images is cut into tiles, rows of tiles and blocks.

use super::tile::Patch;
use crate::simd::L;
use crate::sizes::values;

/// Bytes of the pixels of a strip of tiles: they stay in the L1 cache beside what is read and written (measured).
const STRIP_BYTES: usize = 12 * 1024;

/// In messages.
pub(super) const NAME: &str = "conv3x3";

/// Sizes of a 3×3 convolution with stride 1 and padding 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv3x3 {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Height of input and output.
    pub h: usize,
    /// Width of input and output.
    pub w: usize,
}

impl Conv3x3 {
    /// Values of the input.
    pub fn input_len(&self) -> usize {
        values(NAME, [self.n, self.c, self.h, self.w])
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        values(NAME, [self.n, self.k, self.h, self.w])
    }

    /// Values of the weight.
    pub fn weight_len(&self) -> usize {
        values(NAME, [self.k, self.c, 9])
    }

    /// The convolution that its input gradient is.
    pub(crate) fn transposed(self) -> Self {
        Self { c: self.k, k: self.c, ..self }
    }
}

/// Tiles of a batch.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub(super) h: usize,
    pub(super) w: usize,
    /// Tiles of an image, down and across.
    pub(super) th: usize,
    pub(super) tw: usize,
    /// Rows of tiles of the batch, `n th`.
    pub(super) rows: usize,
}

impl Geometry {
    pub(super) fn new<W: Patch>(s: &Conv3x3) -> Self {
        let (th, tw) = (s.h.div_ceil(W::M), s.w.div_ceil(W::M));
        Self { h: s.h, w: s.w, th, tw, rows: s.n * th }
    }

    /// The images that the rows of tiles `r0..r1` belong to.
    #[inline(always)]
    pub(super) fn segments(&self, r0: usize, r1: usize) -> Segments {
        Segments { r0, r: r0, r1, th: self.th, tw: self.tw }
    }

    /// Number of blocks of about `tiles` tiles. With `threads` known a few blocks are made a multiple of it; that may
    /// only be done where the result does not depend on the blocks.
    pub(super) fn blocks(&self, tiles: usize, threads: usize) -> usize {
        let per_block = (tiles / self.tw).max(1);
        let blocks = self.rows.div_ceil(per_block);
        let blocks = if blocks < 8 * threads { blocks.next_multiple_of(threads) } else { blocks };
        blocks.min(self.rows)
    }

    /// Rows of tiles of block `i` of `blocks`.
    #[inline(always)]
    pub(super) fn block(&self, i: usize, blocks: usize) -> (usize, usize) {
        (self.rows * i / blocks, self.rows * (i + 1) / blocks)
    }

    /// Rows of tiles whose pixels are in scratch at a time.
    #[inline(always)]
    pub(super) fn strip<W: Patch>(&self) -> usize {
        let row = W::M * (self.tw * W::M + 2) * L * size_of::<f32>();
        let strips = self.th.div_ceil((STRIP_BYTES / row).max(1));
        self.th.div_ceil(strips)
    }

    /// Floats of pixel scratch: a strip with the pixels around it.
    pub(super) fn pixel_scratch<W: Patch>(&self) -> usize {
        (self.strip::<W>() * W::M + 2) * (self.tw * W::M + 2) * L
    }
}

/// Rows of tiles of one image.
pub(super) struct Segment {
    pub(super) image: usize,
    /// Rows of tiles within the image, from and up to.
    pub(super) ty0: usize,
    pub(super) ty1: usize,
    /// Number of the first tile, counted from the start of the range.
    pub(super) tile: usize,
}

/// An iterator, not a callback: closures do not inherit enabled instruction sets, so SIMD code in them is not inlined.
pub(super) struct Segments {
    r0: usize,
    r: usize,
    r1: usize,
    th: usize,
    tw: usize,
}

impl Iterator for Segments {
    type Item = Segment;

    #[inline(always)]
    fn next(&mut self) -> Option<Segment> {
        if self.r >= self.r1 {
            return None;
        }
        let (image, ty0) = (self.r / self.th, self.r % self.th);
        let ty1 = (ty0 + self.r1 - self.r).min(self.th);
        let tile = (self.r - self.r0) * self.tw;
        self.r += ty1 - ty0;
        Some(Segment { image, ty0, ty1, tile })
    }
}

/// Distance of the products' planes, one cache line off a power of two so that the `T T` streams of stores do not
/// collide in the L1 cache.
pub(super) fn plane_stride(floats: usize) -> usize {
    floats + L
}
