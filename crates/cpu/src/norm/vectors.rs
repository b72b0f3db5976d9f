//! Channels vector by vector.

use crate::simd::{L, Simd};

/// Calls `object.method::<N>(i, lanes)` for all vectors of `hw` floats: `N` of them from float `i` on, of [`L`] lanes each, or
/// one of fewer at the end. As the arithmetic of a vector is one long chain, several are in flight where registers suffice.
macro_rules! each_vector {
    ($S:ident, $hw:expr, $object:ident.$method:ident()) => {{
        let mut i = 0;
        if $S::WIDE {
            while i + 4 * L <= $hw {
                $object.$method::<4>(i, L);
                i += 4 * L;
            }
        }
        while i + L <= $hw {
            $object.$method::<1>(i, L);
            i += L;
        }
        if i < $hw {
            $object.$method::<1>(i, $hw - i);
        }
    }};
}
pub(super) use each_vector;

/// The first `lanes` lanes, the others zero. Called with the constant [`L`], it is a plain load.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    // SAFETY: the caller's contract.
    unsafe { if lanes == L { S::load(p) } else { S::load_n(p, lanes) } }
}

/// Writes the first `lanes` lanes.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(p: *mut f32, lanes: usize, v: S::V) {
    // SAFETY: the caller's contract.
    unsafe { if lanes == L { S::store(p, v) } else { S::store_n(p, lanes, v) } }
}
