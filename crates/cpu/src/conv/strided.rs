//! Strided convolutions with a small weight, and their input gradients: 16 output channels are a vector, and one input value
//! at a time is multiplied with their weights. Values are read wherever a tap finds them, so that nothing is gathered; the
//! input is only copied with zeros around it.
//!
//! The input gradient is as many convolutions of `dy` as there are remainders of a row and column divided by the stride:
//! pixels that leave the same ones see the same taps.

mod plan;
mod task;
mod weight;

pub(super) use plan::Plan;
pub(super) use task::pad;
pub(super) use weight::backward_weight;

use super::sizes::Conv2d;
use crate::gemm::{Fetch, PANEL, Turn, turn};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use rayon::prelude::*;
use task::{Task, task_isa};

/// The stride that the inner loops are compiled for.
const STRIDE: usize = 2;
/// Floats of a weight, and of the input of an image, at most: both stay in an L2 cache.
const SMALL: usize = 64 * 1024;

/// Whether this is faster than a product of lowered pixels.
fn pays(s: &Conv2d) -> bool {
    let small = s.weight_len() <= SMALL && s.c * s.h * s.w <= SMALL;
    s.stride == STRIDE && small && s.output_len() > 0 && s.weight_len() > 0
}

/// The weights of 32 output channels: `[channel][tap][32]`, what is past the last one arbitrary.
type Panel<'a> = &'a mut [f32];

/// [`conv2d`](super::conv2d); false, without effect, where that would not pay.
pub(super) fn forward(
    isa: Isa,
    s: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) -> bool {
    if !pays(s) {
        return false;
    }
    assert!(x.len() == s.input_len() && weight.len() == s.weight_len() && y.len() == s.output_len());
    let plan = Plan::forward(s);
    let depth = s.c * s.side * s.side;
    let fill = |panel: usize, weights: Panel| {
        let (src, rows) = (weight[panel * PANEL * depth..].as_ptr(), (s.k - panel * PANEL).min(PANEL));
        let dst = weights.as_mut_ptr();
        // SAFETY: `weight` has so many rows of `depth` floats; a panel has `depth` rows of 32.
        unsafe { turn(isa, &Turn { src, src_rs: depth, rows, columns: depth, dst, dst_rs: PANEL }) };
    };
    run(isa, &plan, [s.n, s.c, s.k], x, fill, bias, residual, y);
    true
}

/// [`conv2d_backward_input`](super::conv2d_backward_input); false, without effect, where that would not pay.
pub(super) fn backward_input(
    isa: Isa,
    s: &Conv2d,
    dy: &[f32],
    weight: &[f32],
    add: Option<&[f32]>,
    dx: &mut [f32],
) -> bool {
    if !pays(s) || dx.is_empty() {
        return false;
    }
    assert!(dy.len() == s.output_len() && weight.len() == s.weight_len() && dx.len() == s.input_len());
    let plan = Plan::backward_input(s);
    let area = s.side * s.side;
    let fill = |panel: usize, weights: Panel| {
        let c0 = panel * PANEL;
        let mut rest = weights;
        for phase in &plan.phases {
            for weight in weight.chunks_exact(s.c * area) {
                for &tap in &phase.used {
                    let (lanes, after) = rest.split_at_mut(PANEL);
                    for (lane, weight) in lanes.iter_mut().zip(weight[c0 * area + tap..].iter().step_by(area)) {
                        *lane = *weight;
                    }
                    rest = after;
                }
            }
        }
    };
    run(isa, &plan, [s.n, s.k, s.c], dy, fill, None, add, dx);
    true
}

/// Computes `y: [n, k, plan.height, plan.width]` from `x: [n, c, plan.rows, plan.columns]`. `fill` writes the weights of a
/// panel, those of a phase after those of the one before.
#[allow(clippy::too_many_arguments)] // operands of one operation
fn run(
    isa: Isa,
    plan: &Plan,
    [n, c, k]: [usize; 3],
    x: &[f32],
    fill: impl Fn(usize, Panel),
    bias: Option<&[f32]>,
    add: Option<&[f32]>,
    y: &mut [f32],
) {
    let pixels = plan.height * plan.width;
    assert!(bias.is_none_or(|bias| bias.len() == k) && add.is_none_or(|add| add.len() == y.len()));
    let panels = k.div_ceil(PANEL);
    let panel = c * plan.taps() * PANEL;
    with(panels * (panel + PANEL), |scratch| {
        let (weights, biases) = scratch.split_at_mut(panels * panel);
        for (i, weights) in weights.chunks_exact_mut(panel).enumerate() {
            fill(i, weights);
        }
        biases.fill(0.0);
        if let Some(bias) = bias {
            biases[..k].copy_from_slice(bias);
        }
        // Every value is computed by itself, so the cut may depend on the number of threads.
        let parts = (2 * rayon::current_num_threads()).div_ceil(n).min(plan.units);
        let (weights, biases) = (Shared::read(weights), Shared::read(biases));
        let (x, y, add) = (Shared::read(x), Shared::new(y), add.map(Shared::read));
        (0..n * parts).into_par_iter().with_max_len(1).for_each(|i| {
            let (image, part) = (i / parts, i % parts);
            let units = [plan.units * part / parts, plan.units * (part + 1) / parts];
            let (from, len) = (image * c * plan.rows * plan.columns, c * plan.rows * plan.columns);
            let at = image * k * pixels;
            // The task after this one most likely follows on the same thread.
            let ahead = image + 1 < n && part + 1 == parts;
            let whole = |at: *const f32, len: usize| Fetch { at, rows: usize::from(ahead), rs: len, len };
            with(plan.padded(c, units) + plan.buffer(units), |scratch| {
                let (padded, buffer) = scratch.split_at_mut(plan.padded(c, units));
                let task = Task {
                    plan,
                    c,
                    k,
                    units,
                    x: x.at(from),
                    padded: padded.as_mut_ptr(),
                    buffer: buffer.as_mut_ptr(),
                    weights: weights.at(0),
                    biases: biases.at(0),
                    add: add.map_or(std::ptr::null(), |add| add.at(at).cast_const()),
                    y: y.at(at),
                    next: [whole(x.at(from + len), len), whole(y.at(at + k * pixels), k * pixels)],
                };
                // SAFETY: the lengths were checked; the scratch is as long as the plan wants it; tasks write disjoint rows.
                unsafe { task_isa(isa, &task) }
            });
        });
    });
}
