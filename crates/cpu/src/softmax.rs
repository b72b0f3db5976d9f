//! Softmax of the columns of a panel and its gradient, in place. A column is a query, so every lane works for itself.

use super::gemm::PANEL;
use super::isa::isa_entry;
use super::simd::{L, Simd};

/// A panel `[keys][32]`.
pub(super) struct Columns {
    /// Scores in, probabilities out; or probabilities.
    pub(super) p: *mut f32,
    /// Null, or the gradient of the probabilities in, that of the scores out.
    pub(super) d: *mut f32,
    /// Null, or where the statistics of the columns go: 32 maxima of the scores, 32 reciprocal sums.
    pub(super) statistics: *mut f32,
    pub(super) keys: usize,
    /// Columns in use, at most 32; those up to the next multiple of 16 are computed too.
    pub(super) width: usize,
    /// What the scores are multiplied by; positive.
    pub(super) factor: f32,
}

/// Sums and maxima of a column are made of so many, which do not wait for each other.
const CHAINS: usize = 4;

#[inline(always)]
unsafe fn softmax_columns<S: Simd>(t: &Columns) {
    unsafe {
        let factor = S::splat(t.factor * std::f32::consts::LOG2_E);
        for half in 0..t.width.div_ceil(L) {
            let p = t.p.add(half * L);
            let mut tops = [S::splat(f32::NEG_INFINITY); CHAINS];
            let whole = t.keys / CHAINS * CHAINS;
            for i in (0..whole).step_by(CHAINS) {
                for c in 0..CHAINS {
                    tops[c] = S::max(tops[c], S::load(p.add((i + c) * PANEL)));
                }
            }
            for i in whole..t.keys {
                tops[0] = S::max(tops[0], S::load(p.add(i * PANEL)));
            }
            let top = S::max(S::max(tops[0], tops[1]), S::max(tops[2], tops[3]));
            let mut sum = S::zero();
            for i in 0..t.keys {
                let at = p.add(i * PANEL);
                let e = S::exp2(S::mul(S::sub(S::load(at), top), factor));
                S::store(at, e);
                sum = S::add(sum, e);
            }
            let scale = S::div(S::splat(1.0), sum);
            if !t.statistics.is_null() {
                S::store(t.statistics.add(half * L), top);
                S::store(t.statistics.add(PANEL + half * L), scale);
            }
            for i in 0..t.keys {
                let at = p.add(i * PANEL);
                S::store(at, S::mul(S::load(at), scale));
            }
        }
    }
}

#[inline(always)]
unsafe fn gradient_columns<S: Simd>(t: &Columns) {
    unsafe {
        for half in 0..t.width.div_ceil(L) {
            let (p, d) = (t.p.add(half * L), t.d.add(half * L));
            let mut sums = [S::zero(); CHAINS];
            let whole = t.keys / CHAINS * CHAINS;
            for i in (0..whole).step_by(CHAINS) {
                for c in 0..CHAINS {
                    let at = (i + c) * PANEL;
                    sums[c] = S::fma(S::load(p.add(at)), S::load(d.add(at)), sums[c]);
                }
            }
            for i in whole..t.keys {
                sums[0] = S::fma(S::load(p.add(i * PANEL)), S::load(d.add(i * PANEL)), sums[0]);
            }
            let sum = S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]));
            let factor = S::splat(t.factor);
            for i in 0..t.keys {
                let at = d.add(i * PANEL);
                let p = S::mul(S::load(p.add(i * PANEL)), factor);
                S::store(at, S::mul(p, S::sub(S::load(at), sum)));
            }
        }
    }
}

/// A panel whose statistics are known: probabilities and their gradient in one pass.
pub(super) struct Known {
    /// Scores in, probabilities out; or probabilities.
    pub(super) p: *mut f32,
    /// The gradient of the probabilities in, that of the scores out.
    pub(super) d: *mut f32,
    /// What [`softmax`] left, maxima and reciprocal sums; null where it left the probabilities.
    pub(super) statistics: *const f32,
    /// `Σ p d` of every column.
    pub(super) sums: *const f32,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) factor: f32,
}

#[inline(always)]
unsafe fn known_columns<S: Simd>(t: &Known) {
    unsafe {
        let (factor, log) = (S::splat(t.factor), S::splat(t.factor * std::f32::consts::LOG2_E));
        for half in 0..t.width.div_ceil(L) {
            let (p, d) = (t.p.add(half * L), t.d.add(half * L));
            let sum = S::load(t.sums.add(half * L));
            if t.statistics.is_null() {
                for i in 0..t.keys {
                    let d = d.add(i * PANEL);
                    let p = S::mul(S::load(p.add(i * PANEL)), factor);
                    S::store(d, S::mul(p, S::sub(S::load(d), sum)));
                }
                continue;
            }
            let top = S::load(t.statistics.add(half * L));
            let scale = S::load(t.statistics.add(PANEL + half * L));
            for i in 0..t.keys {
                let (p, d) = (p.add(i * PANEL), d.add(i * PANEL));
                let value = S::mul(S::exp2(S::mul(S::sub(S::load(p), top), log)), scale);
                S::store(p, value);
                S::store(d, S::mul(S::mul(value, factor), S::sub(S::load(d), sum)));
            }
        }
    }
}

/// Two panels `[rows][32]`.
pub(super) struct Dots {
    pub(super) a: *const f32,
    pub(super) b: *const f32,
    pub(super) rows: usize,
    /// 32 sums.
    pub(super) sums: *mut f32,
}

#[inline(always)]
unsafe fn dot_columns<S: Simd>(t: &Dots) {
    unsafe {
        for half in 0..PANEL / L {
            let mut sums = [S::zero(); 2];
            for i in 0..t.rows {
                let at = i * PANEL + half * L;
                sums[i % 2] = S::fma(S::load(t.a.add(at)), S::load(t.b.add(at)), sums[i % 2]);
            }
            S::store(t.sums.add(half * L), S::add(sums[0], sums[1]));
        }
    }
}

isa_entry!(
    /// [`softmax`] and [`softmax_gradient`], with the statistics of the former and the sums of the latter given.
    pub(super) softmax_known [] = known_columns(Known)
);
isa_entry!(
    /// `Σ a b` of every column.
    pub(super) dots [] = dot_columns(Dots)
);
isa_entry!(
    /// `p = softmax(factor p)` of every column.
    pub(super) softmax [] = softmax_columns(Columns)
);
isa_entry!(
    /// `d = factor p (d - Σ p d)` of every column.
    pub(super) softmax_gradient [] = gradient_columns(Columns)
);
