//! The weight gradient: `dw[k][c, tap] = Σ dy[k][pixel] · x[c][pixel + tap]`, 16 sums over pixels a value until the end.

use super::{pays, together};
use crate::conv::ahead::Ahead;
use crate::conv::sizes::Conv2d;
use crate::conv::strided::{Plan, pad};
use crate::elementwise::add_parts;
use crate::gemm::{Fetch, group_count, group_rows};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd, with_rows};
use rayon::prelude::*;

/// Tasks, if there are so many images.
const TASKS: usize = 16;

/// One image.
struct Task<'a> {
    plan: &'a Plan,
    c: usize,
    k: usize,
    x: *const f32,
    dy: *const f32,
    /// Scratch for some padded channels, with room for 16 floats more than they have, and for `dy` with zeros right of it.
    padded: *mut f32,
    wide: *mut f32,
    /// `[k][c][tap][16]`, added to.
    sums: *mut f32,
    next: [Fetch; 2],
}

/// Some taps of a channel.
struct Tile<'a> {
    offsets: &'a [usize],
    x: *const f32,
    pitch: usize,
    dy: *const f32,
    height: usize,
    apart: usize,
    sums: *mut f32,
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let mut offsets = [0; R];
        offsets.copy_from_slice(t.offsets);
        let mut acc = [S::zero(); R];
        for r in 0..R {
            acc[r] = S::load(t.sums.add(r * L));
        }
        for y in 0..t.height {
            ahead.ask::<S>(lines);
            let (x, dy) = (t.x.add(y * t.pitch), t.dy.add(y * t.apart));
            for p in (0..t.apart).step_by(L) {
                let d = S::load(dy.add(p));
                for r in 0..R {
                    acc[r] = S::fma(d, S::load(x.add(p + offsets[r])), acc[r]);
                }
            }
        }
        for r in 0..R {
            S::store(t.sums.add(r * L), acc[r]);
        }
    }
}

#[inline(always)]
unsafe fn some_taps<S: Simd>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        const ONE: usize = 1;
        with_rows!(t.offsets.len(), tile::<S, _, ONE>(t, ahead, lines))
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (plan, offsets) = (t.plan, &t.plan.phases[0].offsets);
        let (height, width, apart) = (plan.height, plan.width, plan.width.next_multiple_of(L));
        for row in 0..t.k * height {
            for x in (0..width).step_by(L) {
                S::store(t.wide.add(row * apart + x), S::load_n(t.dy.add(row * width + x), (width - x).min(L)));
            }
        }
        let units = [0, plan.units];
        let (plane, together) = (plan.padded(1, units), together(plan, units));
        let groups = group_count(offsets.len(), S::ROWS);
        let mut ahead = Ahead::new(t.next);
        let lines = ahead.lines().div_ceil(t.c * t.k * groups * height);
        for c0 in (0..t.c).step_by(together) {
            let channels = (t.c - c0).min(together);
            pad::<S>(plan, channels, units, t.x.add(c0 * plan.rows * plan.columns), t.padded);
            for c in 0..channels {
                for k in 0..t.k {
                    for i in 0..groups {
                        let (t0, t1) = group_rows(offsets.len(), groups, i);
                        let tile = Tile {
                            offsets: &offsets[t0..t1],
                            x: t.padded.add(c * plane),
                            pitch: plan.pitch,
                            dy: t.wide.add(k * height * apart),
                            height,
                            apart,
                            sums: t.sums.add(((k * t.c + c0 + c) * offsets.len() + t0) * L),
                        };
                        some_taps::<S>(&tile, &mut ahead, lines);
                    }
                }
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// `dw` of [`conv2d_backward_weight`](crate::conv2d_backward_weight); false, without effect, where that would not pay.
pub(in crate::conv) fn backward_weight(isa: Isa, s: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) -> bool {
    if !pays(s) {
        return false;
    }
    assert!(x.len() == s.input_len() && dy.len() == s.output_len() && dw.len() == s.weight_len());
    let plan = Plan::forward(s);
    let tasks = s.n.min(TASKS);
    let units = [0, plan.units];
    let padded = (together(&plan, units).min(s.c) * plan.padded(1, units) + L).next_multiple_of(L);
    let wide = s.k * plan.height * plan.width.next_multiple_of(L);
    let (input, output) = (s.c * s.h * s.w, s.k * plan.height * plan.width);
    let (x, dy) = (Shared::read(x), Shared::read(dy));
    with(tasks * dw.len() * L, |sums| {
        let shared = Shared::new(sums);
        (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let sums = shared.at(task * dw.len() * L);
            // SAFETY: these sums are this task's own.
            unsafe { std::slice::from_raw_parts_mut(sums, dw.len() * L) }.fill(0.0);
            with(padded + wide, |scratch| {
                let (padded, wide) = scratch.split_at_mut(padded);
                padded.fill(0.0);
                for image in s.n * task / tasks..s.n * (task + 1) / tasks {
                    // The task after this one most likely begins where this one ends.
                    let rows = usize::from(image + 1 < s.n);
                    let next =
                        |values: Shared, len: usize| Fetch { at: values.at((image + 1) * len), rows, rs: len, len };
                    let task = Task {
                        plan: &plan,
                        c: s.c,
                        k: s.k,
                        x: x.at(image * input),
                        dy: dy.at(image * output),
                        padded: padded.as_mut_ptr(),
                        wide: wide.as_mut_ptr(),
                        sums,
                        next: [next(dy, output), next(x, input)],
                    };
                    // SAFETY: the lengths were checked; the scratch is as long as the plan wants it; the sums are the task's own.
                    unsafe { task_isa(isa, &task) }
                }
            });
        });
        let total = add_parts(sums, dw.len() * L);
        for (dw, lanes) in dw.iter_mut().zip(total.chunks_exact(L)) {
            *dw = lanes.iter().sum();
        }
    });
    true
}
