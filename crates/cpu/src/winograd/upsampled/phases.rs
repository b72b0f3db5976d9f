//! Minimal filtering of an upsampled signal, in one dimension.
//!
//! A filter of three taps behind nearest upsampling is one of two taps for every second output:
//! `y[2i] = g₀ x[i-1] + (g₁+g₂) x[i]`, `y[2i+1] = (g₀+g₁) x[i] + g₂ x[i+1]`. As filters of three taps, `(g₀, g₁+g₂, 0)` and
//! `(0, g₀+g₁, g₂)`, both are F(2, 3) of the same transformed input, with the points 0, 1, -1 and infinity. The one is zero at
//! infinity, the other at 0, and at 1 both are the sum of all taps: five products for four outputs, where F(4, 3) of the upsampled
//! signal takes six and F(2, 3) eight.
//!
//! The input gradient is F(2, 2) of both phases of the output gradient, with the points 0, 1 and infinity, and their sum; at 1 one
//! factor serves both again.

use crate::simd::Simd;
use crate::winograd::tile::{F2, Tile};

/// A linear map of `A` values to `B`.
#[allow(clippy::missing_safety_doc)]
pub(super) trait Map<const A: usize, const B: usize> {
    unsafe fn map<S: Simd>(from: [S::V; A]) -> [S::V; B];
}

/// Inputs of a tile; there are twice as many outputs.
pub(super) const M: usize = 2;
/// Products.
pub(super) const N: usize = 2 * M + 1;
/// Points of the input gradient, and of the input for the weight gradient.
pub(super) const POINTS: usize = M + 1;
/// The point of [`F2`]'s transformed input that each product takes.
pub(super) const TAKEN: [usize; N] = [0, 1, 2, 2, 3];
/// The point of the input gradient that each product is added to.
pub(super) const ADDED_TO: [usize; N] = [0, 0, 1, 2, 2];

/// `g₁+g₂` and `g₀+g₁`.
#[inline(always)]
unsafe fn pairs<S: Simd>([g0, g1, g2]: [S::V; 3]) -> [S::V; 2] {
    unsafe { [S::add(g1, g2), S::add(g0, g1)] }
}

/// Factors of the products from taps.
pub(super) struct Factors;

impl Map<3, N> for Factors {
    #[inline(always)]
    unsafe fn map<S: Simd>(g: [S::V; 3]) -> [S::V; N] {
        unsafe {
            let ([g0, _, g2], [g12, g01]) = (g, pairs::<S>(g));
            let half = S::splat(0.5);
            let all = S::mul(S::add(g01, g2), half);
            [g0, all, S::mul(S::sub(g0, g12), half), S::mul(S::sub(g2, g01), half), g2]
        }
    }
}

/// Outputs from products.
pub(super) struct Outputs;

impl Map<N, { 2 * M }> for Outputs {
    #[inline(always)]
    unsafe fn map<S: Simd>(m: [S::V; N]) -> [S::V; 2 * M] {
        unsafe {
            let z = S::zero();
            let even = F2::at::<S>([m[0], m[1], m[2], z, z, z]);
            let odd = F2::at::<S>([z, m[1], m[3], m[4], z, z]);
            [even[0], odd[0], even[1], odd[1]]
        }
    }
}

/// Factors of the gradients' products from taps.
pub(super) struct GradientFactors;

impl Map<3, N> for GradientFactors {
    #[inline(always)]
    unsafe fn map<S: Simd>(g: [S::V; 3]) -> [S::V; N] {
        unsafe {
            let ([g0, _, g2], [g12, g01]) = (g, pairs::<S>(g));
            [g12, g2, S::add(g01, g2), g0, g01]
        }
    }
}

/// What these are multiplied by, from the gradients of a tile's outputs and one more on each side.
pub(super) struct OutputGradients;

impl Map<{ 2 * M + 2 }, N> for OutputGradients {
    #[inline(always)]
    unsafe fn map<S: Simd>(d: [S::V; 2 * M + 2]) -> [S::V; N] {
        unsafe { [S::sub(d[1], d[3]), S::sub(d[0], d[2]), S::add(d[2], d[3]), S::sub(d[5], d[3]), S::sub(d[4], d[2])] }
    }
}

/// Input gradients from their points.
pub(super) struct InputGradients;

impl Map<POINTS, M> for InputGradients {
    #[inline(always)]
    unsafe fn map<S: Simd>(m: [S::V; POINTS]) -> [S::V; M] {
        unsafe { [S::add(m[0], m[1]), S::add(m[1], m[2])] }
    }
}

/// Points of a tile's inputs: what [`OutputGradients`] are multiplied by for the gradients of [`GradientFactors`].
pub(super) struct Inputs;

impl Map<M, POINTS> for Inputs {
    #[inline(always)]
    unsafe fn map<S: Simd>(x: [S::V; M]) -> [S::V; POINTS] {
        unsafe { [x[0], S::add(x[0], x[1]), x[1]] }
    }
}

/// Gradients of the taps from those of [`GradientFactors`].
pub(super) struct TapGradients;

impl Map<N, 3> for TapGradients {
    #[inline(always)]
    unsafe fn map<S: Simd>([g12, g2, all, g0, g01]: [S::V; N]) -> [S::V; 3] {
        unsafe {
            let (left, right) = (S::add(g01, all), S::add(g12, all));
            [S::add(g0, left), S::add(g12, left), S::add(g2, right)]
        }
    }
}
