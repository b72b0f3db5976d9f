//! AVX-512: one 512-bit register a vector.

use super::simd::Simd;
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
    unsafe fn hsum(a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
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
