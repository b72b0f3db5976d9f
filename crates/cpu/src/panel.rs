//! Matrices in memory that tasks share: pointers that know how far they reach.
//!
//! A kernel's steps pass on raw pointers, as tasks write parts of one slice at the same time and a part of a matrix is no slice. A panel
//! is such a pointer with its length and the distance of its rows. In debug builds every row that is asked for must begin within, and every
//! matrix that is read or written must end there.

use super::gemm::{Left, PANEL, Product};
use super::isa::Isa;
use super::scratch::Shared;

/// Rows that are read, `stride` floats apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    ptr: *const f32,
    len: usize,
    stride: usize,
}

/// Rows that are written, `stride` floats apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelMut {
    ptr: *mut f32,
    len: usize,
    stride: usize,
}

// SAFETY: a bare address; whoever reads or writes through it promises that no task writes what another one uses.
unsafe impl Send for Panel {}
// SAFETY: as above.
unsafe impl Sync for Panel {}
// SAFETY: as above.
unsafe impl Send for PanelMut {}
// SAFETY: as above.
unsafe impl Sync for PanelMut {}

macro_rules! both {
    ($name:ident, $pointer:ty) => {
        impl $name {
            /// Floats from one row to the next.
            #[inline(always)]
            pub(super) fn stride(self) -> usize {
                self.stride
            }

            /// Floats of it.
            #[inline(always)]
            pub(super) fn len(self) -> usize {
                self.len
            }

            /// Row `row`, which must begin within.
            #[inline(always)]
            #[track_caller]
            pub(super) fn at(self, row: usize) -> $pointer {
                debug_assert!(
                    row * self.stride < self.len || row == 0,
                    "row {row} of {} floats, {} apart",
                    self.len,
                    self.stride
                );
                self.ptr.wrapping_add(row * self.stride)
            }

            /// From row `row` on.
            #[inline(always)]
            #[track_caller]
            pub(super) fn from(self, row: usize) -> Self {
                self.skip(row * self.stride)
            }

            /// From float `floats` on: another column of the same rows.
            #[inline(always)]
            #[track_caller]
            pub(super) fn skip(self, floats: usize) -> Self {
                debug_assert!(floats <= self.len, "{floats} of {} floats", self.len);
                Self { ptr: self.ptr.wrapping_add(floats), len: self.len - floats.min(self.len), ..self }
            }

            /// The first `floats` of it.
            #[inline(always)]
            #[track_caller]
            pub(super) fn first(self, floats: usize) -> Self {
                debug_assert!(floats <= self.len, "{floats} of {} floats", self.len);
                Self { len: floats, ..self }
            }

            /// The same memory with rows so far apart.
            #[inline(always)]
            pub(super) fn rows_of(self, stride: usize) -> Self {
                Self { stride, ..self }
            }

            /// Whether `rows` rows of `columns` floats are within.
            #[inline(always)]
            pub(super) fn holds(self, rows: usize, columns: usize) -> bool {
                rows == 0 || columns == 0 || (rows - 1) * self.stride + columns <= self.len
            }
        }
    };
}
both!(Panel, *const f32);
both!(PanelMut, *mut f32);

impl Panel {
    /// `len` floats of shared memory from `offset` on.
    pub(super) fn of(values: Shared, offset: usize, len: usize, stride: usize) -> Self {
        Self { ptr: values.at(offset), len, stride }
    }

    /// Rows of `stride` floats.
    pub(super) fn new(values: &[f32], stride: usize) -> Self {
        Self { ptr: values.as_ptr(), len: values.len(), stride }
    }

    /// Its `m` rows of `k` floats as the left operand of a product.
    #[track_caller]
    pub(super) fn left(self, m: usize, k: usize) -> Left {
        debug_assert!(self.holds(m, k), "{m} × {k} of {self:?}");
        Left::InPlace { at: self.ptr, rs: self.stride, cs: 1 }
    }

    /// The `m` columns of its `k` rows as the left operand of a product.
    #[track_caller]
    pub(super) fn transposed_left(self, m: usize, k: usize) -> Left {
        debug_assert!(self.holds(k, m), "{k} × {m} of {self:?}");
        Left::InPlace { at: self.ptr, rs: 1, cs: self.stride }
    }
}

impl PanelMut {
    /// `len` floats of shared memory from `offset` on.
    pub(super) fn of(values: Shared, offset: usize, len: usize, stride: usize) -> Self {
        Self { ptr: values.at(offset), len, stride }
    }

    /// Rows of `stride` floats.
    pub(super) fn new(values: &mut [f32], stride: usize) -> Self {
        Self { ptr: values.as_mut_ptr(), len: values.len(), stride }
    }

    /// The same, to be read.
    #[inline(always)]
    pub(super) fn read(self) -> Panel {
        Panel { ptr: self.ptr, len: self.len, stride: self.stride }
    }

    /// `C = A B` to here, from `m` rows of `a` and panels `[n / 32][k][32]`.
    #[track_caller]
    pub(super) fn product(self, isa: Isa, [m, n, k]: [usize; 3], a: Left, b: Panel) -> Product {
        debug_assert!(self.holds(m, n), "{m} × {n} of {self:?}");
        debug_assert!(b.len >= k * n.next_multiple_of(PANEL), "{k} × {n} in panels of {b:?}");
        Product::whole(isa, [m, n, k], a, b.ptr, self.ptr, self.stride)
    }

    /// All of it as a slice.
    ///
    /// # Safety
    /// The memory must be alive and initialised, and nobody else may use it meanwhile.
    pub(super) unsafe fn slice<'a>(self) -> &'a mut [f32] {
        // SAFETY: the caller's contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }
}

/// Floats of scratch for parts of so many floats; see [`cut_panels`].
pub(super) fn floats<const N: usize>(parts: [(usize, usize); N]) -> usize {
    parts.iter().map(|(len, _)| len).sum()
}

/// Cuts all of `scratch` into panels, of so many floats and with rows so far apart.
pub(super) fn cut_panels<const N: usize>(mut scratch: &mut [f32], parts: [(usize, usize); N]) -> [PanelMut; N] {
    debug_assert!(scratch.len() == floats(parts), "{} floats of scratch for {parts:?}", scratch.len());
    parts.map(|(len, stride)| {
        let (part, rest) = std::mem::take(&mut scratch).split_at_mut(len);
        scratch = rest;
        PanelMut::new(part, stride)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_matrices_are_within() {
        let mut values: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let panel = PanelMut::new(&mut values, 6).read();
        // SAFETY: these rows are within.
        let [first, last] = unsafe { [*panel.at(0), *panel.at(3)] };
        assert_eq!([first, last], [0.0, 18.0]);
        assert!(panel.holds(3, 6) && panel.holds(4, 2) && !panel.holds(4, 3) && panel.holds(0, 100));
        assert!(panel.from(1).holds(3, 2) && !panel.from(1).holds(3, 3));
        assert!(panel.skip(4).rows_of(4).holds(4, 4) && !panel.skip(5).rows_of(4).holds(4, 4));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "row 4 of 20 floats, 6 apart")]
    fn a_row_outside_is_refused_in_debug_builds() {
        PanelMut::new(&mut [0.0; 20], 6).at(4);
    }
}
