//! The weight gradient back from the Winograd domain: `dw = Gᵀ dU G`, summed over the parts and turned by half.

use super::tile::FromProducts;
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

pub(super) struct FinishTask {
    /// Sums of one part for an output channel, `[x][c]`, planes `xs` floats apart.
    pub(super) du: *const f32,
    /// Further partial sums `stride` apart.
    pub(super) parts: usize,
    pub(super) stride: usize,
    pub(super) xs: usize,
    /// Input channels.
    pub(super) c: usize,
    /// The weight gradient of the output channel, `[c, 3, 3]`.
    pub(super) dw: *mut f32,
}
/// dw[k] = Gᵀ dU G for one output channel, the last tap first.
#[inline(always)]
unsafe fn finish_task<S: Simd, W: FromProducts>(t: &FinishTask) {
    unsafe {
        for cb in 0..t.c.div_ceil(L) {
            let mut v = [S::zero(); L];
            for part in 0..t.parts {
                let o = W::taps::<S>(t.du.add(part * t.stride + cb * L), t.xs);
                for q in 0..9 {
                    v[8 - q] = S::add(v[8 - q], o[q]);
                }
            }
            S::transpose(&mut v);
            for i in 0..L {
                if cb * L + i < t.c {
                    S::store_n(t.dw.add((cb * L + i) * 9), 9, v[i]);
                }
            }
        }
    }
}
isa_entry!(
    /// [`finish_task`].
    pub(super) finish_isa [W: FromProducts] = finish_task(FinishTask)
);
