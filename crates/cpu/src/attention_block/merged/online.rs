//! Softmax of rows of scores that come some at a time, and what is attended to with them (Milakov and Gimelshein 2018, algorithm 3; Dao et al.
//! 2022, algorithm 1): where a larger score comes, all that was summed below it is made smaller.

use super::softmax::{TOGETHER, exponentials, largest};
use crate::gemm::PANEL;
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// Some scores of rows.
pub(super) struct Online {
    /// `[rows][keys]`, scores in, exponentials out: those of what a score is below the largest of its row so far.
    pub(super) p: *mut f32,
    /// Floats from one row of them to the next, with room for whole vectors.
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// At least one.
    pub(super) keys: usize,
    /// What the scores are multiplied by; positive.
    pub(super) factor: f32,
    pub(super) state: State,
    /// Whether there were no scores before.
    pub(super) is_first: bool,
}

/// What is known of rows of which some scores have been seen.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// The largest score of every row.
    pub(super) tops: *mut f32,
    /// Sums of exponentials, `[rows][16]`.
    pub(super) sums: *mut f32,
    /// Sums of exponentials times what is attended to: panels of 32 of `channels`, so far apart.
    pub(super) attended: *mut f32,
    pub(super) panel: usize,
    /// A multiple of 32.
    pub(super) channels: usize,
}

#[inline(always)]
unsafe fn online_rows<S: Simd>(t: &Online) {
    unsafe {
        let log = t.factor * (32.0 * std::f32::consts::LOG2_E);
        for r in (0..t.rows).step_by(TOGETHER) {
            let rows = (t.rows - r).min(TOGETHER);
            let mut tops = [0.0; TOGETHER];
            for i in 0..rows {
                tops[i] = largest::<S>(t.p.add((r + i) * t.stride), t.keys);
            }
            for i in 0..rows {
                let (top, sums) = (t.state.tops.add(r + i), t.state.sums.add((r + i) * L));
                let mut before = S::zero();
                if !t.is_first {
                    before = S::load(sums);
                    let old = *top;
                    if tops[i] > old {
                        let less = S::exp2_of_32nds(S::splat((old - tops[i]) * log));
                        before = S::mul(before, less);
                        scale::<S>(&t.state, r + i, less);
                    } else {
                        tops[i] = old;
                    }
                }
                *top = tops[i];
                let null = std::ptr::null_mut();
                let sum = exponentials::<S>(t.p.add((r + i) * t.stride), null, t.keys, log, tops[i]);
                S::store(sums, S::add(before, sum));
            }
        }
    }
}
isa_entry!(
    /// Takes [`Online`] scores in.
    pub(super) online [] = online_rows(Online)
);

/// Multiplies what row `r` attends to.
#[inline(always)]
unsafe fn scale<S: Simd>(t: &State, r: usize, by: S::V) {
    unsafe {
        for panel in 0..t.channels / PANEL {
            let row = t.attended.add(panel * t.panel + r * PANEL);
            for half in 0..2 {
                S::store(row.add(half * L), S::mul(S::load(row.add(half * L)), by));
            }
        }
    }
}

/// Rows of which all scores have been seen.
pub(super) struct Whole {
    pub(super) state: State,
    pub(super) rows: usize,
    /// Where the reciprocal sum of the exponentials of every row goes.
    pub(super) scales: *mut f32,
}

#[inline(always)]
unsafe fn whole_rows<S: Simd>(t: &Whole) {
    unsafe {
        for r in 0..t.rows {
            let by = 1.0 / S::hsum(S::load(t.state.sums.add(r * L)));
            *t.scales.add(r) = by;
            scale::<S>(&t.state, r, S::splat(by));
        }
    }
}
isa_entry!(
    /// Divides what rows attend to by the sums of their exponentials.
    pub(super) whole [] = whole_rows(Whole)
);
