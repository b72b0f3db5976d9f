//! Adam in one pass over memory.

use super::elementwise::TASK;
use super::isa::{Isa, isa_entry};
use super::simd::{L, Simd};
use super::sizes::{check_len, check_option};
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
    /// The part of the parameter that is taken off with every update: `lr · weight_decay`.
    pub shrink: f32,
    /// The part of its distance to the parameter that the moving average goes: one minus its decay, rounded once.
    pub follow: f32,
}

/// A parameter, its gradient and what Adam remembers of it: slices of one length.
#[derive(Debug)]
pub struct AdamSlices<'a> {
    /// The gradient.
    pub grad: &'a [f32],
    /// The parameter.
    pub param: &'a mut [f32],
    /// First moment of the gradient.
    pub m: &'a mut [f32],
    /// Second moment of the gradient.
    pub v: &'a mut [f32],
    /// Moving average of the parameter, if there is one.
    pub ema: Option<&'a mut [f32]>,
}

impl<'a> AdamSlices<'a> {
    /// The same in blocks of [`TASK`] values; the last may be shorter.
    fn into_blocks(self) -> impl Iterator<Item = AdamSlices<'a>> {
        let mut ema = self.ema.map(|ema| ema.chunks_mut(TASK));
        let state = self.m.chunks_mut(TASK).zip(self.v.chunks_mut(TASK));
        let blocks = self.grad.chunks(TASK).zip(self.param.chunks_mut(TASK)).zip(state);
        blocks.map(move |((grad, param), (m, v))| {
            let ema = ema.as_mut().and_then(Iterator::next);
            AdamSlices { grad, param, m, v, ema }
        })
    }
}

struct Task<'a> {
    grad: *const f32,
    param: *mut f32,
    m: *mut f32,
    v: *mut f32,
    /// Null where there is no moving average.
    ema: *mut f32,
    n: usize,
    by: &'a AdamConstants,
}

#[inline(always)]
unsafe fn update<S: Simd>(t: &Task<'_>) {
    unsafe {
        let by = t.by;
        let (b1, c1) = (S::splat(by.beta_1), S::splat(by.one_minus_beta_1));
        let (b2, c2) = (S::splat(by.beta_2), S::splat(by.one_minus_beta_2));
        let (scale, shrink, step) = (S::splat(by.grad_scale), S::splat(by.shrink), S::splat(by.step_size));
        let (root, eps, follow) = (S::splat(by.root), S::splat(by.epsilon), S::splat(by.follow));
        let mut i = 0;
        macro_rules! lanes {
            // `n` where there are fewer than a vector holds
            ($load:ident, $store:ident $(, $n:expr)?) => {{
                let g = S::mul(S::$load(t.grad.add(i) $(, $n)?), scale);
                let m = S::fma(S::$load(t.m.add(i) $(, $n)?), b1, S::mul(g, c1));
                let v = S::fma(S::$load(t.v.add(i) $(, $n)?), b2, S::mul(S::mul(g, g), c2));
                let denominator = S::fma(S::sqrt(v), root, eps);
                let update = S::div(S::mul(m, step), denominator);
                // What is taken off is summed first: beside 1 it would be lost, as `1 - 1e-8` is 1.
                let old = S::$load(t.param.add(i) $(, $n)?);
                let p = S::sub(old, S::fma(old, shrink, update));
                S::$store(t.m.add(i) $(, $n)?, m);
                S::$store(t.v.add(i) $(, $n)?, v);
                S::$store(t.param.add(i) $(, $n)?, p);
                if !t.ema.is_null() {
                    // In this form the shares of both add up to exactly 1, whatever `follow` was rounded to.
                    let average = S::$load(t.ema.add(i) $(, $n)?);
                    S::$store(t.ema.add(i) $(, $n)?, S::fma(S::sub(p, average), follow, average));
                }
            }};
        }
        while i + L <= t.n {
            lanes!(load, store);
            i += L;
        }
        if i < t.n {
            lanes!(load_n, store_n, t.n - i);
        }
    }
}
isa_entry!(
    /// [`update`].
    update_isa [] = update(Task<'_>)
);

/// One update of every parameter in place, all in one parallel region. A parameter's update depends on its own values alone.
///
/// # Panics
/// If the lengths of a parameter's slices differ.
pub fn adam(by: &AdamConstants, params: Vec<AdamSlices<'_>>) {
    for AdamSlices { grad, param, m, v, ema } in &params {
        let len = param.len();
        check_len("adam", "the gradient", grad.len(), len);
        check_len("adam", "the first moment", m.len(), len);
        check_len("adam", "the second moment", v.len(), len);
        check_option("adam", "the average", ema.as_deref(), len);
    }
    let isa = Isa::current();
    let blocks: Vec<AdamSlices<'_>> = params.into_iter().flat_map(AdamSlices::into_blocks).collect();
    // Blocks differ in length: each is its own task.
    blocks.into_par_iter().with_max_len(1).for_each(|block| {
        let task = Task {
            grad: block.grad.as_ptr(),
            param: block.param.as_mut_ptr(),
            m: block.m.as_mut_ptr(),
            v: block.v.as_mut_ptr(),
            ema: block.ema.map_or(std::ptr::null_mut(), <[f32]>::as_mut_ptr),
            n: block.param.len(),
            by,
        };
        // SAFETY: the block's slices are of one length, and its own.
        unsafe { update_isa(isa, &task) }
    });
}
