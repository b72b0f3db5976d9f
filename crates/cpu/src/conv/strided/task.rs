//! Some rows of one image.

use super::plan::{Phase, Plan};
use crate::conv::ahead::Ahead;
use crate::gemm::{Fetch, PANEL, group_count, group_rows};
use crate::isa::isa_entry;
use crate::pixels::store_pixels;
use crate::simd::{L, Simd, with_rows};

/// Floats of the weights that are multiplied at a time: they stay in an L1 cache while pixels pass by.
const BLOCK: usize = 6 * 1024;

pub(super) struct Task<'a> {
    pub(super) plan: &'a Plan,
    /// Channels of the input and the result.
    pub(super) c: usize,
    pub(super) k: usize,
    /// Units, from and up to.
    pub(super) units: [usize; 2],
    /// The image.
    pub(super) x: *const f32,
    /// Scratch for the padded channels, and for the result of 32 channels, `[2][pixel][16]`.
    pub(super) padded: *mut f32,
    pub(super) buffer: *mut f32,
    /// `[k / 32][phase][c][tap][32]`
    pub(super) weights: *const f32,
    /// `[k / 32][32]`
    pub(super) biases: *const f32,
    /// Null, or what is added to the image of the result.
    pub(super) add: *const f32,
    pub(super) y: *mut f32,
    /// What the task after this one reads and writes.
    pub(super) next: [Fetch; 2],
}

/// The `c` channels of an image with zeros around them, those rows that some units read.
#[inline(always)]
pub(in crate::conv) unsafe fn pad<S: Simd>(plan: &Plan, c: usize, units: [usize; 2], x: *const f32, padded: *mut f32) {
    unsafe {
        let Plan { rows, columns, left, pitch, .. } = *plan;
        let mut dst = padded;
        for c in 0..c {
            for i in 0..plan.padded_rows(units) {
                let row = plan.first_row(units[0]) + i as isize;
                let src = x.wrapping_offset(((c * rows) as isize + row) * columns as isize);
                let inside = (0..rows as isize).contains(&row);
                for p in (0..pitch).step_by(L) {
                    let (lo, hi) = (left.saturating_sub(p).min(L), (left + columns).saturating_sub(p).min(L));
                    let at = src.wrapping_add(p).wrapping_sub(left);
                    let v = if inside && lo < hi { S::load_range(at, lo, hi) } else { S::zero() };
                    S::store(dst.add(p), v);
                }
                dst = dst.add(pitch);
            }
        }
    }
}

impl Task<'_> {
    /// Channels `c0..c1` of a phase, added to what is in the buffer unless they are the first.
    #[inline(always)]
    unsafe fn phase<S: Simd, const STEP: usize>(
        &self,
        phase: &Phase,
        weights: *const f32,
        biases: *const f32,
        (c0, c1): (usize, usize),
        (ahead, lines): (&mut Ahead, usize),
    ) {
        unsafe {
            let (plan, [from, to]) = (self.plan, self.units);
            let plane = plan.padded_rows(self.units) * plan.pitch;
            let half = (plan.pixels(self.units)[1] - plan.pixels(self.units)[0] + L) * L;
            let groups = group_count(phase.width, S::ROWS);
            for unit in from..to.min(phase.height) {
                for i in 0..groups {
                    let (x0, x1) = group_rows(phase.width, groups, i);
                    let y = (unit - from) * plan.spread + phase.row;
                    let out = y * plan.width + x0 * plan.spread + phase.column;
                    for v in (0..2).step_by(if S::WIDE { 2 } else { 1 }) {
                        let tile = Tile {
                            x: self.padded.add(c0 * plane + (unit - from) * STEP * plan.pitch + x0 * STEP),
                            plane,
                            channels: c1 - c0,
                            offsets: &phase.offsets,
                            weights: weights.add(c0 * phase.offsets.len() * PANEL + v * L),
                            bias: if c0 == 0 { biases.add(v * L) } else { std::ptr::null() },
                            out: self.buffer.add(v * half + out * L),
                            apart: plan.spread * L,
                            half,
                        };
                        if S::WIDE {
                            pixels::<S, 2, STEP>(x1 - x0, &tile, ahead, lines);
                        } else {
                            pixels::<S, 1, STEP>(x1 - x0, &tile, ahead, lines);
                        }
                    }
                }
            }
        }
    }
}

/// Some pixels of a row times the weights of 16 or 32 channels.
struct Tile<'a> {
    /// The padded pixel of the first, and floats from one channel to the next.
    x: *const f32,
    plane: usize,
    channels: usize,
    offsets: &'a [usize],
    weights: *const f32,
    /// Null where there is something to add to.
    bias: *const f32,
    /// `apart` floats from one pixel to the next, `half` from one vector to the next.
    out: *mut f32,
    apart: usize,
    half: usize,
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize, const STEP: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let mut acc = [[S::zero(); NV]; R];
        let (mut x, mut b) = (t.x, t.weights);
        for _ in 0..t.channels {
            ahead.ask::<S>(lines);
            for &offset in t.offsets {
                let at = x.add(offset);
                let mut bv = [S::zero(); NV];
                for v in 0..NV {
                    bv[v] = S::load(b.add(v * L));
                }
                for r in 0..R {
                    let x = S::splat(*at.add(r * STEP));
                    for v in 0..NV {
                        acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                    }
                }
                b = b.wrapping_add(PANEL);
            }
            x = x.add(t.plane);
        }
        if t.bias.is_null() {
            for r in 0..R {
                for v in 0..NV {
                    acc[r][v] = S::add(acc[r][v], S::load(t.out.add(r * t.apart + v * t.half)));
                }
            }
        } else {
            for r in 0..R {
                for v in 0..NV {
                    acc[r][v] = S::add(acc[r][v], S::load(t.bias.add(v * L)));
                }
            }
        }
        for r in 0..R {
            for v in 0..NV {
                S::store(t.out.add(r * t.apart + v * t.half), acc[r][v]);
            }
        }
    }
}

#[inline(always)]
unsafe fn one<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { tile::<S, R, NV, 1>(t, ahead, lines) }
}

#[inline(always)]
unsafe fn two<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { tile::<S, R, NV, 2>(t, ahead, lines) }
}

/// [`tile`] of `r` pixels, with a step of 1 or 2.
#[inline(always)]
unsafe fn pixels<S: Simd, const NV: usize, const STEP: usize>(r: usize, t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        if STEP == 1 {
            with_rows!(r, one::<S, _, NV>(t, ahead, lines))
        } else {
            with_rows!(r, two::<S, _, NV>(t, ahead, lines))
        }
    }
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let (plan, [p0, p1]) = (t.plan, t.plan.pixels(t.units));
        let plane = plan.height * plan.width;
        pad::<S>(plan, t.c, t.units, t.x, t.padded);
        let mut ahead = Ahead::new(t.next);
        let questions: usize = plan
            .phases
            .iter()
            .map(|phase| phase.height.min(t.units[1] - t.units[0]) * group_count(phase.width, S::ROWS))
            .sum();
        let panels = t.k.div_ceil(PANEL);
        let lines = ahead.lines().div_ceil((questions * panels * t.c).max(1));
        for panel in 0..panels {
            let mut weights = t.weights.add(panel * t.c * plan.taps() * PANEL);
            let biases = t.biases.add(panel * PANEL);
            for phase in &plan.phases {
                let blocks = (t.c * phase.offsets.len() * PANEL).div_ceil(BLOCK).clamp(1, t.c);
                for block in 0..blocks {
                    let channels = group_rows(t.c, blocks, block);
                    if plan.step == 1 {
                        t.phase::<S, 1>(phase, weights, biases, channels, (&mut ahead, lines));
                    } else {
                        t.phase::<S, 2>(phase, weights, biases, channels, (&mut ahead, lines));
                    }
                }
                weights = weights.add(t.c * phase.offsets.len() * PANEL);
            }
            for half in 0..2 {
                let k0 = panel * PANEL + half * L;
                if k0 < t.k {
                    let add = if t.add.is_null() { t.add } else { t.add.add(k0 * plane) };
                    let src = t.buffer.add(half * (p1 - p0 + L) * L);
                    store_pixels::<S>(src, t.y.add(k0 * plane), add, plane, (t.k - k0).min(L), p0, p1);
                }
            }
        }
    }
}
isa_entry!(
    /// [`task`].
    pub(super) task_isa [] = task(Task)
);
