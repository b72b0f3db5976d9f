//! Plain Rust: an array a vector.

use super::simd::{L, Simd};

/// Arrays of 16 floats; the compiler makes them registers of the target's baseline.
#[derive(Clone, Copy)]
pub(super) struct Portable;

type V = [f32; L];

/// `a b + c`, in one instruction where the target always has it (`mul_add` is a library call elsewhere).
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

impl Simd for Portable {
    type V = V;
    type Wide = [f64; L];
    const ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; L]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> V {
        unsafe { p.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: V) {
        unsafe { p.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> V {
        let mut v = [0.0; L];
        unsafe { std::ptr::copy_nonoverlapping(p, v.as_mut_ptr(), n) };
        v
    }
    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> V {
        let mut v = [0.0; L];
        for i in lo..hi {
            v[i] = unsafe { *p.wrapping_add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn load_even(p: *const f32, lo: usize, hi: usize) -> V {
        let mut v = [0.0; L];
        for i in lo..hi {
            v[i] = unsafe { *p.wrapping_add(2 * i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn interleave(a: V, b: V) -> [V; 2] {
        let mut o = [a; 2];
        for i in 0..2 * L {
            o[i / L][i % L] = if i % 2 == 0 { a[i / 2] } else { b[i / 2] };
        }
        o
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, n: usize, v: V) {
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), p, n) };
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] + b[i];
        }
        o
    }
    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] - b[i];
        }
        o
    }
    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] * b[i];
        }
        o
    }
    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] / b[i];
        }
        o
    }
    #[inline(always)]
    unsafe fn sqrt(a: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i].sqrt();
        }
        o
    }
    #[inline(always)]
    unsafe fn fma(a: V, b: V, c: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = multiply_add(a[i], b[i], c[i]);
        }
        o
    }
    #[inline(always)]
    unsafe fn fnma(a: V, b: V, c: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = multiply_add(-a[i], b[i], c[i]);
        }
        o
    }
    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = if a[i] < b[i] { a[i] } else { b[i] };
        }
        o
    }
    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = if a[i] > b[i] { a[i] } else { b[i] };
        }
        o
    }
    #[inline(always)]
    unsafe fn round(a: V) -> V {
        // Adding and taking away 1.5 · 2²³ leaves no fraction; right for |a| < 2²², and `exp` stays below 128.
        const MAGIC: f32 = 12_582_912.0;
        let mut o = a;
        for i in 0..L {
            o[i] = (a[i] + MAGIC) - MAGIC;
        }
        o
    }
    #[inline(always)]
    unsafe fn scale2(a: V, n: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] * f32::from_bits(((n[i] as i32 + 127) as u32) << 23);
        }
        o
    }
    #[inline(always)]
    unsafe fn recip(a: V) -> V {
        let mut o = a;
        for i in 0..L {
            o[i] = 1.0 / a[i];
        }
        o
    }
    #[inline(always)]
    unsafe fn hsum(a: V) -> f32 {
        a.iter().sum()
    }
    #[inline(always)]
    unsafe fn hmax(a: V) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    unsafe fn wide_zero() -> [f64; L] {
        [0.0; L]
    }
    #[inline(always)]
    unsafe fn wide_add_square(a: [f64; L], x: V) -> [f64; L] {
        let mut o = a;
        for i in 0..L {
            o[i] = a[i] + f64::from(x[i]) * f64::from(x[i]);
        }
        o
    }
    #[inline(always)]
    unsafe fn wide_store(p: *mut f64, a: [f64; L]) {
        unsafe { p.cast::<[f64; L]>().write_unaligned(a) }
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [V; 16]) {
        for i in 0..L {
            for j in 0..i {
                let t = r[i][j];
                r[i][j] = r[j][i];
                r[j][i] = t;
            }
        }
    }
    #[inline(always)]
    unsafe fn prefetch_line(_: *const f32) {}
}
