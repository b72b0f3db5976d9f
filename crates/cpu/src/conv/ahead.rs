//! Asking for memory before it is needed, a few lines at a time.

use crate::gemm::Fetch;
use crate::simd::{L, Simd};

/// Things that are asked for at a time, at most.
const MOST: usize = 6;

/// Rows of a product's depth between two questions. Asked for all at once, lines wait for each other, and the product for them:
/// a processor has some twenty on their way.
pub(super) const STEP: usize = 8;

/// Memory that will be read or written soon, one thing after the other.
pub(super) struct Ahead {
    things: [Fetch; MOST],
    /// Where the next line is: the thing, its row, and the float in it.
    thing: usize,
    row: usize,
    at: usize,
}

impl Ahead {
    pub(super) fn new<const N: usize>(fetches: [Fetch; N]) -> Self {
        let mut things = [Fetch::NOTHING; MOST];
        for (thing, fetch) in things.iter_mut().zip(fetches) {
            *thing = fetch;
        }
        Self { things, thing: 0, row: 0, at: 0 }
    }

    /// Lines of all of it.
    pub(super) fn lines(&self) -> usize {
        self.things.iter().map(|thing| thing.rows * thing.len.div_ceil(L)).sum()
    }

    /// Asks for the next `lines`.
    #[inline(always)]
    pub(super) unsafe fn ask<S: Simd>(&mut self, lines: usize) {
        let mut left = lines;
        while left > 0 {
            let Some(thing) = self.things.get(self.thing) else {
                return;
            };
            if self.row >= thing.rows || thing.len == 0 {
                (self.thing, self.row, self.at) = (self.thing + 1, 0, 0);
                continue;
            }
            // SAFETY: any address may be asked for.
            unsafe { S::prefetch_line(thing.at.wrapping_add(self.row * thing.rs + self.at)) };
            self.at += L;
            if self.at >= thing.len {
                (self.row, self.at) = (self.row + 1, 0);
            }
            left -= 1;
        }
    }
}
