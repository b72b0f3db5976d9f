//! Softmax of rows of scores and its gradient. A row is a query.

use crate::gemm::PANEL;
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// Rows of scores.
pub(super) struct Rows {
    /// `[rows][wide]`, scores in, exponentials out: those of what a score is below the largest of its row; behind the keys zeros.
    pub(super) p: *mut f32,
    /// Floats from one row of them to the next.
    pub(super) stride: usize,
    /// Null, or where the exponentials go too, `[rows][wide]` one behind the other.
    pub(super) kept: *mut f32,
    pub(super) rows: usize,
    pub(super) keys: usize,
    /// Keys rounded up to whole vectors.
    pub(super) wide: usize,
    /// What the scores are multiplied by; positive.
    pub(super) factor: f32,
    /// Null, or where the largest score of every row goes.
    pub(super) tops: *mut f32,
    /// Where the reciprocal sum of the exponentials of every row goes.
    pub(super) scales: *mut f32,
}

/// Ones, to keep some lanes.
static ONES: [f32; L] = [1.0; L];

/// Rows that are worked on together, so that the sums of one are not waited for.
pub(super) const TOGETHER: usize = 4;

#[inline(always)]
unsafe fn softmax_rows<S: Simd>(t: &Rows) {
    unsafe {
        let log = t.factor * (32.0 * std::f32::consts::LOG2_E);
        for r in (0..t.rows).step_by(TOGETHER) {
            let rows = (t.rows - r).min(TOGETHER);
            let mut tops = [0.0; TOGETHER];
            let mut sums = [S::zero(); TOGETHER];
            for i in 0..rows {
                tops[i] = largest::<S>(t.p.add((r + i) * t.stride), t.keys);
            }
            for i in 0..rows {
                let kept = if t.kept.is_null() { t.kept } else { t.kept.add((r + i) * t.wide) };
                sums[i] = exponentials::<S>(t.p.add((r + i) * t.stride), kept, t.keys, log, tops[i]);
            }
            for i in 0..rows {
                *t.scales.add(r + i) = 1.0 / S::hsum(sums[i]);
                if !t.tops.is_null() {
                    *t.tops.add(r + i) = tops[i];
                }
            }
        }
    }
}

/// `2^(log (p - top) / 32)` of `keys` scores, in place and, unless that is null, to `kept`; sums of them.
#[inline(always)]
pub(super) unsafe fn exponentials<S: Simd>(p: *mut f32, kept: *mut f32, keys: usize, log: f32, top: f32) -> S::V {
    unsafe {
        let (factor, low, keep) = (S::splat(log), S::splat(-(top * log)), !kept.is_null());
        let whole = keys / PANEL * PANEL;
        let mut parts = [S::zero(); 2];
        for k in (0..whole).step_by(PANEL) {
            for half in 0..2 {
                let at = p.add(k + half * L);
                let e = S::exp2_of_32nds(S::fma(S::load(at), factor, low));
                S::store(at, e);
                if keep {
                    S::store(kept.add(k + half * L), e);
                }
                parts[half] = S::add(parts[half], e);
            }
        }
        for half in 0..2 {
            let (at, n) = (whole + half * L, keys.saturating_sub(whole + half * L).min(L));
            if n > 0 {
                // The lanes behind the keys hold anything up to one, and are cleared.
                let x = S::min(S::zero(), S::fma(S::load_n(p.add(at), n), factor, low));
                let e = S::mul(S::exp2_of_32nds(x), S::load_n(ONES.as_ptr(), n));
                S::store(p.add(at), e);
                if keep {
                    S::store(kept.add(at), e);
                }
                parts[half] = S::add(parts[half], e);
            }
        }
        S::add(parts[0], parts[1])
    }
}

/// The largest of `n` values; `n > 0`.
#[inline(always)]
pub(super) unsafe fn largest<S: Simd>(p: *const f32, n: usize) -> f32 {
    unsafe {
        if n < L {
            let mut top = *p;
            for i in 1..n {
                top = top.max(*p.add(i));
            }
            return top;
        }
        // The last vectors overlap those before.
        let mut tops = [S::load(p.add(n - L)); 2];
        tops[1] = S::load(p.add((n - L).saturating_sub(L)));
        for i in (0..n.saturating_sub(PANEL)).step_by(PANEL) {
            for half in 0..2 {
                tops[half] = S::max(tops[half], S::load(p.add(i + half * L)));
            }
        }
        S::hmax(S::max(tops[0], tops[1]))
    }
}
isa_entry!(
    /// [`Rows`] of scores.
    pub(super) softmax [] = softmax_rows(Rows)
);

/// Rows of exponentials and of gradients.
pub(super) struct Gradient {
    /// `[rows][wide]`, what [`softmax`] left; or, where `tops` is not null, scores in, and that out.
    pub(super) p: *mut f32,
    pub(super) tops: *const f32,
    /// `[rows][wide]`, the gradient of the probabilities in, that of the scores out, both times the reciprocal sum.
    pub(super) d: *mut f32,
    /// Floats from one row of either to the next.
    pub(super) strides: [usize; 2],
    pub(super) rows: usize,
    pub(super) wide: usize,
    pub(super) factor: f32,
    /// The attended image, and its gradient times the reciprocal sum: panels of 32 of `channels`, so far apart.
    pub(super) attended: *const f32,
    pub(super) attended_panel: usize,
    pub(super) d_attended: *const f32,
    pub(super) d_attended_panel: usize,
    /// A multiple of 32.
    pub(super) channels: usize,
}

#[inline(always)]
unsafe fn gradient_rows<S: Simd>(t: &Gradient) {
    unsafe {
        let (factor, log) = (S::splat(t.factor), t.factor * (32.0 * std::f32::consts::LOG2_E));
        for r in 0..t.rows {
            let (p, d) = (t.p.add(r * t.strides[0]), t.d.add(r * t.strides[1]));
            // `Σ p dp` over the keys is the sum over the channels of what is attended times its gradient.
            let mut sums = [S::zero(); 2];
            for panel in 0..t.channels / PANEL {
                let a = t.attended.add(panel * t.attended_panel + r * PANEL);
                let b = t.d_attended.add(panel * t.d_attended_panel + r * PANEL);
                for half in 0..2 {
                    sums[half] = S::fma(S::load(a.add(half * L)), S::load(b.add(half * L)), sums[half]);
                }
            }
            let sum = S::splat(S::hsum(S::add(sums[0], sums[1])));
            if t.tops.is_null() {
                for i in (0..t.wide).step_by(L) {
                    let e = S::mul(S::load(p.add(i)), factor);
                    S::store(d.add(i), S::mul(e, S::sub(S::load(d.add(i)), sum)));
                }
                continue;
            }
            let low = S::splat(-(*t.tops.add(r) * log));
            for i in (0..t.wide).step_by(L) {
                let e = S::exp2_of_32nds(S::fma(S::load(p.add(i)), S::splat(log), low));
                S::store(p.add(i), e);
                S::store(d.add(i), S::mul(S::mul(e, factor), S::sub(S::load(d.add(i)), sum)));
            }
        }
    }
}
isa_entry!(
    /// The gradient of the softmax of rows.
    pub(super) softmax_gradient [] = gradient_rows(Gradient)
);
