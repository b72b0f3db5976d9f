//! Where a convolution's matrix finds its values: for every tap of the kernel and every 16 pixels of the output, runs of
//! consecutive pixels of the input.
//!
//! The table does not depend on channel or image, so it is made once an operation, and lowering is nothing but masked
//! loads.

use crate::cpu::simd::{L, Simd};

/// One tap of a kernel. Pixel `(y, x)` of the output reads row `y row_step + dy`, column `x + dx` of plane `plane` of
/// a channel, or zero outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) plane: usize,
    pub(super) dy: isize,
    pub(super) dx: isize,
    /// Columns of the plane that hold values.
    pub(super) columns: usize,
}

/// The planes of a channel and the grid of pixels that reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Rows of a plane, floats from one to the next, and from one plane to the next.
    pub(super) rows: usize,
    pub(super) pitch: usize,
    pub(super) plane: usize,
    pub(super) row_step: usize,
    /// Height and width of the grid.
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Lanes `lo..hi` are at `offset + lane` of the channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    offset: i32,
    lo: u8,
    hi: u8,
}

/// The runs of all taps and pixels.
pub(super) struct Table {
    pub(super) taps: usize,
    /// Pixels of the grid.
    pub(super) pixels: usize,
    /// Whether there is one tap, at the pixel itself, and the pixels lie next to each other.
    pub(super) identity: bool,
    /// First run of `[vector][tap]`.
    starts: Vec<u32>,
    runs: Vec<Run>,
}

impl Table {
    pub(super) fn new(grid: &Grid, taps: &[Tap]) -> Self {
        let pixels = grid.height * grid.width;
        let whole = grid.row_step == 1 && grid.pitch == grid.width && grid.rows >= grid.height;
        let here = |tap: &Tap| tap.plane == 0 && tap.dy == 0 && tap.dx == 0 && tap.columns >= grid.width;
        let identity = whole && matches!(taps, [tap] if here(tap));
        let mut table = Self { taps: taps.len(), pixels, identity, starts: vec![0], runs: Vec::new() };
        for p0 in (0..pixels).step_by(L) {
            for tap in taps {
                table.add(grid, tap, p0, (p0 + L).min(pixels));
                table.starts.push(table.runs.len() as u32);
            }
        }
        table
    }

    /// The runs of one tap and the pixels `p0..p1`.
    fn add(&mut self, grid: &Grid, tap: &Tap, p0: usize, p1: usize) {
        let mut p = p0;
        while p < p1 {
            let (y, x0) = (p / grid.width, p % grid.width);
            let x1 = grid.width.min(x0 + p1 - p);
            let row = (y * grid.row_step) as isize + tap.dy;
            // Columns x with 0 <= x + dx < columns
            let lo = (x0 as isize).max(-tap.dx);
            let hi = (x1 as isize).min(tap.columns as isize - tap.dx);
            if (0..grid.rows as isize).contains(&row) && lo < hi {
                let lane = (p - p0) as isize - x0 as isize;
                let plane = (tap.plane * grid.plane) as isize;
                let offset = plane + row * grid.pitch as isize + tap.dx - lane;
                self.push(Run {
                    offset: i32::try_from(offset).expect("a channel has less than 2^31 pixels"),
                    lo: (lo + lane) as u8,
                    hi: (hi + lane) as u8,
                });
            }
            p += x1 - x0;
        }
    }

    /// Adds a run to the vector and tap that were begun last; rows without a gap between them are one run.
    fn push(&mut self, run: Run) {
        let begun = *self.starts.last().expect("starts with 0") as usize;
        match self.runs[begun..].last_mut() {
            Some(last) if last.offset == run.offset && last.hi == run.lo => last.hi = run.hi,
            _ => self.runs.push(run),
        }
    }

    /// The runs of a vector and a tap.
    #[inline(always)]
    pub(super) fn runs(&self, vector: usize, tap: usize) -> &[Run] {
        let i = vector * self.taps + tap;
        &self.runs[self.starts[i] as usize..self.starts[i + 1] as usize]
    }
}

/// The 16 values of a vector and a tap from the channel at `src`.
#[inline(always)]
pub(super) unsafe fn gather<S: Simd>(runs: &[Run], src: *const f32) -> S::V {
    unsafe {
        match runs {
            [] => S::zero(),
            [run] if run.lo == 0 && run.hi as usize == L => S::load(src.offset(run.offset as isize)),
            [run] => S::load_range(src.wrapping_offset(run.offset as isize), run.lo as usize, run.hi as usize),
            runs => {
                let mut v = S::zero();
                for run in runs {
                    let p = src.wrapping_offset(run.offset as isize);
                    v = S::add(v, S::load_range(p, run.lo as usize, run.hi as usize));
                }
                v
            }
        }
    }
}

/// [`gather`] from `channels` channels, `stride` apart, to vectors that are `step` apart.
#[inline(always)]
pub(super) unsafe fn gather_channels<S: Simd>(
    runs: &[Run],
    src: *const f32,
    channels: usize,
    stride: usize,
    dst: *mut f32,
    step: usize,
) {
    // The runs are the same for all channels: looked at once, outside the loops.
    macro_rules! each {
        (|$src:ident| $value:expr) => {
            for c in 0..channels {
                let $src = src.wrapping_add(c * stride);
                S::store(dst.add(c * step), $value);
            }
        };
    }
    unsafe {
        match runs {
            [] => each!(|_src| S::zero()),
            [run] if run.lo == 0 && run.hi as usize == L => {
                let offset = run.offset as isize;
                each!(|src| S::load(src.wrapping_offset(offset)))
            }
            [run] => {
                let (offset, lo, hi) = (run.offset as isize, run.lo as usize, run.hi as usize);
                each!(|src| S::load_range(src.wrapping_offset(offset), lo, hi))
            }
            [a, b] => each!(|src| {
                let x = S::load_range(src.wrapping_offset(a.offset as isize), a.lo as usize, a.hi as usize);
                let y = S::load_range(src.wrapping_offset(b.offset as isize), b.lo as usize, b.hi as usize);
                S::add(x, y)
            }),
            runs => each!(|src| gather::<S>(runs, src)),
        }
    }
}
