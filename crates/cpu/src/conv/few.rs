//! Convolutions to few channels, with a stride of 1, and their weight gradients: 16 pixels of a row are a vector. Taps read the
//! input with zeros around it, a few channels at a time, while the nearest cache holds them.

mod weight;

pub(super) use weight::backward_weight;

use super::ahead::Ahead;
use super::sizes::Conv2d;
use super::strided::{Plan, pad};
use crate::gemm::{Fetch, group_count, group_rows};
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd, with_rows};
use rayon::prelude::*;

/// Output channels, at most.
const CHANNELS: usize = 2;
/// Floats of padded input that are read at a time: half an L1 cache.
const BLOCK: usize = 6 * 1024;

/// Whether this is faster than Winograd's algorithm and a product of lowered pixels.
pub(super) fn pays(s: &Conv2d) -> bool {
    s.stride == 1 && s.side > 1 && s.k <= CHANNELS && s.c > CHANNELS && s.output_len() > 0
}

/// Input channels that are read at a time.
fn together(plan: &Plan, units: [usize; 2]) -> usize {
    (BLOCK / plan.padded(1, units)).max(1)
}

struct Task<'a> {
    plan: &'a Plan,
    c: usize,
    k: usize,
    /// Rows of the output, from and up to.
    units: [usize; 2],
    x: *const f32,
    /// Scratch for some padded channels, with room for 16 floats more than they have, and for the output, `[k][row][pitch]`.
    padded: *mut f32,
    buffer: *mut f32,
    /// `[k][c][tap]`
    weight: *const f32,
    /// Null, or one value an output channel.
    bias: *const f32,
    /// Null, or what is added to the image.
    add: *const f32,
    y: *mut f32,
    next: [Fetch; 1],
}

/// Up to `S::ROWS` rows of 16 pixels of an output channel.
struct Tile<'a> {
    offsets: &'a [usize],
    x: *const f32,
    pitch: usize,
    /// Floats from one input channel to the next.
    plane: usize,
    channels: usize,
    weight: *const f32,
    out: *mut f32,
    apart: usize,
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let mut acc = [S::zero(); R];
        for r in 0..R {
            acc[r] = S::load(t.out.add(r * t.apart));
        }
        let (mut x, mut weight) = (t.x, t.weight);
        for _ in 0..t.channels {
            ahead.ask::<S>(lines);
            for &offset in t.offsets {
                let (at, w) = (x.add(offset), S::splat(*weight));
                for r in 0..R {
                    acc[r] = S::fma(w, S::load(at.add(r * t.pitch)), acc[r]);
                }
                weight = weight.add(1);
            }
            x = x.add(t.plane);
        }
        for r in 0..R {
            S::store(t.out.add(r * t.apart), acc[r]);
        }
    }
}

#[inline(always)]
unsafe fn rows<S: Simd>(r: usize, t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        const ONE: usize = 1;
        with_rows!(r, tile::<S, _, ONE>(t, ahead, lines))
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (plan, [from, to]) = (t.plan, t.units);
        let (height, width, apart) = (to - from, plan.width, plan.width.next_multiple_of(L));
        let (offsets, plane) = (&plan.phases[0].offsets, plan.padded(1, t.units));
        let (together, groups) = (together(plan, t.units), group_count(height, S::ROWS));
        let mut ahead = Ahead::new(t.next);
        let lines = ahead.lines().div_ceil(t.c * t.k * groups * (apart / L));
        for i in (0..t.k * height * apart).step_by(L) {
            S::store(t.buffer.add(i), S::zero());
        }
        for c0 in (0..t.c).step_by(together) {
            let channels = (t.c - c0).min(together);
            pad::<S>(plan, channels, t.units, t.x.add(c0 * plan.rows * plan.columns), t.padded);
            for k in 0..t.k {
                for i in 0..groups {
                    let (y0, y1) = group_rows(height, groups, i);
                    for x0 in (0..width).step_by(L) {
                        let tile = Tile {
                            offsets,
                            x: t.padded.add(y0 * plan.pitch + x0),
                            pitch: plan.pitch,
                            plane,
                            channels,
                            weight: t.weight.add((k * t.c + c0) * offsets.len()),
                            out: t.buffer.add((k * height + y0) * apart + x0),
                            apart,
                        };
                        rows::<S>(y1 - y0, &tile, &mut ahead, lines);
                    }
                }
            }
        }
        for k in 0..t.k {
            let bias = S::splat(if t.bias.is_null() { 0.0 } else { *t.bias.add(k) });
            for y in 0..height {
                for x in (0..width).step_by(L) {
                    let (n, at) = ((width - x).min(L), (k * plan.height + from + y) * width + x);
                    let mut v = S::add(S::load(t.buffer.add((k * height + y) * apart + x)), bias);
                    if !t.add.is_null() {
                        v = S::add(v, S::load_n(t.add.add(at), n));
                    }
                    S::store_n(t.y.add(at), n, v);
                }
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// [`conv2d`](super::conv2d); false, without effect, where that would not pay.
pub(super) fn forward(
    isa: Isa,
    s: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    add: Option<&[f32]>,
    y: &mut [f32],
) -> bool {
    if !pays(s) {
        return false;
    }
    assert!(x.len() == s.input_len() && weight.len() == s.weight_len() && y.len() == s.output_len());
    assert!(bias.is_none_or(|bias| bias.len() == s.k) && add.is_none_or(|add| add.len() == y.len()));
    let plan = Plan::forward(s);
    // Every value is computed by itself, so the cut may depend on the number of threads.
    let parts = (2 * rayon::current_num_threads()).div_ceil(s.n).min(plan.units);
    let (input, output) = (s.c * s.h * s.w, s.k * plan.height * plan.width);
    let (x, weight, y) = (Shared::read(x), Shared::read(weight), Shared::new(y));
    let (bias, add) = (Shared::read_option(bias), add.map(Shared::read));
    (0..s.n * parts).into_par_iter().with_max_len(1).for_each(|i| {
        let (image, part) = (i / parts, i % parts);
        let units = [plan.units * part / parts, plan.units * (part + 1) / parts];
        let padded = (together(&plan, units).min(s.c) * plan.padded(1, units) + L).next_multiple_of(L);
        // The task after this one most likely follows on the same thread.
        let ahead = usize::from(image + 1 < s.n && part + 1 == parts);
        with(padded + s.k * (units[1] - units[0]) * plan.width.next_multiple_of(L), |scratch| {
            let (padded, buffer) = scratch.split_at_mut(padded);
            let task = Task {
                plan: &plan,
                c: s.c,
                k: s.k,
                units,
                x: x.at(image * input),
                padded: padded.as_mut_ptr(),
                buffer: buffer.as_mut_ptr(),
                weight: weight.at(0),
                bias: bias.at(0),
                add: add.map_or(std::ptr::null(), |add| add.at(image * output).cast_const()),
                y: y.at(image * output),
                next: [Fetch { at: x.at((image + 1) * input), rows: ahead, rs: input, len: input }],
            };
            // SAFETY: the lengths were checked; the scratch is as long as the plan wants it; tasks write disjoint rows.
            unsafe { task_isa(isa, &task) }
        });
    });
    true
}
