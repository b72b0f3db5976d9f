//! Gradients of attention.
//!
//! With queries as columns, `Sᵀ = K Qᵀ`, `dPᵀ = V dYᵀ`, `dQᵀ = Kᵀ dSᵀ` are computed a panel of 32 queries at a time. The
//! sums over queries, `dK = dSᵀ Q` and `dV = Pᵀ dY`, want many queries at once: the panels of a block of queries are kept
//! in the L2 cache for them, and are their left operands as they are.

use super::packed::{Strided, cut, fetch, pack_right, product, product_to, scatter};
use super::{Attention, Operand, SelfAttention, Sizes, columns, vectors};
use crate::bf16;
use crate::elementwise::add_parts;
use crate::gemm::{Left, PANEL};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::softmax::{Columns, softmax, softmax_gradient};
use rayon::prelude::*;

/// Tasks of fewer images and heads than this, as far as there are queries enough: the same number on every machine, as every task leaves sums of
/// its own.
const TASKS: usize = 8;
/// Fewest queries of a task that has not all of a head.
const QUERIES: usize = 128;

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
    let (size, all) = (s.d + s.d_v, s.images * s.heads);
    // A panel of queries and of gradients, and a block of them turned; the panels of P and dP; a panel of results.
    let len = PANEL * size
        + block * (s.d.next_multiple_of(PANEL) + s.d_v.next_multiple_of(PANEL))
        + 2 * block * s.m
        + PANEL * s.d;
    let shares = shares(s);
    let sums = if shares == 1 { 0 } else { s.m * size };
    with(all * shares * sums, |sums_of_shares| {
        let sums_at = Shared::new(sums_of_shares);
        (0..all * shares).into_par_iter().with_max_len(1).for_each(|i| {
            let (head, share) = (i / shares, i % shares);
            let (place, after) = (s.place(head), s.place((head + 1).min(all - 1)));
            let of = |x: [Operand; 3]| x.map(|x| x.matrix(place));
            let [q, k, v] = qkv.map(|x| x.matrix(after));
            let next = [(q, s.n * s.d), (k, s.m * s.d), (v, s.m * s.d_v), (dy.matrix(after), s.n * s.d_v)];
            // Whole panels.
            let panels = s.n.div_ceil(PANEL);
            let queries = [share, share + 1].map(|share| (panels * share / shares * PANEL).min(s.n));
            // Where only one task has a head, its own sums.
            with(len + s.m * size - sums, |mut scratch| {
                let own = if sums == 0 { cut(&mut scratch, s.m * size).as_mut_ptr() } else { sums_at.at(i * sums) };
                let part = Part { queries, sums: own, shared: sums > 0 };
                // SAFETY: `check` saw the lengths; every task reads its own head, and writes its own queries and sums.
                unsafe { part.compute(isa, s, block, of(qkv), dy.matrix(place), of(gradients), next, scratch) }
            })
        });
        if shares > 1 {
            sums_of_shares.par_chunks_exact_mut(shares * sums).with_max_len(1).enumerate().for_each(|(head, sums)| {
                add_parts(sums, s.m * size);
                let (dk, dv) = sums[..s.m * size].split_at(s.m * s.d);
                let [_, dk_to, dv_to] = gradients.map(|x| x.matrix(s.place(head)));
                for (to, sum, size) in [(dk_to, dk, s.d), (dv_to, dv, s.d_v)] {
                    // SAFETY: `check` saw the lengths, and all tasks of the head are done.
                    unsafe { put(isa, sum, [s.m, size], to) }
                }
            });
        }
    });
}

/// Tasks that share the queries of a head.
fn shares(s: &Sizes) -> usize {
    (TASKS / (s.images * s.heads).max(1)).min(s.n / QUERIES).max(1)
}

/// Queries of a block: whole panels.
fn block(s: &Sizes) -> usize {
    let queries = BLOCK_BYTES / (2 * size_of::<f32>() * s.m);
    (queries / PANEL * PANEL).clamp(PANEL, s.n.next_multiple_of(PANEL).max(PANEL))
}

/// Some queries of a head.
struct Part {
    /// From and up to.
    queries: [usize; 2],
    /// Room for the sums over these queries, the gradients of all keys and then of all values.
    sums: *mut f32,
    /// Whether other tasks have the other queries, so that sums are left where they are.
    shared: bool,
}

impl Part {
    /// The gradients of the queries, and the sums over them; meanwhile asks for what the next head reads.
    ///
    /// # Safety
    /// The matrices must have the sizes that `s` says, and nobody else may touch the results.
    #[allow(clippy::too_many_arguments)] // the operands and results of one head
    unsafe fn compute(
        &self,
        isa: Isa,
        s: &Sizes,
        block: usize,
        [q, k, v]: [Strided; 3],
        dy: Strided,
        [dq, dk, dv]: [Strided; 3],
        next: [(Strided, usize); 4],
        mut scratch: &mut [f32],
    ) {
        let [first, end] = self.queries;
        let (dk_sum, dv_sum) = (self.sums, self.sums.wrapping_add(s.m * s.d));
        // Results whose columns lie next to each other are summed in place.
        let place = |to: Strided, sum, size| if to.cs == 1 && !self.shared { (to.at, to.rs) } else { (sum, size) };
        let ((dk_at, dk_rs), (dv_at, dv_rs)) = (place(dk, dk_sum, s.d), place(dv, dv_sum, s.d_v));
        let (q_columns, dy_columns, dq) = (q.transposed(), dy.transposed(), dq.transposed());
        let (q_panel, dy_panel) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.d_v));
        let q_rows = cut(&mut scratch, block * s.d.next_multiple_of(PANEL));
        let dy_rows = cut(&mut scratch, block * s.d_v.next_multiple_of(PANEL));
        let (p, d) = (cut(&mut scratch, block * s.m), cut(&mut scratch, block * s.m));
        let panel = PANEL * s.m;
        // SAFETY: the caller's contract.
        unsafe {
            for j0 in (first..end).step_by(block) {
                let depth = (end - j0).min(block);
                let panels = p.chunks_exact_mut(panel).zip(d.chunks_exact_mut(panel));
                for (j, (p, d)) in (j0..j0 + depth).step_by(PANEL).zip(panels) {
                    for (x, len) in next {
                        fetch(isa, x, len, [(j - first) / PANEL, (end - first).div_ceil(PANEL)]);
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
                product(isa, [s.m, s.d_v, depth], keys(p), dy_rows, dv_at, dv_rs, j0 > first);
                pack_right(isa, q.rows_from(j0), [depth, s.d], q_rows);
                product(isa, [s.m, s.d, depth], keys(d), q_rows, dk_at, dk_rs, j0 > first);
            }
            if !self.shared {
                for (to, sum, size) in [(dk, dk_sum, s.d), (dv, dv_sum, s.d_v)] {
                    if to.cs != 1 {
                        put(isa, std::slice::from_raw_parts(sum, s.m * size), [s.m, size], to);
                    }
                }
            }
        }
    }
}

/// Copies `rows` × `columns` values to where they belong.
///
/// # Safety
/// `to` must be writable for so many rows and columns.
unsafe fn put(isa: Isa, values: &[f32], [rows, columns]: [usize; 2], to: Strided) {
    // SAFETY: the caller's contract.
    unsafe {
        if to.rs == 1 {
            return scatter(isa, values, [rows, columns], to);
        }
        for (i, row) in values.chunks_exact(columns).take(rows).enumerate() {
            to.at.add(i * to.rs).copy_from_nonoverlapping(row.as_ptr(), columns);
        }
    }
}
