//! Two maps in a row are one: what a single head does with its queries, keys and values.
//!
//! Scores are `(W_q z_i + b_q) · (W_k z_j + b_k)`. Softmax over the keys `j` does not see what does not depend on `j`, so that
//! `(A z_i + a) · z_j` with `A = W_kᵀ W_q` and `a = W_kᵀ b_q` has the same probabilities. And as those of a query sum to one, the output
//! is `B Σ_j p_ij z_j + b` with `B = W_o W_v` and `b = W_o b_v + b_o`. So two maps of all pixels are left of four, keys and values are
//! the image `z`, and so are two of the sums for the gradient of the maps. It pays as long as a head is as wide as the image.
//!
//! The gradient of `b_k` is zero, as the loss does not depend on it.

mod backward;
mod few;
mod forward;
mod keys;
mod many;
mod online;
mod panels;
mod softmax;
mod strips;
mod sums;

pub(super) use strips::strips;

use super::{AttentionBlock, AttentionWeights};
use crate::gemm::{Matrix, gemm_on};
use crate::isa::Isa;

/// The maps from `z` to queries and from the attended `z` to the output.
pub(super) struct Merged {
    /// `A` and `B`, `[c, c]` both.
    pub(super) weight: [Vec<f32>; 2],
    /// `a` and `b`, `[c]` both.
    pub(super) bias: [Vec<f32>; 2],
}

impl Merged {
    pub(super) fn new(isa: Isa, s: &AttentionBlock, w: &AttentionWeights) -> Self {
        let (c, d) = (s.c, s.d);
        let [wq, wk, wv, wo] = w.weight;
        let [bq, _, bv, bo] = w.bias;
        let (keys, out) = (Matrix::rows(wk, c).transposed(), Matrix::rows(wo, d));
        let product = |a, b, columns| {
            let mut to = vec![0.0; c * columns];
            gemm_on(isa, [c, columns, d], a, Matrix::rows(b, columns), None, &mut to);
            to
        };
        let (queries, (output, mut bias)) =
            rayon::join(|| (product(keys, wq, c), product(keys, bq, 1)), || (product(out, wv, c), product(out, bv, 1)));
        add(&mut bias, bo);
        Self { weight: [queries.0, output], bias: [queries.1, bias] }
    }
}

/// The gradients of the four maps from those of the two and of their biases.
pub(super) fn gradients(
    isa: Isa,
    s: &AttentionBlock,
    w: &AttentionWeights,
    d_merged: [&[f32]; 2],
    [d_query_bias, d_out_bias]: [&[f32]; 2],
    weight: [&mut [f32]; 4],
    bias: [&mut [f32]; 4],
) {
    let (c, d) = (s.c, s.d);
    let [wq, wk, wv, wo] = w.weight;
    let [bq, _, bv, _] = w.bias;
    let [d_query, d_out] = d_merged.map(|d| Matrix::rows(d, c));
    let [d_wq, d_wk, d_wv, d_wo] = weight;
    let [d_bq, d_bk, d_bv, d_bo] = bias;
    rayon::join(
        || {
            gemm_on(isa, [d, c, c], Matrix::rows(wk, c), d_query, None, d_wq);
            gemm_on(isa, [d, c, c], Matrix::rows(wq, c), d_query.transposed(), None, d_wk);
            add_outer(bq, d_query_bias, d_wk);
            gemm_on(isa, [d, 1, c], Matrix::rows(wk, c), Matrix::rows(d_query_bias, 1), None, d_bq);
            d_bk.fill(0.0);
        },
        || {
            gemm_on(isa, [d, c, c], Matrix::rows(wo, d).transposed(), d_out, None, d_wv);
            gemm_on(isa, [c, d, c], d_out, Matrix::rows(wv, c).transposed(), None, d_wo);
            add_outer(d_out_bias, bv, d_wo);
            gemm_on(isa, [d, 1, c], Matrix::rows(wo, d).transposed(), Matrix::rows(d_out_bias, 1), None, d_bv);
            d_bo.copy_from_slice(d_out_bias);
        },
    );
}

fn add(to: &mut [f32], values: &[f32]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += value;
    }
}

/// Adds `a bᵀ`.
fn add_outer(a: &[f32], b: &[f32], to: &mut [f32]) {
    for (row, a) in to.chunks_exact_mut(b.len()).zip(a) {
        for (to, b) in row.iter_mut().zip(b) {
            *to += a * b;
        }
    }
}
