//! Queries are cut into strips, so that their scores stay in the L1 cache from one product to the next.

use super::super::AttentionBlock;
use crate::gemm::group_rows;

/// Queries of a strip, at most: a few groups of rows of every instruction set.
pub(super) const STRIP: usize = 36;

/// Number of strips.
pub(in super::super) fn strips(s: &AttentionBlock) -> usize {
    s.pixels.div_ceil(STRIP)
}

/// Queries of strip `i`, from and up to.
pub(super) fn strip(s: &AttentionBlock, i: usize) -> (usize, usize) {
    group_rows(s.pixels, strips(s), i)
}
