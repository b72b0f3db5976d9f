//! Gradients of attention.
//!
//! With queries as columns, `Sᵀ = K Qᵀ`, `dPᵀ = V dYᵀ`, `dQᵀ = Kᵀ dSᵀ` are computed a panel of 32 queries at a time. The
//! sums over queries, `dKᵀ = Qᵀ dS` and `dVᵀ = dYᵀ P`, want many queries at once: the turned panels of a block of queries
//! are kept in the L2 cache for them.

use super::packed::{Strided, cut, pack_left, pack_right, pack_rows, product, product_to, scatter};
use super::{Attention, Operand, SelfAttention, Sizes, columns};
use crate::cpu::gemm::PANEL;
use crate::cpu::isa::Isa;
use crate::cpu::scratch::{Shared, with};
use crate::cpu::softmax::{Columns, softmax, softmax_gradient};
use rayon::prelude::*;

/// Bytes of the turned panels of a block of queries: what an L2 cache holds beside the operands.
const BLOCK_BYTES: usize = 400 * 1024;

/// Gradients of [`attention`](super::attention) for `q`, `k` and `v`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention_backward(s: &Attention, qkv: [&[f32]; 3], dy: &[f32], gradients: [&mut [f32]; 3]) {
    let sizes = s.check(qkv.map(<[f32]>::len), dy.len());
    s.check(gradients.each_ref().map(|d| d.len()), dy.len());
    let dy = Operand::tokens(Shared::read(dy), s.n, s.d_v);
    backward(&sizes, s.operands(qkv.map(Shared::read)), dy, s.operands(gradients.map(Shared::new)));
}

/// Gradient of [`self_attention`](super::self_attention), laid out like `qkv`.
///
/// # Panics
/// If a length does not fit, or there are no pixels.
pub fn self_attention_backward(s: &SelfAttention, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
    let sizes = s.check(qkv.len(), dy.len());
    s.check(dqkv.len(), dy.len());
    let dy = Operand::pixels(Shared::read(dy), s, 0, 1);
    backward(&sizes, s.operands(Shared::read(qkv)), dy, s.operands(Shared::new(dqkv)));
}

fn backward(s: &Sizes, qkv: [Operand; 3], dy: Operand, gradients: [Operand; 3]) {
    let isa = Isa::current();
    let block = block(s);
    let size = s.d + s.d_v;
    let keys = s.m.next_multiple_of(PANEL);
    // Packed keys twice, values once; sums; a panel of queries and of gradients; P and dP; their turned panels and the
    // packed operands of their products; a block of results.
    let len = s.m * (2 * s.d + s.d_v)
        + s.m * size
        + PANEL * size
        + 2 * PANEL * s.m
        + 2 * block * keys
        + block * s.d.max(s.d_v)
        + PANEL * s.d;
    (0..s.images * s.heads).into_par_iter().with_max_len(1).for_each(|i| {
        let place = s.place(i);
        let of = |x: [Operand; 3]| x.map(|x| x.matrix(place));
        with(len, |scratch| {
            // SAFETY: `check` saw the lengths; every task reads and writes its own head.
            unsafe { head(isa, s, block, of(qkv), dy.matrix(place), of(gradients), scratch) }
        })
    });
}

/// Queries of a block: whole panels.
fn block(s: &Sizes) -> usize {
    let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.m.next_multiple_of(PANEL));
    (queries / PANEL * PANEL).clamp(PANEL, s.n.next_multiple_of(PANEL).max(PANEL))
}

/// The gradients of one head.
///
/// # Safety
/// The matrices must have the sizes that `s` says, and nobody else may touch the results.
unsafe fn head(
    isa: Isa,
    s: &Sizes,
    block: usize,
    [q, k, v]: [Strided; 3],
    dy: Strided,
    [dq, dk, dv]: [Strided; 3],
    mut scratch: &mut [f32],
) {
    let [q, dy, dq, dk, dv] = [q, dy, dq, dk, dv].map(Strided::transposed);
    // Results whose columns lie next to each other are summed in place.
    let (dk_sum, dv_sum) = (cut(&mut scratch, s.m * s.d), cut(&mut scratch, s.m * s.d_v));
    let place = |to: Strided, sum: &mut [f32]| if to.cs == 1 { (to.at, to.rs) } else { (sum.as_mut_ptr(), s.m) };
    let ((dk_at, dk_rs), (dv_at, dv_rs)) = (place(dk, dk_sum), place(dv, dv_sum));
    // SAFETY: the caller's contract.
    unsafe {
        let keys = pack_left(isa, k, [s.m, s.d], s.factor(), &mut scratch);
        let keys_transposed = pack_left(isa, k.transposed(), [s.d, s.m], 1.0, &mut scratch);
        let values = pack_left(isa, v, [s.m, s.d_v], 1.0, &mut scratch);
        let (q_panel, dy_panel) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.d_v));
        let (p, d) = (cut(&mut scratch, PANEL * s.m), cut(&mut scratch, PANEL * s.m));
        let turned_len = block * s.m.next_multiple_of(PANEL);
        let (turned_p, turned_d) = (cut(&mut scratch, turned_len), cut(&mut scratch, turned_len));
        for j0 in (0..s.n).step_by(block) {
            let depth = (s.n - j0).min(block);
            for j in (j0..j0 + depth).step_by(PANEL) {
                let width = (s.n - j).min(PANEL);
                pack_right(isa, q.columns_from(j), [s.d, width], q_panel);
                pack_right(isa, dy.columns_from(j), [s.d_v, width], dy_panel);
                product(isa, &keys, q_panel, PANEL, p.as_mut_ptr(), PANEL, false);
                softmax(isa, &columns(s, p));
                product(isa, &values, dy_panel, PANEL, d.as_mut_ptr(), PANEL, false);
                // The panel [keys][32] turned to [32][keys] is the right operand of a sum over queries.
                let turn = |panel: &[f32]| Strided { at: panel.as_ptr().cast_mut(), rs: 1, cs: PANEL };
                pack_rows(isa, turn(p), [width, s.m], turned_p, j - j0, depth);
                softmax_gradient(isa, &Columns { d: d.as_mut_ptr(), factor: s.factor(), ..columns(s, p) });
                pack_rows(isa, turn(d), [width, s.m], turned_d, j - j0, depth);
                product_to(isa, &keys_transposed, d, width, dq.columns_from(j), scratch);
            }
            let left = pack_left(isa, dy.columns_from(j0), [s.d_v, depth], 1.0, &mut &mut *scratch);
            product(isa, &left, turned_p, s.m, dv_at, dv_rs, j0 > 0);
            let left = pack_left(isa, q.columns_from(j0), [s.d, depth], 1.0, &mut &mut *scratch);
            product(isa, &left, turned_d, s.m, dk_at, dk_rs, j0 > 0);
        }
        for (to, sum, size) in [(dk, dk_sum, s.d), (dv, dv_sum, s.d_v)] {
            if to.cs != 1 {
                scatter(sum, size, s.m, to);
            }
        }
    }
}
