//! AVX2 with FMA: two 256-bit registers a vector.

use super::simd::{L, Simd};
use std::arch::x86_64::*;

/// Pairs of 256-bit registers of AVX2, with FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

type M2 = [__m256; 2];
macro_rules! two {
    ($f:ident, $($a:ident),*) => { unsafe { [$f($($a[0]),*), $f($($a[1]),*)] } };
}

#[inline(always)]
unsafe fn transpose8(r: [__m256; 8]) -> [__m256; 8] {
    unsafe {
        macro_rules! pd {
            ($v:expr) => {
                _mm256_castps_pd($v)
            };
        }
        macro_rules! ps {
            ($v:expr) => {
                _mm256_castpd_ps($v)
            };
        }
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut u = t;
        for i in 0..2 {
            let b = 4 * i;
            u[b] = ps!(_mm256_unpacklo_pd(pd!(t[b]), pd!(t[b + 2])));
            u[b + 1] = ps!(_mm256_unpackhi_pd(pd!(t[b]), pd!(t[b + 2])));
            u[b + 2] = ps!(_mm256_unpacklo_pd(pd!(t[b + 1]), pd!(t[b + 3])));
            u[b + 3] = ps!(_mm256_unpackhi_pd(pd!(t[b + 1]), pd!(t[b + 3])));
        }
        let mut o = u;
        for q in 0..4 {
            o[q] = _mm256_permute2f128_ps::<0x20>(u[q], u[4 + q]);
            o[4 + q] = _mm256_permute2f128_ps::<0x31>(u[q], u[4 + q]);
        }
        o
    }
}

/// Masks of the first `n <= 16` lanes.
#[inline(always)]
unsafe fn masks(n: usize) -> [__m256i; 2] {
    unsafe {
        let n = _mm256_set1_epi32(n as i32);
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let hi = _mm256_add_epi32(lane, _mm256_set1_epi32(8));
        [_mm256_cmpgt_epi32(n, lane), _mm256_cmpgt_epi32(n, hi)]
    }
}

impl Simd for Avx2 {
    type V = M2;
    type Wide = [__m256d; 4];
    const ROWS: usize = 6;
    const WIDE: bool = false;
    #[inline(always)]
    unsafe fn div(a: M2, b: M2) -> M2 {
        two!(_mm256_div_ps, a, b)
    }
    #[inline(always)]
    unsafe fn sqrt(a: M2) -> M2 {
        two!(_mm256_sqrt_ps, a)
    }
    #[inline(always)]
    unsafe fn prefetch_line(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> M2 {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> M2 {
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: M2) {
        unsafe {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(8), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> M2 {
        unsafe {
            let [lo, hi] = masks(n);
            [_mm256_maskload_ps(p, lo), _mm256_maskload_ps(p.wrapping_add(8), hi)]
        }
    }
    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> M2 {
        unsafe {
            let ([l0, l1], [h0, h1]) = (masks(lo), masks(hi));
            let (m0, m1) = (_mm256_andnot_si256(l0, h0), _mm256_andnot_si256(l1, h1));
            [_mm256_maskload_ps(p, m0), _mm256_maskload_ps(p.wrapping_add(8), m1)]
        }
    }
    #[inline(always)]
    unsafe fn load_even(p: *const f32, lo: usize, hi: usize) -> M2 {
        unsafe {
            let (lo, hi) = (2 * lo, 2 * hi - 1);
            let low = Self::load_range(p, lo.min(L), hi.min(L));
            let high = Self::load_range(p.wrapping_add(L), lo.saturating_sub(L), hi.saturating_sub(L));
            // Pairs of two even lanes, those of the first register at 0 and 2
            let even = [_mm256_shuffle_ps::<0x88>(low[0], low[1]), _mm256_shuffle_ps::<0x88>(high[0], high[1])];
            let order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
            [_mm256_permutevar8x32_ps(even[0], order), _mm256_permutevar8x32_ps(even[1], order)]
        }
    }
    #[inline(always)]
    unsafe fn interleave(a: M2, b: M2) -> [M2; 2] {
        unsafe {
            macro_rules! f {
                ($i:expr) => {{
                    let (lo, hi) = (_mm256_unpacklo_ps(a[$i], b[$i]), _mm256_unpackhi_ps(a[$i], b[$i]));
                    [_mm256_permute2f128_ps::<0x20>(lo, hi), _mm256_permute2f128_ps::<0x31>(lo, hi)]
                }};
            }
            [f!(0), f!(1)]
        }
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, n: usize, v: M2) {
        unsafe {
            let [lo, hi] = masks(n);
            _mm256_maskstore_ps(p, lo, v[0]);
            _mm256_maskstore_ps(p.wrapping_add(8), hi, v[1]);
        }
    }
    #[inline(always)]
    unsafe fn add(a: M2, b: M2) -> M2 {
        two!(_mm256_add_ps, a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: M2, b: M2) -> M2 {
        two!(_mm256_sub_ps, a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: M2, b: M2) -> M2 {
        two!(_mm256_mul_ps, a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: M2, b: M2, c: M2) -> M2 {
        two!(_mm256_fmadd_ps, a, b, c)
    }
    #[inline(always)]
    unsafe fn fnma(a: M2, b: M2, c: M2) -> M2 {
        two!(_mm256_fnmadd_ps, a, b, c)
    }
    #[inline(always)]
    unsafe fn min(a: M2, b: M2) -> M2 {
        two!(_mm256_min_ps, a, b)
    }
    #[inline(always)]
    unsafe fn max(a: M2, b: M2) -> M2 {
        two!(_mm256_max_ps, a, b)
    }
    #[inline(always)]
    unsafe fn round(a: M2) -> M2 {
        unsafe { [_mm256_round_ps::<8>(a[0]), _mm256_round_ps::<8>(a[1])] }
    }
    #[inline(always)]
    unsafe fn scale2(a: M2, n: M2) -> M2 {
        unsafe {
            macro_rules! f {
                ($i:expr) => {{
                    let k = _mm256_add_epi32(_mm256_cvtps_epi32(n[$i]), _mm256_set1_epi32(127));
                    _mm256_mul_ps(a[$i], _mm256_castsi256_ps(_mm256_slli_epi32::<23>(k)))
                }};
            }
            [f!(0), f!(1)]
        }
    }
    #[inline(always)]
    unsafe fn recip(a: M2) -> M2 {
        unsafe { [_mm256_div_ps(_mm256_set1_ps(1.0), a[0]), _mm256_div_ps(_mm256_set1_ps(1.0), a[1])] }
    }
    #[inline(always)]
    unsafe fn hsum(a: M2) -> f32 {
        unsafe {
            let mut b = [0f32; 16];
            Self::store(b.as_mut_ptr(), a);
            let mut s = 0.0;
            for v in b {
                s += v;
            }
            s
        }
    }
    #[inline(always)]
    unsafe fn hmax(a: M2) -> f32 {
        unsafe {
            let mut b = [0f32; 16];
            Self::store(b.as_mut_ptr(), a);
            b.into_iter().fold(f32::NEG_INFINITY, f32::max)
        }
    }
    #[inline(always)]
    unsafe fn wide_zero() -> [__m256d; 4] {
        unsafe { [_mm256_setzero_pd(); 4] }
    }
    #[inline(always)]
    unsafe fn wide_add_square(a: [__m256d; 4], x: M2) -> [__m256d; 4] {
        unsafe {
            let mut o = a;
            for i in 0..2 {
                let lo = _mm256_cvtps_pd(_mm256_castps256_ps128(x[i]));
                let hi = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x[i]));
                o[2 * i] = _mm256_fmadd_pd(lo, lo, a[2 * i]);
                o[2 * i + 1] = _mm256_fmadd_pd(hi, hi, a[2 * i + 1]);
            }
            o
        }
    }
    #[inline(always)]
    unsafe fn wide_store(p: *mut f64, a: [__m256d; 4]) {
        unsafe {
            for i in 0..4 {
                _mm256_storeu_pd(p.add(4 * i), a[i]);
            }
        }
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [M2; 16]) {
        unsafe {
            macro_rules! t8 {
                ($o:expr, $h:expr) => {{
                    let mut q = [r[0][0]; 8];
                    for i in 0..8 {
                        q[i] = r[$o + i][$h];
                    }
                    transpose8(q)
                }};
            }
            let (a, b, c, d) = (t8!(0, 0), t8!(0, 1), t8!(8, 0), t8!(8, 1));
            for i in 0..8 {
                r[i] = [a[i], c[i]];
                r[8 + i] = [b[i], d[i]];
            }
        }
    }
}
