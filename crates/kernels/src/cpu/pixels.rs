//! Planes of channels to pixels of 16 channels, and back.

use crate::cpu::simd::{L, Simd};

/// Pixels `p0..p1` (within the plane) of `nch` planes at `src` -> 16-float pixels at `dst`, `w` per row, rows `rs` apart.
#[allow(clippy::too_many_arguments)] // a strided copy
#[inline(always)]
pub(super) unsafe fn load_pixels<S: Simd>(
    src: *const f32,
    plane: usize,
    nch: usize,
    p0: usize,
    p1: usize,
    w: usize,
    dst: *mut f32,
    rs: usize,
) {
    unsafe {
        let (mut col, mut row) = (0, dst);
        let mut p = p0;
        while p < p1 {
            let m = (p1 - p).min(L);
            let mut v = [S::zero(); L];
            if m == L && nch == L {
                for ch in 0..L {
                    v[ch] = S::load(src.add(ch * plane + p));
                }
            } else {
                for ch in 0..L {
                    if ch < nch {
                        v[ch] = S::load_n(src.add(ch * plane + p), m);
                    }
                }
            }
            S::transpose(&mut v);
            if m == L && col + L <= w {
                for i in 0..L {
                    S::store(row.add((col + i) * L), v[i]);
                }
                col += L;
                if col == w {
                    col = 0;
                    row = row.add(rs);
                }
            } else {
                for i in 0..L {
                    if i < m {
                        S::store(row.add(col * L), v[i]);
                        col += 1;
                        if col == w {
                            col = 0;
                            row = row.add(rs);
                        }
                    }
                }
            }
            p += m;
        }
    }
}

/// Inverse of [`load_pixels`] for contiguous pixels at `src`; adds `res` (same layout as `dst`) if not null.
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
