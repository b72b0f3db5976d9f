//! AVX-512: one 512-bit register a vector.

use super::simd::{L, Simd};
use std::arch::x86_64::*;

/// The 512-bit registers of AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// The first `n <= 16` lanes.
#[inline(always)]
fn mask(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

impl Simd for Avx512 {
    type V = __m512;
    type Wide = [__m512d; 2];
    const ROWS: usize = 12;
    const WIDE: bool = true;
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn prefetch_line(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(mask(n), p) }
    }
    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(mask(hi) & !mask(lo), p) }
    }
    #[inline(always)]
    unsafe fn load_even(p: *const f32, lo: usize, hi: usize) -> __m512 {
        unsafe {
            let wanted = ((1u32 << (2 * hi - 1)) - 1) & !((1u32 << (2 * lo)) - 1);
            let low = _mm512_maskz_loadu_ps(wanted as __mmask16, p);
            let high = _mm512_maskz_loadu_ps((wanted >> L) as __mmask16, p.wrapping_add(L));
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            _mm512_permutex2var_ps(low, even, high)
        }
    }
    #[inline(always)]
    unsafe fn interleave(a: __m512, b: __m512) -> [__m512; 2] {
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(L as i32 / 2));
            [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
        }
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, n: usize, v: __m512) {
        unsafe { _mm512_mask_storeu_ps(p, mask(n), v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn fnma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<0>(a) }
    }
    #[inline(always)]
    unsafe fn scale2(a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    unsafe fn recip(a: __m512) -> __m512 {
        unsafe {
            let r = _mm512_rcp14_ps(a);
            let e = _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(r, e, r)
        }
    }
    #[inline(always)]
    unsafe fn exp(x: __m512) -> __m512 {
        unsafe {
            // In this order of operands a NaN passes through.
            let x = _mm512_min_ps(_mm512_set1_ps(87.0), _mm512_max_ps(_mm512_set1_ps(-87.0), x));
            let t = _mm512_fmadd_ps(x, _mm512_set1_ps(32.0 * std::f32::consts::LOG2_E), _mm512_set1_ps(TO_INTEGER));
            let n = _mm512_sub_ps(t, _mm512_set1_ps(TO_INTEGER));
            // ln 2 / 32 in two parts
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693_359_4 / 32.0), x);
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.121_944_4e-4 / 32.0), r);
            // |r| <= ln 2 / 64 = a; 1 + a²/8 instead of 1 spreads the error a³/6 over the interval, a quarter at most.
            let p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.5), _mm512_set1_ps(1.000_014_7));
            let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
            _mm512_mul_ps(p, power(t))
        }
    }
    #[inline(always)]
    unsafe fn exp2(x: __m512) -> __m512 {
        unsafe {
            let x = _mm512_max_ps(_mm512_set1_ps(-126.0), x);
            let t = _mm512_fmadd_ps(x, _mm512_set1_ps(32.0), _mm512_set1_ps(TO_INTEGER));
            let n = _mm512_sub_ps(t, _mm512_set1_ps(TO_INTEGER));
            // Exact: n / 32 has few bits, and is near x.
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.0 / 32.0), x);
            // As above, with r ln 2 for r.
            let p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.240_226_5), _mm512_set1_ps(0.693_157_4));
            let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
            _mm512_mul_ps(p, power(t))
        }
    }
    #[inline(always)]
    unsafe fn sigmoid(x: __m512) -> __m512 {
        unsafe {
            // `exp(-x)`, but the product of x with the constant in one part: what that adds is less than rounding x itself does.
            let x = _mm512_min_ps(_mm512_set1_ps(87.0), _mm512_max_ps(_mm512_set1_ps(-87.0), x));
            let scale = _mm512_set1_ps(-32.0 * std::f32::consts::LOG2_E);
            let t = _mm512_fmadd_ps(x, scale, _mm512_set1_ps(TO_INTEGER));
            let n = _mm512_sub_ps(t, _mm512_set1_ps(TO_INTEGER));
            let r = _mm512_fmsub_ps(x, scale, n);
            // The polynomial of `exp` with r ln 2 / 32 for r.
            let p = _mm512_fmadd_ps(r, _mm512_set1_ps(2.345_961e-4), _mm512_set1_ps(2.166_116_8e-2));
            let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
            Self::recip(_mm512_fmadd_ps(p, power(t), _mm512_set1_ps(1.0)))
        }
    }
    #[inline(always)]
    unsafe fn exp2_of_32nds(x: __m512) -> __m512 {
        unsafe {
            // As above, but sums instead of products where there is a choice: there are as many units for each.
            let x = _mm512_max_ps(_mm512_set1_ps(-126.0 * 32.0), x);
            let t = _mm512_add_ps(x, _mm512_set1_ps(TO_INTEGER));
            let r = _mm512_sub_ps(x, _mm512_sub_ps(t, _mm512_set1_ps(TO_INTEGER)));
            let p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.240_226_5 / 1024.0), _mm512_set1_ps(0.693_157_4 / 32.0));
            let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
            _mm512_mul_ps(p, power(t))
        }
    }
    #[inline(always)]
    unsafe fn hsum(a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    unsafe fn hmax(a: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(a) }
    }
    #[inline(always)]
    unsafe fn wide_zero() -> [__m512d; 2] {
        unsafe { [_mm512_setzero_pd(); 2] }
    }
    #[inline(always)]
    unsafe fn wide_add_square(a: [__m512d; 2], x: __m512) -> [__m512d; 2] {
        unsafe {
            let hi = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x));
            let lo = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
            let hi = _mm512_cvtps_pd(_mm256_castpd_ps(hi));
            [_mm512_fmadd_pd(lo, lo, a[0]), _mm512_fmadd_pd(hi, hi, a[1])]
        }
    }
    #[inline(always)]
    unsafe fn wide_store(p: *mut f64, a: [__m512d; 2]) {
        unsafe {
            _mm512_storeu_pd(p, a[0]);
            _mm512_storeu_pd(p.add(8), a[1]);
        }
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [__m512; 16]) {
        unsafe {
            macro_rules! pd {
                ($v:expr) => {
                    _mm512_castps_pd($v)
                };
            }
            macro_rules! ps {
                ($v:expr) => {
                    _mm512_castpd_ps($v)
                };
            }
            let mut t = *r;
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            let mut u = t;
            for i in 0..4 {
                let b = 4 * i;
                u[b] = ps!(_mm512_unpacklo_pd(pd!(t[b]), pd!(t[b + 2])));
                u[b + 1] = ps!(_mm512_unpackhi_pd(pd!(t[b]), pd!(t[b + 2])));
                u[b + 2] = ps!(_mm512_unpacklo_pd(pd!(t[b + 1]), pd!(t[b + 3])));
                u[b + 3] = ps!(_mm512_unpackhi_pd(pd!(t[b + 1]), pd!(t[b + 3])));
            }
            for q in 0..4 {
                let a = _mm512_shuffle_f32x4::<0x88>(u[q], u[4 + q]);
                let b = _mm512_shuffle_f32x4::<0x88>(u[8 + q], u[12 + q]);
                let c = _mm512_shuffle_f32x4::<0xdd>(u[q], u[4 + q]);
                let d = _mm512_shuffle_f32x4::<0xdd>(u[8 + q], u[12 + q]);
                r[q] = _mm512_shuffle_f32x4::<0x88>(a, b);
                r[8 + q] = _mm512_shuffle_f32x4::<0xdd>(a, b);
                r[4 + q] = _mm512_shuffle_f32x4::<0x88>(c, d);
                r[12 + q] = _mm512_shuffle_f32x4::<0xdd>(c, d);
            }
        }
    }
}

// Exponentials are 2^(n/32) (1 + r + r²/2): powers of two from a table that two registers hold, and a short polynomial. That is
// half the arithmetic of a polynomial alone, and SiLU and softmax are bound by it.

/// 1.5 · 2²³: the low bits of its sum with a number are those of the nearest integer.
const TO_INTEGER: f32 = 12_582_912.0;

/// `2^(n/32)` for `t = TO_INTEGER + n`, `|n| <= 126 · 32`.
#[inline(always)]
unsafe fn power(t: __m512) -> __m512 {
    unsafe {
        let t = _mm512_castps_si512(t);
        let (low, high) = (POWERS.as_ptr(), POWERS.as_ptr().add(16));
        let j = _mm512_permutex2var_epi32(_mm512_loadu_si512(low.cast()), t, _mm512_loadu_si512(high.cast()));
        _mm512_castsi512_ps(_mm512_add_epi32(j, _mm512_slli_epi32::<18>(t)))
    }
}

/// Bits of `2^(j/32)` less `j << 18`: adding `n << 18`, for `n = 32 e + j`, makes them those of `2^(n/32)`.
static POWERS: [u32; 32] = [
    0x3F800000, 0x3F7ECD87, 0x3F7DAAC3, 0x3F7C980F, 0x3F7B95C2, 0x3F7AA43A, 0x3F79C3D3, 0x3F78F4F0, 0x3F7837F0,
    0x3F778D3A, 0x3F76F532, 0x3F767043, 0x3F75FED7, 0x3F75A15B, 0x3F75583F, 0x3F7523F6, 0x3F7504F3, 0x3F74FBAF,
    0x3F7508A4, 0x3F752C4D, 0x3F75672A, 0x3F75B9BE, 0x3F76248C, 0x3F76A81E, 0x3F7744FD, 0x3F77FBB8, 0x3F78CCDF,
    0x3F79B907, 0x3F7AC0C7, 0x3F7BE4BA, 0x3F7D257D, 0x3F7E83B3,
];
