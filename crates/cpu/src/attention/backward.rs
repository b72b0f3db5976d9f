//! Gradients of attention.
//!
//! With queries as columns, `Sᵀ = K Qᵀ`, `dPᵀ = V dYᵀ`, `dQᵀ = Kᵀ dSᵀ` are computed a panel of 32 queries at a time. The
//! sums over queries, `dK = dSᵀ Q` and `dV = Pᵀ dY`, want many queries at once: the panels of a block of queries are kept
//! in the L2 cache for them, and are their left operands as they are.

use super::packed::{Strided, cut, fetch, pack_right, product, product_to, scatter};
use super::{Attention, Operand, SelfAttention, Sizes, columns, vectors};
use crate::bf16;
use crate::gemm::{Left, PANEL};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::softmax::{Columns, softmax, softmax_gradient};
use rayon::prelude::*;

/// Bytes of the panels of a block of queries: what an L2 cache holds beside the operands.
const BLOCK_BYTES: usize = 400 * 1024;

/// Gradients of [`attention`](super::attention) for `q`, `k` and `v`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention_backward(s: &Attention, qkv: [&[f32]; 3], dy: &[f32], gradients: [&mut [f32]; 3]) {
    let sizes = s.check(qkv.map(<[f32]>::len), dy.len());
    s.check(gradients.each_ref().map(|d| d.len()), dy.len());
    if s.n == 0 {
        return gradients.into_iter().for_each(|gradient| gradient.fill(0.0));
    }
    let dy = Operand::tokens(Shared::read(dy), s.n, s.d_v);
    backward(Isa::current(), &sizes, s.operands(qkv.map(Shared::read)), dy, s.operands(gradients.map(Shared::new)));
}

/// Gradient of [`self_attention`](super::self_attention), laid out like `qkv`.
///
/// # Panics
/// If a length does not fit, or there are no pixels.
pub fn self_attention_backward(s: &SelfAttention, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
    let sizes = s.check(qkv.len(), dy.len());
    s.check(dqkv.len(), dy.len());
    if bf16::is_attention_chosen(s.d) {
        return bf16::attention::backward(s, qkv, dy, dqkv);
    }
    let dy = Operand::pixels(Shared::read(dy), s, 0, 1);
    backward(Isa::current(), &sizes, s.operands(Shared::read(qkv)), dy, s.operands(Shared::new(dqkv)));
}

fn backward(isa: Isa, s: &Sizes, qkv: [Operand; 3], dy: Operand, gradients: [Operand; 3]) {
    let block = block(s);
    let size = s.d + s.d_v;
    // Sums; a panel of queries and of gradients, and a block of them turned; the panels of P and dP; a panel of results.
    let len = s.m * size
        + PANEL * size
        + block * (s.d.next_multiple_of(PANEL) + s.d_v.next_multiple_of(PANEL))
        + 2 * block * s.m
        + PANEL * s.d;
    (0..s.images * s.heads).into_par_iter().with_max_len(1).for_each(|i| {
        let (place, after) = (s.place(i), s.place((i + 1).min(s.images * s.heads - 1)));
        let of = |x: [Operand; 3]| x.map(|x| x.matrix(place));
        let [q, k, v] = qkv.map(|x| x.matrix(after));
        let next = [(q, s.n * s.d), (k, s.m * s.d), (v, s.m * s.d_v), (dy.matrix(after), s.n * s.d_v)];
        with(len, |scratch| {
            // SAFETY: `check` saw the lengths; every task reads and writes its own head.
            unsafe { head(isa, s, block, of(qkv), dy.matrix(place), of(gradients), next, scratch) }
        })
    });
}

/// Queries of a block: whole panels.
fn block(s: &Sizes) -> usize {
    let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.m);
    (queries / PANEL * PANEL).clamp(PANEL, s.n.next_multiple_of(PANEL).max(PANEL))
}

/// The gradients of one head; meanwhile asks for what the next one reads.
///
/// # Safety
/// The matrices must have the sizes that `s` says, and nobody else may touch the results.
#[allow(clippy::too_many_arguments)] // the operands and results of one head
unsafe fn head(
    isa: Isa,
    s: &Sizes,
    block: usize,
    [q, k, v]: [Strided; 3],
    dy: Strided,
    [dq, dk, dv]: [Strided; 3],
    next: [(Strided, usize); 4],
    mut scratch: &mut [f32],
) {
    // Results whose columns lie next to each other are summed in place.
    let (dk_sum, dv_sum) = (cut(&mut scratch, s.m * s.d), cut(&mut scratch, s.m * s.d_v));
    let place = |to: Strided, sum: &mut [f32], size| if to.cs == 1 { (to.at, to.rs) } else { (sum.as_mut_ptr(), size) };
    let ((dk_at, dk_rs), (dv_at, dv_rs)) = (place(dk, dk_sum, s.d), place(dv, dv_sum, s.d_v));
    let (q_columns, dy_columns, dq) = (q.transposed(), dy.transposed(), dq.transposed());
    let (q_panel, dy_panel) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.d_v));
    let q_rows = cut(&mut scratch, block * s.d.next_multiple_of(PANEL));
    let dy_rows = cut(&mut scratch, block * s.d_v.next_multiple_of(PANEL));
    let (p, d) = (cut(&mut scratch, block * s.m), cut(&mut scratch, block * s.m));
    let panel = PANEL * s.m;
    // SAFETY: the caller's contract.
    unsafe {
        for j0 in (0..s.n).step_by(block) {
            let depth = (s.n - j0).min(block);
            let panels = p.chunks_exact_mut(panel).zip(d.chunks_exact_mut(panel));
            for (j, (p, d)) in (j0..j0 + depth).step_by(PANEL).zip(panels) {
                for (x, len) in next {
                    fetch(isa, x, len, [j / PANEL, s.n.div_ceil(PANEL)]);
                }
                let width = (s.n - j).min(PANEL);
                let n = vectors(width);
                pack_right(isa, q_columns.columns_from(j), [s.d, width], q_panel);
                pack_right(isa, dy_columns.columns_from(j), [s.d_v, width], dy_panel);
                product(isa, [s.m, n, s.d], k.left(), q_panel, p.as_mut_ptr(), PANEL, false);
                product(isa, [s.m, n, s.d_v], v.left(), dy_panel, d.as_mut_ptr(), PANEL, false);
                softmax(isa, &columns(s, width, p));
                softmax_gradient(isa, &Columns { d: d.as_mut_ptr(), ..columns(s, width, p) });
                product_to(isa, [s.d, width, s.m], k.transposed().left(), d, dq.columns_from(j), scratch);
            }
            // The panels one after the other are a matrix of keys, with jumps between the queries of one and the next.
            let keys = |at: &[f32]| Left::Runs { at: at.as_ptr(), rs: PANEL, run: PANEL, jump: panel - PANEL };
            pack_right(isa, dy.rows_from(j0), [depth, s.d_v], dy_rows);
            product(isa, [s.m, s.d_v, depth], keys(p), dy_rows, dv_at, dv_rs, j0 > 0);
            pack_right(isa, q.rows_from(j0), [depth, s.d], q_rows);
            product(isa, [s.m, s.d, depth], keys(d), q_rows, dk_at, dk_rs, j0 > 0);
        }
        for (to, sum, size) in [(dk, dk_sum, s.d), (dv, dv_sum, s.d_v)] {
            if to.cs != 1 {
                scatter(isa, sum, [s.m, size], to);
            }
        }
    }
}
