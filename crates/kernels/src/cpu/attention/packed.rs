//! Products of small matrices that lie in memory in any order: packed, multiplied, put where they belong.

use crate::cpu::gemm::{PANEL, PackA, PackB, Product, group_count, multiply_isa, pack_a, pack_b, packed_a_len};
use crate::cpu::isa::Isa;

/// A matrix in memory, element `(i, j)` at `i rs + j cs`.
#[derive(Clone, Copy)]
pub(super) struct Strided {
    pub(super) at: *mut f32,
    pub(super) rs: usize,
    pub(super) cs: usize,
}

impl Strided {
    /// From column `j` on.
    pub(super) fn columns_from(self, j: usize) -> Self {
        Self { at: self.at.wrapping_add(j * self.cs), ..self }
    }

    pub(super) fn transposed(self) -> Self {
        Self { rs: self.cs, cs: self.rs, ..self }
    }
}

/// A matrix packed as the left operand.
pub(super) struct Left {
    at: *const f32,
    m: usize,
    k: usize,
}

/// Packs `factor` times the `m` × `k` matrix `a` into the front of `scratch`, and cuts that off.
///
/// # Safety
/// `a` must be readable for its size.
pub(super) unsafe fn pack_left(
    isa: Isa,
    a: Strided,
    [m, k]: [usize; 2],
    factor: f32,
    scratch: &mut &mut [f32],
) -> Left {
    let dst = cut(scratch, packed_a_len(m, k));
    // SAFETY: the caller's contract; `cut` checked the room.
    unsafe { pack_a(isa, &PackA { src: a.at, rs: a.rs, cs: a.cs, m, k, factor, dst: dst.as_mut_ptr() }) };
    Left { at: dst.as_ptr(), m, k }
}

/// Takes `len` floats off the front of `scratch`.
pub(super) fn cut<'a>(scratch: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (front, rest) = std::mem::take(scratch).split_at_mut(len);
    *scratch = rest;
    front
}

/// Packs columns `0..n` of the `k` × `n` matrix `b` into panels at `dst`.
///
/// # Safety
/// `b` must be readable for its size.
pub(super) unsafe fn pack_right(isa: Isa, b: Strided, [k, n]: [usize; 2], dst: &mut [f32]) {
    // SAFETY: the caller's contract.
    unsafe { pack_rows(isa, b, [k, n], dst, 0, k) }
}

/// Packs `b` as rows `row..row + k` of panels of `depth` rows.
///
/// # Safety
/// `b` must be readable for its size.
pub(super) unsafe fn pack_rows(isa: Isa, b: Strided, [k, n]: [usize; 2], dst: &mut [f32], row: usize, depth: usize) {
    assert!(row + k <= depth && dst.len() >= depth * n.next_multiple_of(PANEL));
    let panel = depth * PANEL;
    let dst = dst[row * PANEL..].as_mut_ptr();
    // SAFETY: the caller's contract, and the room was checked.
    unsafe { pack_b(isa, &PackB { src: b.at, rs: b.rs, cs: b.cs, k, n0: 0, n1: n, dst, panel }) };
}

/// `C = A B`, or added to `C`, for packed operands; `n` columns.
///
/// # Safety
/// `b` must hold `n` columns of `a.k` rows in panels, and `c` must be writable for `a.m` rows, `cs` apart, of `n` values.
pub(super) unsafe fn product(isa: Isa, a: &Left, b: &[f32], n: usize, c: *mut f32, cs: usize, add: bool) {
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
pub(super) unsafe fn product_to(isa: Isa, a: &Left, b: &[f32], n: usize, to: Strided, block: &mut [f32]) {
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
pub(super) unsafe fn scatter(values: &[f32], rows: usize, columns: usize, to: Strided) {
    for j in 0..columns {
        for i in 0..rows {
            // SAFETY: the caller's contract.
            unsafe { *to.at.add(i * to.rs + j * to.cs) = values[i * columns + j] };
        }
    }
}
