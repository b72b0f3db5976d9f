//! Where a convolution's matrix finds its values: for every tap of the kernel and every 16 pixels of the output, runs of
//! consecutive pixels of the input.
//!
//! The table does not depend on channel or image, so it is made once an operation, and lowering is nothing but masked
//! loads.

use crate::simd::{L, Simd};

/// One tap of a kernel. Pixel `(y, x)` of the output reads row `y step + dy`, column `x step + dx` of a channel, or zero
/// outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) dy: isize,
    pub(super) dx: isize,
}

/// A channel and the grid of pixels that reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Rows and columns of the channel.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Rows, and columns, of the channel from one pixel of the grid to the next.
    pub(super) step: usize,
    /// Height and width of the grid.
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Lanes `lo..hi` are at `offset + step lane` of the channel.
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
    /// Floats of the channel from one pixel to the next.
    step: usize,
    /// First run of `[vector][tap]`.
    starts: Vec<u32>,
    runs: Vec<Run>,
}

/// The end of a run of all lanes.
const WHOLE: u8 = L as u8;

impl Table {
    pub(super) fn new(grid: &Grid, taps: &[Tap]) -> Self {
        let pixels = grid.height * grid.width;
        let whole = grid.step == 1 && grid.columns == grid.width && grid.rows >= grid.height;
        let identity = whole && matches!(taps, [Tap { dy: 0, dx: 0 }]);
        let (starts, runs) = (vec![0], Vec::new());
        let mut table = Self { taps: taps.len(), pixels, identity, step: grid.step, starts, runs };
        for p0 in (0..pixels).step_by(L) {
            for tap in taps {
                table.add(grid, tap, p0, (p0 + L).min(pixels));
                table.starts.push(u32::try_from(table.runs.len()).expect("a channel has less than 2^31 pixels"));
            }
        }
        table
    }

    /// The runs of one tap and the pixels `p0..p1`.
    fn add(&mut self, grid: &Grid, tap: &Tap, p0: usize, p1: usize) {
        let (columns, step) = (grid.columns as isize, grid.step as isize);
        let mut p = p0;
        while p < p1 {
            let (y, x0) = (p / grid.width, p % grid.width);
            let x1 = grid.width.min(x0 + p1 - p);
            let row = y as isize * step + tap.dy;
            // Columns x with 0 <= x step + dx < columns
            let lo = (x0 as isize).max(-tap.dx.div_euclid(step));
            let hi = (x1 as isize).min(-(tap.dx - columns).div_euclid(step));
            if (0..grid.rows as isize).contains(&row) && lo < hi {
                let lane = (p - p0) as isize - x0 as isize;
                let offset = row * columns + tap.dx - lane * step;
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

/// The lanes of a run of the channel at `src`, where lanes are `step` floats apart.
#[inline(always)]
unsafe fn load<S: Simd>(run: Run, step: usize, src: *const f32) -> S::V {
    let (p, lo, hi) = (src.wrapping_offset(run.offset as isize), run.lo as usize, run.hi as usize);
    unsafe {
        match step {
            1 => S::load_range(p, lo, hi),
            2 => S::load_even(p, lo, hi),
            _ => {
                let mut v = [0.0; L];
                for lane in lo..hi {
                    v[lane] = *p.wrapping_add(lane * step);
                }
                S::load(v.as_ptr())
            }
        }
    }
}

/// The values of the runs of a vector.
#[inline(always)]
unsafe fn load_all<S: Simd>(runs: &[Run], step: usize, src: *const f32) -> S::V {
    unsafe {
        let mut v = load::<S>(runs[0], step, src);
        for run in &runs[1..] {
            v = S::add(v, load::<S>(*run, step, src));
        }
        v
    }
}

/// Channels, `stride` floats apart.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) at: *const f32,
    pub(super) channels: usize,
    pub(super) stride: usize,
}

impl Source {
    /// No channels.
    pub(super) const NONE: Self = Self { at: std::ptr::null(), channels: 0, stride: 0 };
}

/// The 16 values of a vector and a tap from every channel, to vectors that are `apart`.
#[inline(always)]
pub(super) unsafe fn gather_channels<S: Simd>(
    table: &Table,
    vector: usize,
    tap: usize,
    source: &Source,
    dst: *mut f32,
    apart: usize,
) {
    macro_rules! each {
        (|$src:ident| $value:expr) => {
            for c in 0..source.channels {
                let $src = source.at.wrapping_add(c * source.stride);
                S::store(dst.add(c * apart), $value);
            }
        };
    }
    // The runs are the same for all channels: looked at once, outside the loops, and copied, so that no store can change
    // them and their masks stay in registers.
    macro_rules! each_step {
        ($step:expr) => {
            match *table.runs(vector, tap) {
                [] => each!(|_src| S::zero()),
                [Run { offset, lo: 0, hi: WHOLE }] => {
                    each!(|src| load::<S>(Run { offset, lo: 0, hi: WHOLE }, $step, src))
                }
                [a] => each!(|src| load::<S>(a, $step, src)),
                [a, b] => each!(|src| load_all::<S>(&[a, b], $step, src)),
                [a, b, c] => each!(|src| load_all::<S>(&[a, b, c], $step, src)),
                [a, b, c, d] => each!(|src| load_all::<S>(&[a, b, c, d], $step, src)),
                ref runs => each!(|src| load_all::<S>(runs, $step, src)),
            }
        };
    }
    unsafe {
        match table.step {
            1 => each_step!(1),
            2 => each_step!(2),
            step => each_step!(step),
        }
    }
}
