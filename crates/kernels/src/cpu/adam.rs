//! Adam in one pass over memory, and the squared norm of a gradient.

use super::elementwise::TASK;
use super::isa::{Isa, isa_entry};
use super::scratch::Shared;
use super::simd::{L, Simd};
use rayon::prelude::*;

/// The constants of an update, ready for use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConstants {
    /// The gradient is multiplied by this first.
    pub grad_scale: f32,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// `1 - beta_1`, rounded once.
    pub one_minus_beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// `1 - beta_2`, rounded once.
    pub one_minus_beta_2: f32,
    /// Learning rate over the bias correction of the first moment.
    pub step_size: f32,
    /// `1 / sqrt` of the bias correction of the second moment.
    pub root: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// What the parameter is multiplied by first: `1 - lr · weight_decay`.
    pub keep: f32,
    /// Decay of the moving average.
    pub ema: f32,
    /// `1 - ema`, rounded once.
    pub one_minus_ema: f32,
}

struct Task {
    grad: *const f32,
    param: *mut f32,
    m: *mut f32,
    v: *mut f32,
    /// Null where there is no moving average.
    ema: *mut f32,
    n: usize,
    by: AdamConstants,
}

#[inline(always)]
unsafe fn update<S: Simd>(t: &Task) {
    unsafe {
        let by = &t.by;
        let (b1, c1) = (S::splat(by.beta_1), S::splat(by.one_minus_beta_1));
        let (b2, c2) = (S::splat(by.beta_2), S::splat(by.one_minus_beta_2));
        let (scale, keep, step) = (S::splat(by.grad_scale), S::splat(by.keep), S::splat(by.step_size));
        let (root, eps) = (S::splat(by.root), S::splat(by.epsilon));
        let (ema, one_minus_ema) = (S::splat(by.ema), S::splat(by.one_minus_ema));
        let mut i = 0;
        while i < t.n {
            let n = (t.n - i).min(L);
            let g = S::mul(S::load_n(t.grad.add(i), n), scale);
            let m = S::fma(S::load_n(t.m.add(i), n), b1, S::mul(g, c1));
            let v = S::fma(S::load_n(t.v.add(i), n), b2, S::mul(S::mul(g, g), c2));
            let denominator = S::fma(S::sqrt(v), root, eps);
            let update = S::div(S::mul(m, step), denominator);
            let p = S::sub(S::mul(S::load_n(t.param.add(i), n), keep), update);
            S::store_n(t.m.add(i), n, m);
            S::store_n(t.v.add(i), n, v);
            S::store_n(t.param.add(i), n, p);
            if !t.ema.is_null() {
                let average = S::fma(S::load_n(t.ema.add(i), n), ema, S::mul(p, one_minus_ema));
                S::store_n(t.ema.add(i), n, average);
            }
            i += n;
        }
    }
}
isa_entry!(
    /// [`update`].
    update_isa [] = update(Task)
);

/// One update of `param`, `m`, `v` and `ema` in place.
///
/// # Panics
/// If the lengths differ.
pub fn adam(
    by: &AdamConstants,
    grad: &[f32],
    param: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    ema: Option<&mut [f32]>,
) {
    let len = param.len();
    assert!(grad.len() == len && m.len() == len && v.len() == len);
    assert!(ema.as_ref().is_none_or(|ema| ema.len() == len));
    let isa = Isa::current();
    let grad = Shared::read(grad);
    let (param, m, v) = (Shared::new(param), Shared::new(m), Shared::new(v));
    let ema = ema.map(Shared::new);
    (0..len.div_ceil(TASK)).into_par_iter().for_each(|i| {
        let from = i * TASK;
        let task = Task {
            grad: grad.at(from),
            param: param.at(from),
            m: m.at(from),
            v: v.at(from),
            ema: ema.map_or(std::ptr::null_mut(), |ema| ema.at(from)),
            n: (len - from).min(TASK),
            by: *by,
        };
        // SAFETY: the slices are of one length; tasks write disjoint ranges.
        unsafe { update_isa(isa, &task) }
    });
}

/// `Σ x²`, in f64 from blocks of 16,384 values on: a function of the values alone, whatever the number of threads.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let block = |x: &[f32]| {
        let mut lanes = [0f64; 8];
        let chunks = x.chunks_exact(8);
        for value in chunks.remainder() {
            lanes[0] += f64::from(*value) * f64::from(*value);
        }
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        lanes.iter().sum::<f64>()
    };
    let blocks: Vec<f64> = x.par_chunks(TASK).map(block).collect();
    blocks.iter().sum()
}
