//! Products of small matrices that lie in memory in any order: the left operand is read where it is, the right one packed,
//! the result put where it belongs.

use crate::gemm::{self, Fetch, Left, PANEL, PackB, Product, Turn, multiply, pack_b, turn};
use crate::isa::Isa;

/// A matrix in memory, element `(i, j)` at `i rs + j cs`, where `rs` or `cs` is 1.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) at: *mut f32,
    pub(crate) rs: usize,
    pub(crate) cs: usize,
}

impl Strided {
    /// From column `j` on.
    pub(super) fn columns_from(self, j: usize) -> Self {
        Self { at: self.at.wrapping_add(j * self.cs), ..self }
    }

    /// From row `i` on.
    pub(super) fn rows_from(self, i: usize) -> Self {
        self.transposed().columns_from(i).transposed()
    }

    pub(super) fn transposed(self) -> Self {
        Self { rs: self.cs, cs: self.rs, ..self }
    }

    /// As the left operand of a product.
    pub(super) fn left(self) -> Left {
        Left::InPlace { at: self.at, rs: self.rs, cs: self.cs }
    }
}

/// Asks for part `part` of `parts` of a matrix of `len` floats, which need not be there.
pub(crate) fn fetch(isa: Isa, x: Strided, len: usize, [part, parts]: [usize; 2]) {
    let (from, to) = (len * part / parts, len * (part + 1) / parts);
    // SAFETY: a hint may name any address; `isa` was chosen because the processor has it.
    unsafe { gemm::fetch(isa, &Fetch { at: x.at.wrapping_add(from), rows: 1, rs: 0, len: to - from }) }
}

/// Takes `len` floats off the front of `scratch`.
pub(crate) fn cut<'a>(scratch: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (front, rest) = std::mem::take(scratch).split_at_mut(len);
    *scratch = rest;
    front
}

/// Packs columns `0..n` of the `k` × `n` matrix `b` into panels at `dst`.
///
/// # Safety
/// `b` must be readable for its size.
pub(super) unsafe fn pack_right(isa: Isa, b: Strided, [k, n]: [usize; 2], dst: &mut [f32]) {
    assert!(dst.len() >= k * n.next_multiple_of(PANEL));
    // SAFETY: the caller's contract, and the room was checked.
    unsafe {
        pack_b(isa, &PackB { src: b.at, rs: b.rs, cs: b.cs, k, n0: 0, n1: n, dst: dst.as_mut_ptr(), panel: k * PANEL })
    }
}

/// `C = A B`, or added to `C`, for an `m` × `k` matrix `a` and packed `b`; `n` columns.
///
/// # Safety
/// `a` must be readable for its size, `b` must hold `n` columns of `k` rows in panels, and `c` must be writable for `m`
/// rows, `cs` apart, of `n` values.
#[allow(clippy::too_many_arguments)] // two matrices and where their product goes
pub(super) unsafe fn product(isa: Isa, [m, n, k]: [usize; 3], a: Left, b: &[f32], c: *mut f32, cs: usize, add: bool) {
    debug_assert!(b.len() >= k * n.next_multiple_of(PANEL));
    let product = Product::whole(isa, [m, n, k], a, b.as_ptr(), c, cs);
    let product = if add { product.accumulated() } else { product };
    // SAFETY: the caller's contract.
    unsafe { multiply(isa, &product) }
}

/// `A B` to where `to` (`m` × `n`) says, through `block` where its columns are not next to each other. The depth may be that of many
/// keys: [`Product::long`].
///
/// # Safety
/// As for [`product`], with `to` writable for the result.
pub(super) unsafe fn product_to(isa: Isa, [m, n, k]: [usize; 3], a: Left, b: &[f32], to: Strided, block: &mut [f32]) {
    debug_assert!(b.len() >= k * n.next_multiple_of(PANEL));
    let product = |c, cs| Product::whole(isa, [m, n, k], a, b.as_ptr(), c, cs).long();
    if to.cs == 1 {
        // SAFETY: the caller's contract.
        return unsafe { multiply(isa, &product(to.at, to.rs)) };
    }
    let block = &mut block[..m * n];
    // SAFETY: the block has room for the result, and the caller's contract.
    unsafe {
        multiply(isa, &product(block.as_mut_ptr(), n));
        scatter(isa, block, [m, n], to);
    }
}

/// Copies `rows` × `columns` values, rows one after the other, to a matrix whose rows are 1 apart.
///
/// # Safety
/// `to` must be writable for so many rows and columns.
pub(super) unsafe fn scatter(isa: Isa, values: &[f32], [rows, columns]: [usize; 2], to: Strided) {
    assert!(to.rs == 1 && values.len() >= rows * columns);
    let turned = Turn { src: values.as_ptr(), src_rs: columns, rows, columns, dst: to.at, dst_rs: to.cs };
    // SAFETY: the caller's contract, and the length was checked.
    unsafe { turn(isa, &turned) }
}
