//! `softmax(q kᵀ / sqrt(d)) v` and its gradients, 32 queries at a time.
//!
//! The scores of 32 queries are computed as a panel `[keys][32]`: just what the softmax of columns wants, and the packed
//! operand of the next product. The panel stays in the L1 cache; the gradient computes it again.

use super::gemm::{PANEL, PackA, PackB, Product, group_count, multiply_isa, pack_a, pack_b, packed_a_len};
use super::isa::Isa;
use super::scratch::{Shared, with};
use super::softmax::{Columns, softmax, softmax_gradient};
use rayon::prelude::*;

/// How the tokens of a head lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionLayout {
    /// `[batch, heads, tokens, d]`
    TokensFirst,
    /// `[batch, heads, d, tokens]`, which is that of an image `[batch, heads d, height, width]`.
    ChannelsFirst,
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Images times heads.
    pub heads: usize,
    /// Queries.
    pub n: usize,
    /// Keys and values.
    pub m: usize,
    /// Size of a query and a key.
    pub d: usize,
    /// Size of a value.
    pub d_v: usize,
    /// Of all operands and results.
    pub layout: AttentionLayout,
}

impl Attention {
    fn check(&self, q: &[f32], k: &[f32], v: &[f32], y: &[f32]) {
        let Self { heads, n, m, d, d_v, .. } = *self;
        assert!(q.len() == heads * n * d && k.len() == heads * m * d);
        assert!(v.len() == heads * m * d_v && y.len() == heads * n * d_v);
        assert!(m > 0 && d > 0, "attention: there must be keys, and they must have a size");
    }

    fn factor(&self) -> f32 {
        (1.0 / (self.d as f64).sqrt()) as f32
    }

    /// `tokens` × `d` matrix of one head in `values`.
    fn head(&self, values: Shared, head: usize, tokens: usize, d: usize) -> Strided {
        let (rs, cs) = match self.layout {
            AttentionLayout::TokensFirst => (d, 1),
            AttentionLayout::ChannelsFirst => (1, tokens),
        };
        Strided { at: values.at(head * tokens * d), rs, cs }
    }
}

/// A matrix in memory, element `(i, j)` at `i rs + j cs`.
#[derive(Clone, Copy)]
struct Strided {
    at: *mut f32,
    rs: usize,
    cs: usize,
}

impl Strided {
    /// From column `j` on.
    fn columns_from(self, j: usize) -> Self {
        Self { at: self.at.wrapping_add(j * self.cs), ..self }
    }

    fn transposed(self) -> Self {
        Self { rs: self.cs, cs: self.rs, ..self }
    }
}

/// A matrix packed as the left operand.
struct Left {
    at: *const f32,
    m: usize,
    k: usize,
}

/// Packs `factor` times the `m` × `k` matrix `a` into the front of `scratch`, and cuts that off.
///
/// # Safety
/// `a` must be readable for its size.
unsafe fn pack_left(isa: Isa, a: Strided, [m, k]: [usize; 2], factor: f32, scratch: &mut &mut [f32]) -> Left {
    let dst = cut(scratch, packed_a_len(m, k));
    // SAFETY: the caller's contract; `cut` checked the room.
    unsafe { pack_a(isa, &PackA { src: a.at, rs: a.rs, cs: a.cs, m, k, factor, dst: dst.as_mut_ptr() }) };
    Left { at: dst.as_ptr(), m, k }
}

/// Takes `len` floats off the front of `scratch`.
fn cut<'a>(scratch: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (front, rest) = std::mem::take(scratch).split_at_mut(len);
    *scratch = rest;
    front
}

/// Packs columns `0..n` of the `k` × `n` matrix `b` into panels at `dst`.
///
/// # Safety
/// `b` must be readable for its size.
unsafe fn pack_right(isa: Isa, b: Strided, [k, n]: [usize; 2], dst: &mut [f32]) {
    assert!(dst.len() >= k * n.next_multiple_of(PANEL));
    // SAFETY: the caller's contract, and the room was checked.
    unsafe { pack_b(isa, &PackB { src: b.at, rs: b.rs, cs: b.cs, k, n0: 0, n1: n, dst: dst.as_mut_ptr() }) };
}

/// `C = A B`, or added to `C`, for packed operands; `n` columns.
///
/// # Safety
/// `b` must hold `n` columns of `a.k` rows in panels, and `c` must be writable for `a.m` rows, `cs` apart, of `n` values.
unsafe fn product(isa: Isa, a: &Left, b: &[f32], n: usize, c: *mut f32, cs: usize, add: bool) {
    debug_assert!(b.len() >= a.k * n.next_multiple_of(PANEL));
    let product = Product {
        m: a.m,
        n,
        k: a.k,
        a: a.at,
        groups: (0, group_count(a.m, isa.gemm_rows())),
        b: b.as_ptr(),
        c,
        cs,
        row_bias: std::ptr::null(),
        column_bias: std::ptr::null(),
        add: if add { c } else { std::ptr::null_mut() },
    };
    // SAFETY: the caller's contract.
    unsafe { multiply_isa(isa, &product) }
}

/// Columns of `A B` to where `to` (`a.m` × `n`) says, through `block` where its columns are not next to each other.
///
/// # Safety
/// As for [`product`], with `to` writable for the result.
unsafe fn product_to(isa: Isa, a: &Left, b: &[f32], n: usize, to: Strided, block: &mut [f32]) {
    if to.cs == 1 {
        // SAFETY: the caller's contract.
        return unsafe { product(isa, a, b, n, to.at, to.rs, false) };
    }
    let block = &mut block[..a.m * n];
    // SAFETY: the block has room for the result.
    unsafe { product(isa, a, b, n, block.as_mut_ptr(), n, false) };
    // SAFETY: the caller's contract.
    unsafe { scatter(block, a.m, n, to) };
}

/// Copies `rows` × `columns` values, rows one after the other, to a strided matrix.
///
/// # Safety
/// `to` must be writable for so many rows and columns.
unsafe fn scatter(values: &[f32], rows: usize, columns: usize, to: Strided) {
    for j in 0..columns {
        for i in 0..rows {
            // SAFETY: the caller's contract.
            unsafe { *to.at.add(i * to.rs + j * to.cs) = values[i * columns + j] };
        }
    }
}

/// `y = softmax(q kᵀ / sqrt(d)) v`; `y` has `n` tokens of size `d_v`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention(s: &Attention, q: &[f32], k: &[f32], v: &[f32], y: &mut [f32]) {
    s.check(q, k, v, y);
    let isa = Isa::current();
    let (q, k, v, y) = (Shared::read(q), Shared::read(k), Shared::read(v), Shared::new(y));
    let panels = s.n.div_ceil(PANEL);
    // Few heads: their queries are shared out. Every query is computed by itself, so this may depend on the threads.
    let shares = (2 * rayon::current_num_threads()).div_ceil(s.heads.max(1)).min(panels);
    let len = s.m * (s.d + s.d_v) + PANEL * (s.d + s.m + s.d_v);
    (0..s.heads * shares).into_par_iter().with_max_len(1).for_each(|i| {
        let (head, share) = (i / shares, i % shares);
        with(len, |mut scratch| {
            // With queries as columns, all operands are transposed.
            let q = s.head(q, head, s.n, s.d).transposed();
            let y = s.head(y, head, s.n, s.d_v).transposed();
            let (keys, values) = (s.head(k, head, s.m, s.d), s.head(v, head, s.m, s.d_v).transposed());
            // SAFETY: `check` saw the lengths; every task writes its own queries.
            unsafe {
                let keys = pack_left(isa, keys, [s.m, s.d], s.factor(), &mut scratch);
                let values = pack_left(isa, values, [s.d_v, s.m], 1.0, &mut scratch);
                let (q_panel, p) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.m));
                for panel in panels * share / shares..panels * (share + 1) / shares {
                    let j = panel * PANEL;
                    let width = (s.n - j).min(PANEL);
                    pack_right(isa, q.columns_from(j), [s.d, width], q_panel);
                    product(isa, &keys, q_panel, PANEL, p.as_mut_ptr(), PANEL, false);
                    softmax(isa, &columns(s, p));
                    product_to(isa, &values, p, width, y.columns_from(j), scratch);
                }
            }
        })
    });
}

fn columns(s: &Attention, p: &mut [f32]) -> Columns {
    Columns { p: p.as_mut_ptr(), d: std::ptr::null_mut(), keys: s.m, factor: 1.0 }
}

/// Gradients of [`attention`] for `q`, `k` and `v`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention_backward(s: &Attention, [q, k, v]: [&[f32]; 3], dy: &[f32], [dq, dk, dv]: [&mut [f32]; 3]) {
    s.check(q, k, v, dy);
    s.check(dq, dk, dv, dy);
    let isa = Isa::current();
    let operands = [q, k, v, dy].map(Shared::read);
    let results = [dq, dk, dv].map(Shared::new);
    let size = s.d + s.d_v;
    let keys = s.m.next_multiple_of(PANEL);
    // Packed keys twice, values once; sums; a panel of queries and of gradients as both operands; P and dP; their
    // transpose; a block of results.
    let len = s.m * (2 * s.d + s.d_v) + s.m * size + 2 * PANEL * size + 2 * PANEL * s.m + PANEL * keys + PANEL * s.d;
    (0..s.heads).into_par_iter().with_max_len(1).for_each(|head| {
        with(len, |scratch| {
            // SAFETY: `check` saw the lengths; every task reads and writes its own head.
            unsafe { backward_head(isa, s, head, operands, results, scratch) }
        })
    });
}

/// The gradients of one head.
///
/// # Safety
/// The slices must have the lengths that `s` says, and nobody else may touch the results of this head.
unsafe fn backward_head(
    isa: Isa,
    s: &Attention,
    head: usize,
    [q, k, v, dy]: [Shared; 4],
    [dq, dk, dv]: [Shared; 3],
    mut scratch: &mut [f32],
) {
    // With queries as columns, `Sᵀ = K Qᵀ`, `dPᵀ = V dYᵀ`, `dQᵀ = Kᵀ dSᵀ`; the sums over queries are
    // `dKᵀ = Qᵀ dS` and `dVᵀ = dYᵀ P`.
    let (q, dy) = (s.head(q, head, s.n, s.d).transposed(), s.head(dy, head, s.n, s.d_v).transposed());
    let (k, v) = (s.head(k, head, s.m, s.d), s.head(v, head, s.m, s.d_v));
    let dq = s.head(dq, head, s.n, s.d).transposed();
    let dk_sum = cut(&mut scratch, s.m * s.d);
    let dv_sum = cut(&mut scratch, s.m * s.d_v);
    dk_sum.fill(0.0);
    dv_sum.fill(0.0);
    // SAFETY: the caller's contract.
    unsafe {
        let keys = pack_left(isa, k, [s.m, s.d], s.factor(), &mut scratch);
        let keys_transposed = pack_left(isa, k.transposed(), [s.d, s.m], 1.0, &mut scratch);
        let values = pack_left(isa, v, [s.m, s.d_v], 1.0, &mut scratch);
        let (q_panel, dy_panel) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.d_v));
        let (p, d) = (cut(&mut scratch, PANEL * s.m), cut(&mut scratch, PANEL * s.m));
        let turned = cut(&mut scratch, PANEL * s.m.next_multiple_of(PANEL));
        for j in (0..s.n).step_by(PANEL) {
            let width = (s.n - j).min(PANEL);
            let (q, dy) = (q.columns_from(j), dy.columns_from(j));
            pack_right(isa, q, [s.d, width], q_panel);
            pack_right(isa, dy, [s.d_v, width], dy_panel);
            product(isa, &keys, q_panel, PANEL, p.as_mut_ptr(), PANEL, false);
            softmax(isa, &columns(s, p));
            product(isa, &values, dy_panel, PANEL, d.as_mut_ptr(), PANEL, false);
            // The panel [keys][32] turned to [32][keys] is the right operand of a sum over queries.
            let turn = |panel: &[f32]| Strided { at: panel.as_ptr().cast_mut(), rs: 1, cs: PANEL };
            pack_right(isa, turn(p), [width, s.m], turned);
            let dy = pack_left(isa, dy, [s.d_v, width], 1.0, &mut &mut *scratch);
            product(isa, &dy, turned, s.m, dv_sum.as_mut_ptr(), s.m, true);
            softmax_gradient(isa, &Columns { d: d.as_mut_ptr(), factor: s.factor(), ..columns(s, p) });
            pack_right(isa, turn(d), [width, s.m], turned);
            let q = pack_left(isa, q, [s.d, width], 1.0, &mut &mut *scratch);
            product(isa, &q, turned, s.m, dk_sum.as_mut_ptr(), s.m, true);
            product_to(isa, &keys_transposed, d, width, dq.columns_from(j), scratch);
        }
        scatter(dk_sum, s.d, s.m, s.head(dk, head, s.m, s.d).transposed());
        scatter(dv_sum, s.d_v, s.m, s.head(dv, head, s.m, s.d_v).transposed());
    }
}
