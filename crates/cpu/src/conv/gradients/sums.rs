//! The inner loop of `dw`.

use crate::conv::ahead::{Ahead, STEP};
use crate::gemm::{PANEL, store_sums};
use crate::simd::{L, Simd, with_rows};

/// Sums over the pixels of a chunk: some rows times some columns of a panel.
pub(super) struct Sums {
    /// A pixel's values in the rows are `rs` apart; pixels come in runs, `image` floats apart.
    pub(super) rows: *const f32,
    pub(super) rs: usize,
    pub(super) run: usize,
    pub(super) images: usize,
    pub(super) image: usize,
    /// `[pixel][32]`
    pub(super) panel: *const f32,
    pub(super) out: *mut f32,
    pub(super) cs: usize,
    /// Whether there is nothing yet to add to.
    pub(super) first: bool,
}

#[inline(always)]
unsafe fn sums_of<S: Simd, const R: usize, const NV: usize>(t: &Sums, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let mut acc = [[S::zero(); NV]; R];
        let mut b = t.panel;
        for image in 0..t.images {
            let mut a = t.rows.add(image * t.image);
            let mut left = t.run;
            while left > 0 {
                let some = left.min(STEP);
                left -= some;
                ahead.ask::<S>(lines);
                for _ in 0..some {
                    let mut bv = [S::zero(); NV];
                    for v in 0..NV {
                        bv[v] = S::load(b.add(v * L));
                    }
                    for r in 0..R {
                        let x = S::splat(*a.add(r * t.rs));
                        for v in 0..NV {
                            acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                        }
                    }
                    a = a.add(1);
                    b = b.wrapping_add(PANEL);
                }
            }
        }
        store_sums::<S, R, NV>(acc, t.out, t.cs, !t.first);
    }
}

/// `r` rows of it, and asks for `lines` of what is read next every few pixels.
#[inline(always)]
pub(super) unsafe fn some_rows<S: Simd, const NV: usize>(r: usize, t: &Sums, ahead: &mut Ahead, lines: usize) {
    unsafe { with_rows!(r, sums_of::<S, _, NV>(t, ahead, lines)) }
}
