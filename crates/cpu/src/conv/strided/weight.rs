//! The weight gradient: `dw[k][c, tap] = Σ dy[k][pixel] · x[c][pixel + tap]`. Output channels are turned to vectors; the rows of
//! the product are the taps of an input channel, which all read the same padded pixels.

use super::plan::Plan;
use super::task::pad;
use crate::conv::ahead::Ahead;
use crate::conv::sizes::Conv2d;
use crate::elementwise::add_parts;
use crate::gemm::{Fetch, PANEL, Turn, group_count, group_rows, store_sums, turn};
use crate::isa::{Isa, isa_entry};
use crate::panel::PanelMut;
use crate::scratch::{Shared, with};
use crate::simd::{L, Simd, with_rows};
use rayon::prelude::*;

/// Pixels that are summed at a time, about: 32 channels of them are half an L1 cache.
const CHUNK: usize = 200;
/// Tasks, if there are so many chunks.
const TASKS: usize = 16;

/// Some images.
struct Task<'a> {
    plan: &'a Plan,
    c: usize,
    k: usize,
    images: usize,
    x: *const f32,
    /// Scratch for the padded channels of all images.
    padded: *mut f32,
    /// `[k / 32][pixel][32]`
    panels: *const f32,
    /// `[c][tap][k rounded up to 32]`
    sums: *mut f32,
    /// Whether there is nothing yet to add to.
    first: bool,
    next: [Fetch; 2],
}

/// Some taps of a channel.
struct Tile<'a> {
    offsets: &'a [usize],
    /// The padded channel, floats from one row of pixels to the next, and from one image to the next.
    x: *const f32,
    jump: usize,
    image: usize,
    images: usize,
    height: usize,
    width: usize,
    panel: *const f32,
    out: *mut f32,
    cs: usize,
    first: bool,
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let mut offsets = [0; R];
        offsets.copy_from_slice(t.offsets);
        let mut acc = [[S::zero(); NV]; R];
        let mut b = t.panel;
        for image in 0..t.images {
            for y in 0..t.height {
                ahead.ask::<S>(lines);
                let mut x = t.x.add(image * t.image + y * t.jump);
                for _ in 0..t.width {
                    let mut bv = [S::zero(); NV];
                    for v in 0..NV {
                        bv[v] = S::load(b.add(v * L));
                    }
                    for r in 0..R {
                        let x = S::splat(*x.add(offsets[r]));
                        for v in 0..NV {
                            acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                        }
                    }
                    x = x.add(super::STRIDE);
                    b = b.wrapping_add(PANEL);
                }
            }
        }
        store_sums::<S, R, NV>(acc, t.out, t.cs, !t.first);
    }
}

#[inline(always)]
unsafe fn some_taps<S: Simd, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { with_rows!(t.offsets.len(), tile::<S, _, NV>(t, ahead, lines)) }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (plan, phase) = (t.plan, &t.plan.phases[0]);
        let (taps, units) = (phase.offsets.len(), [0, plan.units]);
        let (plane, image) = (plan.padded_rows(units) * plan.pitch, plan.padded(t.c, units));
        for i in 0..t.images {
            let x = t.x.add(i * t.c * plan.rows * plan.columns);
            pad::<S>(plan, t.c, units, x, t.padded.add(i * image));
        }
        let cs = t.k.next_multiple_of(PANEL);
        let step = if S::WIDE { PANEL } else { L };
        let groups = group_count(taps, S::ROWS);
        let mut ahead = Ahead::new(t.next);
        let lines = ahead.lines().div_ceil(t.c * groups * (cs / step) * t.images * phase.height);
        for column in (0..cs).step_by(step) {
            let panel = t.panels.add(column / PANEL * t.images * phase.height * phase.width * PANEL + column % PANEL);
            for c in 0..t.c {
                for i in 0..groups {
                    let (t0, t1) = group_rows(taps, groups, i);
                    let tile = Tile {
                        offsets: &phase.offsets[t0..t1],
                        x: t.padded.add(c * plane),
                        jump: super::STRIDE * plan.pitch,
                        image,
                        images: t.images,
                        height: phase.height,
                        width: phase.width,
                        panel,
                        out: t.sums.add((c * taps + t0) * cs + column),
                        cs,
                        first: t.first,
                    };
                    if S::WIDE {
                        some_taps::<S, 2>(&tile, &mut ahead, lines);
                    } else {
                        some_taps::<S, 1>(&tile, &mut ahead, lines);
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

/// Operands, and how the images are cut.
struct Work<'a> {
    isa: Isa,
    s: &'a Conv2d,
    plan: Plan,
    x: Shared,
    dy: Shared,
    /// Images of a chunk, and chunks.
    images: usize,
    chunks: usize,
}

impl Work<'_> {
    /// Columns of the sums: output channels in whole panels.
    fn columns(&self) -> usize {
        self.s.k.next_multiple_of(PANEL)
    }

    /// Adds up chunks `from..to` into `sums`, `[c][tap][columns]`.
    ///
    /// # Safety
    /// The lengths must fit, and nobody else may touch the sums.
    unsafe fn run(&self, (from, to): (usize, usize), sums: PanelMut) {
        let Self { isa, s, ref plan, .. } = *self;
        let (pixels, padded_len) = (plan.height * plan.width, self.images * plan.padded(s.c, [0, plan.units]));
        let (input, output) = (s.c * s.h * s.w, s.k * pixels);
        debug_assert!(sums.holds(s.c * s.side * s.side, self.columns()));
        with(padded_len + self.images * pixels * self.columns(), |scratch| {
            let (padded, panels) = scratch.split_at_mut(padded_len);
            let panels = PanelMut::new(panels, PANEL);
            for i in from..to {
                let first = i * self.images;
                let count = (s.n - first).min(self.images);
                // SAFETY: the caller's contract; there is room for so many images.
                unsafe { self.turn(first, count, panels) };
                // The task after this one most likely begins where this one ends.
                let next = (first + count)..(first + 2 * count).min(s.n);
                let ahead = |values: Shared, len: usize| Fetch {
                    at: values.at(next.start * len),
                    rows: next.len(),
                    rs: len,
                    len,
                };
                let task = Task {
                    plan,
                    c: s.c,
                    k: s.k,
                    images: count,
                    x: self.x.at(first * input),
                    padded: padded.as_mut_ptr(),
                    panels: panels.at(0),
                    sums: sums.at(0),
                    first: i == from,
                    next: [ahead(self.dy, output), ahead(self.x, input)],
                };
                // SAFETY: the caller's contract; the padded pixels are as long as the plan wants them for so many images, and the panels
                // are written.
                unsafe { task_isa(isa, &task) }
            }
        });
    }

    /// `dy` of `count` images from `first` on to panels `[k / 32][image][pixel][32]`.
    ///
    /// # Safety
    /// The images must be there, and nobody else may touch the panels.
    unsafe fn turn(&self, first: usize, count: usize, panels: PanelMut) {
        let Self { isa, s, ref plan, dy, .. } = *self;
        let pixels = plan.height * plan.width;
        for (image, k0) in (0..count).flat_map(|image| (0..s.k).step_by(PANEL).map(move |k0| (image, k0))) {
            let to = panels.from((k0 / PANEL * count + image) * pixels);
            debug_assert!(to.holds(pixels, PANEL));
            let turning = Turn {
                src: dy.at(((first + image) * s.k + k0) * pixels),
                src_rs: pixels,
                rows: (s.k - k0).min(PANEL),
                columns: pixels,
                dst: to.at(0),
                dst_rs: PANEL,
            };
            // SAFETY: the caller's contract; an image has so many channels and pixels, and the panels have 32 floats for each pixel.
            unsafe { turn(isa, &turning) };
        }
    }
}

/// `dw` of [`conv2d_backward_weight`](crate::conv2d_backward_weight); false, without effect, where that would not pay.
pub(in crate::conv) fn backward_weight(isa: Isa, s: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) -> bool {
    if !super::pays(s) {
        return false;
    }
    assert!(x.len() == s.input_len() && dy.len() == s.output_len() && dw.len() == s.weight_len());
    let plan = Plan::forward(s);
    let images = (CHUNK / (plan.height * plan.width)).clamp(1, s.n);
    let chunks = s.n.div_ceil(images);
    let tasks = chunks.min(TASKS);
    let work = Work { isa, s, plan, x: Shared::read(x), dy: Shared::read(dy), images, chunks };
    let (depth, cs) = (s.c * s.side * s.side, work.columns());
    let partial = depth * cs;
    with(tasks * partial, |sums| {
        let shared = Shared::new(sums);
        (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let range = (work.chunks * task / tasks, work.chunks * (task + 1) / tasks);
            // SAFETY: the lengths were checked; every task has sums of its own.
            unsafe { work.run(range, PanelMut::of(shared, task * partial, partial, cs)) };
        });
        let total = add_parts(sums, partial);
        let (src, dst) = (total.as_ptr(), dw.as_mut_ptr());
        // SAFETY: the sums are `depth` × `cs`, at least as many columns as are read; `dw` is `k` × `depth`.
        unsafe { turn(isa, &Turn { src, src_rs: cs, rows: depth, columns: s.k, dst, dst_rs: depth }) };
    });
    true
}
