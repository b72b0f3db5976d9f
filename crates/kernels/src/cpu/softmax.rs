//! Softmax of the columns of a panel and its gradient, in place. A column is a query, so every lane works for itself.

use super::gemm::PANEL;
use super::isa::isa_entry;
use super::simd::{L, Simd};

/// A panel `[keys][32]`.
pub(super) struct Columns {
    /// Scores in, probabilities out; or probabilities.
    pub(super) p: *mut f32,
    /// Null, or the gradient of the probabilities in, that of the scores times `factor` out.
    pub(super) d: *mut f32,
    pub(super) keys: usize,
    pub(super) factor: f32,
}

#[inline(always)]
unsafe fn softmax_columns<S: Simd>(t: &Columns) {
    unsafe {
        for half in 0..PANEL / L {
            let p = t.p.add(half * L);
            let mut top = S::splat(f32::NEG_INFINITY);
            for i in 0..t.keys {
                top = S::max(top, S::load(p.add(i * PANEL)));
            }
            let mut sum = S::zero();
            for i in 0..t.keys {
                let at = p.add(i * PANEL);
                let e = S::exp(S::sub(S::load(at), top));
                S::store(at, e);
                sum = S::add(sum, e);
            }
            let scale = S::div(S::splat(1.0), sum);
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
        for half in 0..PANEL / L {
            let (p, d) = (t.p.add(half * L), t.d.add(half * L));
            let mut sum = S::zero();
            for i in 0..t.keys {
                sum = S::fma(S::load(p.add(i * PANEL)), S::load(d.add(i * PANEL)), sum);
            }
            let factor = S::splat(t.factor);
            for i in 0..t.keys {
                let at = d.add(i * PANEL);
                let p = S::mul(S::load(p.add(i * PANEL)), factor);
                S::store(at, S::mul(p, S::sub(S::load(at), sum)));
            }
        }
    }
}

isa_entry!(
    /// `p = softmax(p)` of every column.
    pub(super) softmax [] = softmax_columns(Columns)
);
isa_entry!(
    /// `d = factor p (d - Σ p d)` of every column.
    pub(super) softmax_gradient [] = gradient_columns(Columns)
);
