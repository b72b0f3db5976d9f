//! Sixteen f32 lanes, whatever the instruction set.
//!
//! All methods are `#[inline(always)]`: kernels generic over [`Simd`] are inlined into the entry points of
//! [`super::isa`], which enable the instructions, and so become code of that instruction set.

/// Calls `f::<S, R, NV, ..>(..)` with the constant `R` that is `r`, at most `S::ROWS`.
macro_rules! with_rows {
    ($r:expr, $f:ident::<$S:ident, _, $NV:ident $(, $PART:ident)?>($($a:expr),*)) => {
        match $r {
            1 => $f::<$S, 1, $NV $(, $PART)?>($($a),*),
            2 => $f::<$S, 2, $NV $(, $PART)?>($($a),*),
            3 => $f::<$S, 3, $NV $(, $PART)?>($($a),*),
            _ if $S::ROWS <= 3 => unreachable!("groups have at most ROWS rows"),
            4 => $f::<$S, 4, $NV $(, $PART)?>($($a),*),
            5 => $f::<$S, 5, $NV $(, $PART)?>($($a),*),
            6 => $f::<$S, 6, $NV $(, $PART)?>($($a),*),
            _ if $S::ROWS <= 6 => unreachable!("groups have at most ROWS rows"),
            7 => $f::<$S, 7, $NV $(, $PART)?>($($a),*),
            8 => $f::<$S, 8, $NV $(, $PART)?>($($a),*),
            9 => $f::<$S, 9, $NV $(, $PART)?>($($a),*),
            10 => $f::<$S, 10, $NV $(, $PART)?>($($a),*),
            11 => $f::<$S, 11, $NV $(, $PART)?>($($a),*),
            _ => $f::<$S, 12, $NV $(, $PART)?>($($a),*),
        }
    };
}
pub(super) use with_rows;

/// Number of lanes of every vector.
pub(super) const L: usize = 16;

/// Vectors of [`L`] floats.
///
/// # Safety
/// Every method requires that the processor has the instruction set of the implementor. Loads and stores of `p` require
/// that `p` may be read or written for [`L`] floats, or for the first `n <= L` where `n` is given.
#[allow(clippy::missing_safety_doc)] // one contract for all methods, above
pub(super) trait Simd: Copy {
    type V: Copy;
    /// As many lanes of f64.
    type Wide: Copy;
    /// Rows of the largest GEMM micro-kernel whose accumulators fit the registers.
    const ROWS: usize;
    /// Whether a micro-kernel of `ROWS` rows holds two vectors a row.
    const WIDE: bool;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n` lanes, the others zero.
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V;
    /// Lanes `lo..hi` of `p`, the others zero; only those may be read.
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self::V;
    /// Lanes `lo..hi`, lane `i` from `p[2 i]`, the others zero; nothing before the first of them or after the last may be
    /// read. `lo < hi`.
    unsafe fn load_even(p: *const f32, lo: usize, hi: usize) -> Self::V;
    unsafe fn store_n(p: *mut f32, n: usize, v: Self::V);
    /// The lanes of `a` and `b` in turn, `a` first.
    unsafe fn interleave(a: Self::V, b: Self::V) -> [Self::V; 2];
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// `a b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a b`
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn round(a: Self::V) -> Self::V;
    /// `a 2^n` for integral `n`, `|n| <= 126`
    unsafe fn scale2(a: Self::V, n: Self::V) -> Self::V;
    /// `1 / a` to nearly full precision.
    unsafe fn recip(a: Self::V) -> Self::V;
    /// Sum of the lanes.
    unsafe fn hsum(a: Self::V) -> f32;
    /// Largest of the lanes.
    unsafe fn hmax(a: Self::V) -> f32;
    unsafe fn wide_zero() -> Self::Wide;
    /// `a + x²` in f64. There the square of an f32 is exact, so that all implementors round alike.
    unsafe fn wide_add_square(a: Self::Wide, x: Self::V) -> Self::Wide;
    unsafe fn wide_store(p: *mut f64, a: Self::Wide);
    /// Transposes 16 vectors as a 16 × 16 matrix.
    unsafe fn transpose(r: &mut [Self::V; 16]);
    /// Asks for the line at `p`; any address is allowed.
    unsafe fn prefetch_line(p: *const f32);

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        unsafe { Self::splat(0.0) }
    }

    /// Prefetches the `n` floats at `p`; any address is allowed.
    #[inline(always)]
    unsafe fn prefetch(p: *const f32, n: usize) {
        let mut i = 0;
        while i < n {
            unsafe { Self::prefetch_line(p.wrapping_add(i)) };
            i += L;
        }
    }

    /// `exp(x)`, relative error about 2e-7, `x` clamped to [-87, 87]; the polynomial of Cephes' `expf`.
    #[inline(always)]
    unsafe fn exp(x: Self::V) -> Self::V {
        unsafe {
            // In this order of operands a NaN passes through.
            let x = Self::min(Self::splat(87.0), Self::max(Self::splat(-87.0), x));
            let n = Self::round(Self::mul(x, Self::splat(std::f32::consts::LOG2_E)));
            // ln 2 in two parts
            let r = Self::fnma(n, Self::splat(0.693_359_4), x);
            let r = Self::fnma(n, Self::splat(-2.121_944_4e-4), r);
            let mut p = Self::splat(1.987_569_1e-4);
            for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
                p = Self::fma(p, r, Self::splat(c));
            }
            let p = Self::add(Self::fma(Self::mul(r, r), p, r), Self::splat(1.0));
            Self::scale2(p, n)
        }
    }

    /// `2^x`, relative error about 2e-7, for `x <= 0`, clamped to -126; the polynomial of Cephes' `exp2f`.
    #[inline(always)]
    unsafe fn exp2(x: Self::V) -> Self::V {
        unsafe {
            // In this order of operands a NaN passes through.
            let x = Self::max(Self::splat(-126.0), x);
            let n = Self::round(x);
            let r = Self::sub(x, n);
            let mut p = Self::splat(1.535_336_2e-4);
            for c in [1.339_887_4e-3, 9.618_437e-3, 5.550_332_5e-2, 2.402_264_8e-1, 6.931_472e-1, 1.0] {
                p = Self::fma(p, r, Self::splat(c));
            }
            Self::scale2(p, n)
        }
    }

    /// `2^(x/32)`, relative error about 2e-7, for `x <= 0`, clamped to -126 · 32.
    #[inline(always)]
    unsafe fn exp2_of_32nds(x: Self::V) -> Self::V {
        unsafe { Self::exp2(Self::mul(x, Self::splat(1.0 / 32.0))) }
    }

    /// `1 / (1 + exp(-x))`
    #[inline(always)]
    unsafe fn sigmoid(x: Self::V) -> Self::V {
        unsafe {
            let e = Self::exp(Self::sub(Self::zero(), x));
            Self::recip(Self::add(e, Self::splat(1.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::isa::isa_entry;

    struct Exponentials {
        x: [f32; L],
        exp: *mut f32,
        exp2: *mut f32,
        sigmoid: *mut f32,
    }
    #[inline(always)]
    unsafe fn exponentials<S: Simd>(t: &Exponentials) {
        unsafe {
            let x = S::load(t.x.as_ptr());
            S::store(t.exp, S::exp(x));
            S::store(t.exp2, S::exp2(x));
            S::store(t.sigmoid, S::sigmoid(x));
        }
    }
    isa_entry!(
        /// All of 16 numbers.
        run [] = exponentials(Exponentials)
    );

    fn all(isa: Isa, x: [f32; L]) -> [[f32; L]; 3] {
        let [mut exp, mut exp2, mut sigmoid] = [[0.0; L]; 3];
        let t = Exponentials { x, exp: exp.as_mut_ptr(), exp2: exp2.as_mut_ptr(), sigmoid: sigmoid.as_mut_ptr() };
        // SAFETY: `isa` is supported; all outputs have 16 floats.
        unsafe { run(isa, &t) };
        [exp, exp2, sigmoid]
    }

    #[test]
    fn exponentials_are_right_to_the_last_bits_over_their_whole_range() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            let mut worst = [0f64; 3];
            for i in 0..40_000 {
                let x = std::array::from_fn(|lane| -87.0 + 174.0 * (i * L + lane) as f32 / 640_000.0);
                let got = all(isa, x);
                for (lane, x) in x.into_iter().enumerate() {
                    let x = f64::from(x);
                    worst[0] = worst[0].max((f64::from(got[0][lane]) / x.exp() - 1.0).abs());
                    if x <= 0.0 {
                        worst[1] = worst[1].max((f64::from(got[1][lane]) / x.exp2() - 1.0).abs());
                    }
                    // Rounding x is an error of up to |x| 2⁻²⁴ where the sigmoid is the exponential.
                    let error = (f64::from(got[2][lane]) * (1.0 + (-x).exp()) - 1.0).abs();
                    worst[2] = worst[2].max(error / (1.0 + x.min(0.0).abs() / 4.0));
                }
            }
            assert!(worst.iter().all(|e| *e < 2.5e-7), "{isa:?}: {worst:?}");
        }
    }

    #[test]
    fn exponentials_clamp_what_is_out_of_range_and_pass_nan_on() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            let mut x = [-1e30; L];
            [x[1], x[2], x[3]] = [f32::NEG_INFINITY, 1e30, f32::NAN];
            let [exp, exp2, sigmoid] = all(isa, x);
            assert!(exp[0] > 0.0 && exp[0] < 2e-38 && exp[1] == exp[0], "{isa:?}: {exp:?}");
            assert!(exp[2] > 6e37 && exp[2].is_finite(), "{isa:?}: {exp:?}");
            assert!(exp2[0] > 0.0 && exp2[0] < 2e-38 && exp2[1] == exp2[0], "{isa:?}: {exp2:?}");
            assert!(sigmoid[0] < 2e-38 && sigmoid[1] == sigmoid[0] && sigmoid[2] == 1.0, "{isa:?}: {sigmoid:?}");
            assert!([exp, exp2, sigmoid].iter().all(|y| y[3].is_nan()), "{isa:?}: {exp:?} {exp2:?} {sigmoid:?}");
        }
    }
}
