//! SiLU, sums of two slices, sums over pixels.

use super::isa::{Isa, isa_entry};
use super::scratch::Shared;
use super::simd::{L, Simd};
use super::sizes::{check_len, check_option, values};
use rayon::prelude::*;

/// Floats of a parallel task: a few microseconds of work.
pub(super) const TASK: usize = 16 * 1024;

struct Task {
    x: *const f32,
    /// Of the backward pass; null otherwise.
    dy: *const f32,
    y: *mut f32,
    n: usize,
}

#[inline(always)]
unsafe fn silu_task<S: Simd>(t: &Task) {
    unsafe {
        let one = S::splat(1.0);
        macro_rules! f {
            ($x:expr, $dy:expr) => {{
                let x = $x;
                let s = S::sigmoid(x);
                if t.dy.is_null() {
                    S::mul(x, s)
                } else {
                    let slope = S::fma(x, S::sub(one, s), one);
                    S::mul(S::mul($dy, s), slope)
                }
            }};
        }
        let mut i = 0;
        while i + L <= t.n {
            S::store(t.y.add(i), f!(S::load(t.x.add(i)), S::load(t.dy.add(i))));
            i += L;
        }
        if i < t.n {
            let m = t.n - i;
            let y = f!(S::load_n(t.x.add(i), m), S::load_n(t.dy.add(i), m));
            S::store_n(t.y.add(i), m, y);
        }
    }
}
isa_entry!(
    /// [`silu_task`].
    silu_isa [] = silu_task(Task)
);

fn run(isa: Isa, x: &[f32], dy: Option<&[f32]>, y: &mut [f32]) {
    check_len("silu", "the result", y.len(), x.len());
    check_option("silu", "dy", dy, x.len());
    let len = y.len();
    let (x, dy, y) = (Shared::read(x), dy.map(Shared::read), Shared::new(y));
    (0..len.div_ceil(TASK)).into_par_iter().for_each(|i| {
        let from = i * TASK;
        let task = Task {
            x: x.at(from),
            dy: dy.map_or(std::ptr::null(), |dy| dy.at(from).cast_const()),
            y: y.at(from),
            n: (len - from).min(TASK),
        };
        // SAFETY: the slices are of one length; tasks write disjoint ranges.
        unsafe { silu_isa(isa, &task) }
    });
}

/// `y = x · sigmoid(x)`.
///
/// # Panics
/// If the lengths differ.
pub fn silu(x: &[f32], y: &mut [f32]) {
    run(Isa::current(), x, None, y);
}

/// `dx = dy · s (1 + x (1 - s))` with `s = sigmoid(x)`.
///
/// # Panics
/// If the lengths differ.
pub fn silu_backward(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    run(Isa::current(), x, Some(dy), dx);
}

/// `sum += x`.
///
/// # Panics
/// If the lengths differ.
pub fn add(sum: &mut [f32], x: &[f32]) {
    check_len("add", "x", x.len(), sum.len());
    sum.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).with_max_len(1).for_each(|(sum, x)| {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    });
}

struct Sum {
    x: *const f32,
    n: usize,
    out: *mut f32,
}

#[inline(always)]
unsafe fn sum<S: Simd>(t: &Sum) {
    unsafe {
        let mut acc = [S::zero(); 4];
        let mut i = 0;
        while i + 4 * L <= t.n {
            for q in 0..4 {
                acc[q] = S::add(acc[q], S::load(t.x.add(i + q * L)));
            }
            i += 4 * L;
        }
        while i < t.n {
            let m = (t.n - i).min(L);
            acc[0] = S::add(acc[0], S::load_n(t.x.add(i), m));
            i += m;
        }
        *t.out = S::hsum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])));
    }
}
isa_entry!(
    /// [`sum`].
    sum_isa [] = sum(Sum)
);

/// Sums over the last axis: `x: [planes, pixels]`, `out: [planes]`.
///
/// # Panics
/// If `x` is not a whole number of values for every sum.
pub fn sum_pixels(x: &[f32], out: &mut [f32]) {
    sum_pixels_on(Isa::current(), x, out);
}

/// Panics unless `x` is so many planes.
#[track_caller]
pub(super) fn check_pixels(x: &[f32], planes: usize) {
    let whole = if planes == 0 { x.is_empty() } else { x.len().is_multiple_of(planes) };
    assert!(whole, "sum_pixels: {} values are not {planes} planes", x.len());
}

fn sum_pixels_on(isa: Isa, x: &[f32], out: &mut [f32]) {
    check_pixels(x, out.len());
    let pixels = x.len() / out.len().max(1);
    let x = Shared::read(x);
    out.par_iter_mut().with_min_len(TASK.div_ceil(pixels.max(1))).enumerate().for_each(|(i, out)| {
        // SAFETY: the lengths were checked.
        unsafe { sum_isa(isa, &Sum { x: x.at(i * pixels), n: pixels, out }) }
    });
}

/// Sums over images and pixels: `x: [n, c, pixels]`, `out: [c]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn sum_images(x: &[f32], n: usize, c: usize, out: &mut [f32]) {
    sum_images_on(Isa::current(), x, n, c, out);
}

/// [`sum_images`] with a given instruction set.
pub(super) fn sum_images_on(isa: Isa, x: &[f32], n: usize, c: usize, out: &mut [f32]) {
    check_len("sum_images", "the result", out.len(), c);
    let planes = values("sum_images", [n, c]);
    if x.is_empty() {
        return out.fill(0.0);
    }
    assert!(planes > 0 && x.len().is_multiple_of(planes), "sum_images: {} values are not {planes} planes", x.len());
    let mut sums = vec![0.0; planes];
    sum_pixels_on(isa, x, &mut sums);
    for (i, out) in out.iter_mut().enumerate() {
        *out = (0..n).map(|image| sums[image * c + i]).sum();
    }
}

/// Adds partial sums of `len` values each to the first, in order.
pub(super) fn add_parts(sums: &mut [f32], len: usize) -> &[f32] {
    /// Floats that are added up at a time.
    const FLOATS: usize = 1024;
    let (total, others) = sums.split_at_mut(len);
    total.par_chunks_mut(FLOATS).enumerate().for_each(|(i, total)| {
        for other in others.chunks_exact(len) {
            for (total, value) in total.iter_mut().zip(&other[i * FLOATS..]) {
                *total += value;
            }
        }
    });
    total
}
