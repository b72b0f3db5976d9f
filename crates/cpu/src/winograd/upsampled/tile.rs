//! Tiles of 2×2 pixels of an image, 4×4 of the upsampled one: the maps of one dimension applied to columns, then to rows.

use super::phases::{
    ADDED_TO, Factors, GradientFactors, InputGradients, Inputs, M, Map, N, OutputGradients, Outputs, POINTS, TAKEN,
    TapGradients,
};
use crate::simd::{L, Simd};
use crate::winograd::tile::{F2, FromProducts, Patch, Taps};

/// The map of columns: values `(i, j)` at `src + i rs + j cs`.
#[inline(always)]
unsafe fn columns<S: Simd, F: Map<A, B>, const A: usize, const B: usize>(
    src: *const f32,
    rs: usize,
    cs: usize,
) -> [[S::V; A]; B] {
    unsafe {
        let mut t = [[S::zero(); A]; B];
        for j in 0..A {
            let mut column = [S::zero(); A];
            for i in 0..A {
                column[i] = S::load(src.add(i * rs + j * cs));
            }
            let r = F::map::<S>(column);
            for i in 0..B {
                t[i][j] = r[i];
            }
        }
        t
    }
}

/// The map of columns and rows, to `dst` with step `step`.
#[inline(always)]
unsafe fn both<S: Simd, F: Map<A, B>, const A: usize, const B: usize>(
    src: *const f32,
    [rs, cs]: [usize; 2],
    dst: *mut f32,
    step: usize,
) {
    unsafe {
        let t = columns::<S, F, A, B>(src, rs, cs);
        for i in 0..B {
            let r = F::map::<S>(t[i]);
            for j in 0..B {
                S::store(dst.add((i * B + j) * step), r[j]);
            }
        }
    }
}

/// The output's gradients: 4×4 pixels and those around them, to 5×5 points.
#[derive(Clone, Copy)]
pub(super) struct Output;

impl Patch for Output {
    const M: usize = 2 * M;
    const X: usize = N * N;
    #[inline(always)]
    unsafe fn points<S: Simd, const OWN: bool>(src: *const f32, rs: usize, dst: *mut f32, xs: usize) {
        unsafe { both::<S, OutputGradients, { 2 * M + 2 }, N>(src, [rs, L], dst, xs) }
    }
}

/// The input's own 2×2 pixels, to 3×3 points.
#[derive(Clone, Copy)]
pub(super) struct Input;

impl Patch for Input {
    const M: usize = M;
    const X: usize = POINTS * POINTS;
    #[inline(always)]
    unsafe fn points<S: Simd, const OWN: bool>(src: *const f32, rs: usize, dst: *mut f32, xs: usize) {
        unsafe { both::<S, Inputs, M, POINTS>(src, [rs, L], dst, xs) }
    }
}

/// Filters of the forward pass.
#[derive(Clone, Copy)]
pub(super) struct ForwardTaps;

impl Taps for ForwardTaps {
    const X: usize = N * N;
    #[inline(always)]
    unsafe fn products<S: Simd>(g: &[S::V; 9], dst: *mut f32, xs: usize) {
        unsafe { both::<S, Factors, 3, N>(g.as_ptr().cast(), [3 * L, L], dst, xs) }
    }
}

/// Filters of the gradients; their taps come and go turned by half.
#[derive(Clone, Copy)]
pub(super) struct GradientTaps;

impl Taps for GradientTaps {
    const X: usize = N * N;
    #[inline(always)]
    unsafe fn products<S: Simd>(g: &[S::V; 9], dst: *mut f32, xs: usize) {
        unsafe {
            let g = turned::<S>(g);
            both::<S, GradientFactors, 3, N>(g.as_ptr().cast(), [3 * L, L], dst, xs);
        }
    }
}

impl FromProducts for GradientTaps {
    #[inline(always)]
    unsafe fn taps<S: Simd>(src: *const f32, xs: usize) -> [S::V; 9] {
        unsafe {
            let mut g = [S::zero(); 9];
            both::<S, TapGradients, N, 3>(src, [N * xs, xs], g.as_mut_ptr().cast(), L);
            turned::<S>(&g)
        }
    }
}

#[inline(always)]
unsafe fn turned<S: Simd>(g: &[S::V; 9]) -> [S::V; 9] {
    [g[8], g[7], g[6], g[5], g[4], g[3], g[2], g[1], g[0]]
}

/// The sums of a tile's products, and where its results go.
pub(super) struct Sums<V> {
    pub(super) src: *const f32,
    /// Floats from one sum to the next.
    pub(super) xs: usize,
    /// What is added to the results.
    pub(super) bias: V,
    pub(super) dst: *mut f32,
    /// Floats from one row of them to the next.
    pub(super) rs: usize,
    /// Rows and columns that there are.
    pub(super) limits: (usize, usize),
}

/// What is computed of tiles: which products, and what becomes of them.
#[allow(clippy::missing_safety_doc)]
pub(super) trait Pass: Copy + Send + Sync + 'static {
    /// What is transformed.
    type From: Patch;
    /// What results.
    type To: Patch;
    /// Sums of products.
    const SUMS: usize;
    /// Point that product `(i, j)` takes, sum that it is added to, and whether it is the first of this sum.
    fn product(i: usize, j: usize) -> (usize, usize, bool);
    /// The results of a tile.
    unsafe fn results<S: Simd>(t: &Sums<S::V>);
}

/// The forward pass.
#[derive(Clone, Copy)]
pub(super) struct Forward;

impl Pass for Forward {
    type From = F2;
    type To = Output;
    const SUMS: usize = N * N;
    #[inline(always)]
    fn product(i: usize, j: usize) -> (usize, usize, bool) {
        (TAKEN[i] * (M + 2) + TAKEN[j], i * N + j, true)
    }
    #[inline(always)]
    unsafe fn results<S: Simd>(t: &Sums<S::V>) {
        unsafe { results::<S, Outputs, N, { 2 * M }>(t) }
    }
}

/// The input gradient.
#[derive(Clone, Copy)]
pub(super) struct InputGradient;

impl Pass for InputGradient {
    type From = Output;
    type To = Input;
    const SUMS: usize = POINTS * POINTS;
    #[inline(always)]
    fn product(i: usize, j: usize) -> (usize, usize, bool) {
        let first = |i: usize| i == 0 || ADDED_TO[i - 1] != ADDED_TO[i];
        (i * N + j, point(i * N + j), first(i) && first(j))
    }
    #[inline(always)]
    unsafe fn results<S: Simd>(t: &Sums<S::V>) {
        unsafe { results::<S, InputGradients, POINTS, M>(t) }
    }
}

/// The point of the input that product `x` of the gradients belongs to.
#[inline(always)]
pub(super) fn point(x: usize) -> usize {
    ADDED_TO[x / N] * POINTS + ADDED_TO[x % N]
}

#[inline(always)]
unsafe fn results<S: Simd, F: Map<A, B>, const A: usize, const B: usize>(t: &Sums<S::V>) {
    unsafe {
        let rows = columns::<S, F, A, B>(t.src, A * t.xs, t.xs);
        for i in 0..B {
            let r = F::map::<S>(rows[i]);
            for j in 0..B {
                if i < t.limits.0 && j < t.limits.1 {
                    S::store(t.dst.add(i * t.rs + j * L), S::add(r[j], t.bias));
                }
            }
        }
    }
}
