//! Planes of channels to pixels of 16 channels, and back.

use crate::simd::{L, Simd};

/// Up to 16 pixels at `src` of `nch` planes, one pixel after the other.
#[inline(always)]
unsafe fn pixels<S: Simd>(src: *const f32, plane: usize, nch: usize, n: usize) -> [S::V; L] {
    unsafe {
        let mut v = [S::zero(); L];
        if n == L && nch == L {
            for ch in 0..L {
                v[ch] = S::load(src.add(ch * plane));
            }
        } else {
            for ch in 0..L {
                if ch < nch {
                    v[ch] = S::load_n(src.add(ch * plane), n);
                }
            }
        }
        S::transpose(&mut v);
        v
    }
}

/// `n` pixels at `src` of `nch` planes -> 16-float pixels at `dst`, `apart` floats apart, with room for whole vectors of pixels, those
/// past the last zero; `sums` with the channels added.
#[allow(clippy::too_many_arguments)] // a strided copy
#[inline(always)]
pub(super) unsafe fn turn_pixels<S: Simd>(
    src: *const f32,
    plane: usize,
    nch: usize,
    n: usize,
    dst: *mut f32,
    apart: usize,
    mut sums: S::V,
) -> S::V {
    unsafe {
        for p in (0..n).step_by(L) {
            let v = pixels::<S>(src.wrapping_add(p), plane, nch, (n - p).min(L));
            for i in 0..L {
                S::store(dst.add((p + i) * apart), v[i]);
                sums = S::add(sums, v[i]);
            }
        }
        sums
    }
}

/// Rows `lo..hi` of `nch` planes at `src`, `w` pixels a row -> 16-float pixels at `dst`, rows `rs` floats apart.
#[allow(clippy::too_many_arguments)] // a strided copy
#[inline(always)]
pub(super) unsafe fn load_rows<S: Simd>(
    src: *const f32,
    plane: usize,
    nch: usize,
    (lo, hi): (usize, usize),
    w: usize,
    dst: *mut f32,
    rs: usize,
) {
    unsafe {
        // Row by row, where little of the vectors is lost by that.
        if w.next_multiple_of(L) - w <= w / 6 {
            for row in 0..hi - lo {
                let (src, dst) = (src.add((lo + row) * w), dst.add(row * rs));
                let n = w.min(L);
                let mut col = 0;
                while col < w {
                    // The last ones of a row overlap with those before.
                    let at = col.min(w - n);
                    let v = pixels::<S>(src.add(at), plane, nch, n);
                    for i in 0..L {
                        if i < n {
                            S::store(dst.add((at + i) * L), v[i]);
                        }
                    }
                    col += L;
                }
            }
            return;
        }
        // `i / w` rounded down by a multiplication, for `i w < 2^40`.
        let reciprocal = (1u64 << 40) / w as u64 + 1;
        let gap = rs - w * L;
        let (src, len) = (src.add(lo * w), (hi - lo) * w);
        let mut p = 0;
        while p < len {
            let n = (len - p).min(L);
            let v = pixels::<S>(src.add(p), plane, nch, n);
            for i in 0..L {
                if i < n {
                    let row = (((p + i) as u64 * reciprocal) >> 40) as usize;
                    S::store(dst.add((p + i) * L + row * gap), v[i]);
                }
            }
            p += n;
        }
    }
}

/// Inverse of [`load_rows`] for pixels `p0..p1` of the planes, contiguous at `src`; adds `res` (same layout as `dst`) if not null.
#[inline(always)]
pub(super) unsafe fn store_pixels<S: Simd>(
    src: *const f32,
    dst: *mut f32,
    res: *const f32,
    plane: usize,
    nch: usize,
    p0: usize,
    p1: usize,
) {
    unsafe {
        let mut p = p0;
        while p < p1 {
            let m = (p1 - p).min(L);
            let mut v = [S::zero(); L];
            let s = src.add((p - p0) * L);
            if m == L && nch == L {
                for i in 0..L {
                    v[i] = S::load(s.add(i * L));
                }
                S::transpose(&mut v);
                if !res.is_null() {
                    for ch in 0..L {
                        v[ch] = S::add(v[ch], S::load(res.add(ch * plane + p)));
                    }
                }
                for ch in 0..L {
                    S::store(dst.add(ch * plane + p), v[ch]);
                }
            } else {
                for i in 0..L {
                    if i < m {
                        v[i] = S::load(s.add(i * L));
                    }
                }
                S::transpose(&mut v);
                for ch in 0..L {
                    if ch < nch {
                        let o = ch * plane + p;
                        let r = if res.is_null() { v[ch] } else { S::add(v[ch], S::load_n(res.add(o), m)) };
                        S::store_n(dst.add(o), m, r);
                    }
                }
            }
            p += m;
        }
    }
}
