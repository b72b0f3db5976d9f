//! Winograd tile transforms F(m x m, 3x3), one channel per SIMD lane.
//!
//!   Y = A^T [ (G g G^T) . (B^T d B) ] A
//!
//! Each 1-D transform comes as an `#[inline(always)]` function over at most six vectors; the 2-D ones
//! apply it to columns, then to rows. `a` and `gt` are the transposes, used by the weight gradient.
use crate::simd::{L, Simd};

pub(super) type V6<S> = [<S as Simd>::V; 6];

#[allow(clippy::missing_safety_doc)]
pub(super) trait Tile: Copy + Send + Sync + 'static {
    /// Outputs per tile side.
    const M: usize;
    /// Inputs per tile side, M + 2.
    const T: usize;
    /// GEMMs per convolution, T * T.
    const X: usize = Self::T * Self::T;
    /// B^T d
    unsafe fn bt<S: Simd>(d: V6<S>) -> V6<S>;
    /// A^T m
    unsafe fn at<S: Simd>(m: V6<S>) -> V6<S>;
    /// G g
    unsafe fn g<S: Simd>(w: V6<S>) -> V6<S>;
    /// A y
    unsafe fn a<S: Simd>(y: V6<S>) -> V6<S>;
    /// G^T u
    unsafe fn gt<S: Simd>(u: V6<S>) -> V6<S>;
}

/// How pixels become the points of a tile.
#[allow(clippy::missing_safety_doc)]
pub(super) trait Patch: Copy + Send + Sync + 'static {
    /// Pixels of a tile's side.
    const M: usize;
    /// Points.
    const X: usize;
    /// Those of the pixels at `src`, with row stride `rs` and unit pixels of L floats, to `dst` with step `xs`: of the tile's own with
    /// `OWN`, else of these and one more on each side.
    unsafe fn points<S: Simd, const OWN: bool>(src: *const f32, rs: usize, dst: *mut f32, xs: usize);
}

impl<W: Tile> Patch for W {
    const M: usize = <W as Tile>::M;
    const X: usize = <W as Tile>::X;
    #[inline(always)]
    unsafe fn points<S: Simd, const OWN: bool>(src: *const f32, rs: usize, dst: *mut f32, xs: usize) {
        unsafe { input_tile::<S, W, OWN>(src, rs, dst, xs) }
    }
}

/// How the nine taps of a filter become the factors of its products.
#[allow(clippy::missing_safety_doc)]
pub(super) trait Taps: Copy + Send + Sync + 'static {
    /// Products.
    const X: usize;
    /// Factors to `dst` with step `xs`.
    unsafe fn products<S: Simd>(g: &[S::V; 9], dst: *mut f32, xs: usize);
}

/// How gradients of these become those of the taps.
#[allow(clippy::missing_safety_doc)]
pub(super) trait FromProducts: Taps {
    /// Gradients of the taps, the last tap first, from those at `src` with step `xs`.
    unsafe fn taps<S: Simd>(src: *const f32, xs: usize) -> [S::V; 9];
}

impl<W: Tile> Taps for W {
    const X: usize = <W as Tile>::X;
    #[inline(always)]
    unsafe fn products<S: Simd>(g: &[S::V; 9], dst: *mut f32, xs: usize) {
        unsafe { filter_tile::<S, W>(g, dst, xs) }
    }
}

impl<W: Tile> FromProducts for W {
    #[inline(always)]
    unsafe fn taps<S: Simd>(src: *const f32, xs: usize) -> [S::V; 9] {
        unsafe { filter_grad_tile::<S, W>(src, xs) }
    }
}

/// F(2x2, 3x3), points 0, 1, -1, inf.
#[derive(Clone, Copy)]
pub(super) struct F2;
/// F(4x4, 3x3), points 0, 1, -1, 2, -2, inf.
#[derive(Clone, Copy)]
pub(super) struct F4;

impl Tile for F2 {
    const M: usize = 2;
    const T: usize = 4;
    #[inline(always)]
    unsafe fn bt<S: Simd>(d: V6<S>) -> V6<S> {
        unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3]), d[4], d[5]] }
    }
    #[inline(always)]
    unsafe fn at<S: Simd>(m: V6<S>) -> V6<S> {
        unsafe {
            let (s, d) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            [S::add(m[0], s), S::sub(d, m[3]), m[2], m[3], m[4], m[5]]
        }
    }
    #[inline(always)]
    unsafe fn g<S: Simd>(w: V6<S>) -> V6<S> {
        unsafe {
            let h = S::splat(0.5);
            let s = S::mul(S::add(w[0], w[2]), h);
            [w[0], S::fma(w[1], h, s), S::fnma(w[1], h, s), w[2], w[4], w[5]]
        }
    }
    #[inline(always)]
    unsafe fn a<S: Simd>(y: V6<S>) -> V6<S> {
        unsafe { [y[0], S::add(y[0], y[1]), S::sub(y[0], y[1]), S::sub(S::zero(), y[1]), y[4], y[5]] }
    }
    #[inline(always)]
    unsafe fn gt<S: Simd>(u: V6<S>) -> V6<S> {
        unsafe {
            let h = S::splat(0.5);
            let s = S::add(u[1], u[2]);
            [S::fma(s, h, u[0]), S::mul(S::sub(u[1], u[2]), h), S::fma(s, h, u[3]), u[3], u[4], u[5]]
        }
    }
}

impl Tile for F4 {
    const M: usize = 4;
    const T: usize = 6;
    #[inline(always)]
    unsafe fn bt<S: Simd>(d: V6<S>) -> V6<S> {
        unsafe {
            let (two, four, five) = (S::splat(2.0), S::splat(4.0), S::splat(5.0));
            let (a, b) = (S::fnma(d[2], four, d[4]), S::fnma(d[1], four, d[3]));
            let (c, e) = (S::sub(d[4], d[2]), S::sub(d[3], d[1]));
            [
                S::fma(d[0], four, S::fnma(d[2], five, d[4])),
                S::add(a, b),
                S::sub(a, b),
                S::fma(e, two, c),
                S::fnma(e, two, c),
                S::fma(d[1], four, S::fnma(d[3], five, d[5])),
            ]
        }
    }
    #[inline(always)]
    unsafe fn at<S: Simd>(m: V6<S>) -> V6<S> {
        unsafe {
            let (s1, d1) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (s2, d2) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            [
                S::add(S::add(m[0], s1), s2),
                S::fma(d2, S::splat(2.0), d1),
                S::fma(s2, S::splat(4.0), s1),
                S::add(S::fma(d2, S::splat(8.0), d1), m[5]),
                m[4],
                m[5],
            ]
        }
    }
    #[inline(always)]
    unsafe fn g<S: Simd>(w: V6<S>) -> V6<S> {
        unsafe {
            let s = S::mul(S::add(w[0], w[2]), S::splat(-1.0 / 6.0));
            let t = S::fma(w[2], S::splat(1.0 / 6.0), S::mul(w[0], S::splat(1.0 / 24.0)));
            let (six, tw) = (S::splat(1.0 / 6.0), S::splat(1.0 / 12.0));
            [
                S::mul(w[0], S::splat(0.25)),
                S::fnma(w[1], six, s),
                S::fma(w[1], six, s),
                S::fma(w[1], tw, t),
                S::fnma(w[1], tw, t),
                w[2],
            ]
        }
    }
    #[inline(always)]
    unsafe fn a<S: Simd>(y: V6<S>) -> V6<S> {
        unsafe {
            let four = S::splat(4.0);
            let (e, o) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
            let (f, p) = (S::fma(y[2], four, y[0]), S::mul(S::fma(y[3], four, y[1]), S::splat(2.0)));
            [y[0], S::add(e, o), S::sub(e, o), S::add(f, p), S::sub(f, p), y[3]]
        }
    }
    #[inline(always)]
    unsafe fn gt<S: Simd>(u: V6<S>) -> V6<S> {
        unsafe {
            let (s1, d1) = (S::add(u[1], u[2]), S::sub(u[2], u[1]));
            let (s2, d2) = (S::add(u[3], u[4]), S::sub(u[3], u[4]));
            let six = S::splat(1.0 / 6.0);
            [
                S::fma(u[0], S::splat(0.25), S::fnma(s1, six, S::mul(s2, S::splat(1.0 / 24.0)))),
                S::fma(d1, six, S::mul(d2, S::splat(1.0 / 12.0))),
                S::fma(S::sub(s2, s1), six, u[5]),
                u[3],
                u[4],
                u[5],
            ]
        }
    }
}

/// dst[i*T+j] (step `xs`) = (B^T d B)[i][j], d at `src` with row stride `rs` and unit pixels of L floats; with `OWN`
/// (A d A^T)[i][j] of the M x M pixels that are the tile's own.
#[inline(always)]
pub(super) unsafe fn input_tile<S: Simd, W: Tile, const OWN: bool>(
    src: *const f32,
    rs: usize,
    dst: *mut f32,
    xs: usize,
) {
    unsafe {
        if OWN {
            return input_rows::<S, W, true, false>(src, rs, dst, xs, W::T);
        }
        // All 36 values between the two passes are more than there are registers, and no two rows of the halves share a sum.
        input_rows::<S, W, false, false>(src, rs, dst, xs, W::T / 2);
        input_rows::<S, W, false, true>(src, rs, dst, xs, W::T / 2);
    }
}

/// The first `rows` rows of [`input_tile`]'s result, or the last.
#[inline(always)]
unsafe fn input_rows<S: Simd, W: Tile, const OWN: bool, const LAST: bool>(
    src: *const f32,
    rs: usize,
    dst: *mut f32,
    xs: usize,
    rows: usize,
) {
    unsafe {
        let z = S::zero();
        let n = if OWN { W::M } else { W::T };
        let top = if LAST { W::T - rows } else { 0 };
        let mut t = [[z; 6]; 6];
        for j in 0..n {
            let mut d = [z; 6];
            for i in 0..n {
                d[i] = S::load(src.add(i * rs + j * L));
            }
            let r = if OWN { W::a::<S>(d) } else { W::bt::<S>(d) };
            for i in 0..rows {
                t[i][j] = r[top + i];
            }
        }
        for i in 0..rows {
            let r = if OWN { W::a::<S>(t[i]) } else { W::bt::<S>(t[i]) };
            for j in 0..W::T {
                S::store(dst.add(((top + i) * W::T + j) * xs), r[j]);
            }
        }
    }
}

/// (A^T m A)[i][j] + bias for i < rows, j < cols, stored at `dst` with row stride `rs`.
#[inline(always)]
pub(super) unsafe fn output_tile<S: Simd, W: Tile>(
    src: *const f32,
    xs: usize,
    bias: S::V,
    dst: *mut f32,
    rs: usize,
    rows: usize,
    cols: usize,
) {
    unsafe {
        let z = S::zero();
        let mut t = [[z; 6]; 4];
        for j in 0..W::T {
            let mut d = [z; 6];
            for i in 0..W::T {
                d[i] = S::load(src.add((i * W::T + j) * xs));
            }
            let r = W::at::<S>(d);
            for i in 0..W::M {
                t[i][j] = r[i];
            }
        }
        for i in 0..W::M {
            let r = W::at::<S>(t[i]);
            if rows == W::M && cols == W::M {
                for j in 0..W::M {
                    S::store(dst.add(i * rs + j * L), S::add(r[j], bias));
                }
            } else {
                for j in 0..W::M {
                    if i < rows && j < cols {
                        S::store(dst.add(i * rs + j * L), S::add(r[j], bias));
                    }
                }
            }
        }
    }
}

/// dst[i*T+j] (step `xs`) = (G g G^T)[i][j] from nine tap vectors.
#[inline(always)]
pub(super) unsafe fn filter_tile<S: Simd, W: Tile>(g: &[S::V; 9], dst: *mut f32, xs: usize) {
    unsafe {
        let z = S::zero();
        let mut t = [[z; 6]; 6];
        for j in 0..3 {
            let r = W::g::<S>([g[j], g[3 + j], g[6 + j], z, z, z]);
            for i in 0..W::T {
                t[i][j] = r[i];
            }
        }
        for i in 0..W::T {
            let r = W::g::<S>(t[i]);
            for j in 0..W::T {
                S::store(dst.add((i * W::T + j) * xs), r[j]);
            }
        }
    }
}

/// Nine taps of G^T u G, u at `src` with step `xs`.
#[inline(always)]
pub(super) unsafe fn filter_grad_tile<S: Simd, W: Tile>(src: *const f32, xs: usize) -> [S::V; 9] {
    unsafe {
        let z = S::zero();
        let mut t = [[z; 6]; 3];
        for j in 0..W::T {
            let mut d = [z; 6];
            for i in 0..W::T {
                d[i] = S::load(src.add((i * W::T + j) * xs));
            }
            let r = W::gt::<S>(d);
            for i in 0..3 {
                t[i][j] = r[i];
            }
        }
        let mut o = [z; 9];
        for i in 0..3 {
            let r = W::gt::<S>(t[i]);
            o[3 * i..3 * i + 3].copy_from_slice(&r[..3]);
        }
        o
    }
}
