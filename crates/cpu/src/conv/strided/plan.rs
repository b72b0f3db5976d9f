//! Where the taps of every output pixel read the input.

use crate::conv::sizes::Conv2d;
use crate::simd::L;

/// Output pixels that see the same taps: every `Plan::spread`-th of a row, and of the rows.
pub(in crate::conv) struct Phase {
    /// The taps of the kernel that are used.
    pub(in crate::conv) used: Vec<usize>,
    /// Where they read, in floats from a padded pixel.
    pub(in crate::conv) offsets: Vec<usize>,
    /// The first of its rows and columns.
    pub(in crate::conv) row: usize,
    pub(in crate::conv) column: usize,
    /// How many there are.
    pub(in crate::conv) height: usize,
    pub(in crate::conv) width: usize,
}

/// A convolution, or several whose results are interleaved.
pub(in crate::conv) struct Plan {
    /// Height and width of the input, and of the result.
    pub(in crate::conv) rows: usize,
    pub(in crate::conv) columns: usize,
    pub(in crate::conv) height: usize,
    pub(in crate::conv) width: usize,
    /// Rows, and columns, of the input from one pixel of a phase to the next, and of the result.
    pub(in crate::conv) step: usize,
    pub(in crate::conv) spread: usize,
    /// Zeros above and to the left of the input, its rows with the zeros around it, and floats from one to the next.
    top: usize,
    pub(in crate::conv) left: usize,
    pub(in crate::conv) reach: usize,
    pub(in crate::conv) pitch: usize,
    /// Rows of the largest phase.
    pub(in crate::conv) units: usize,
    pub(in crate::conv) phases: Vec<Phase>,
}

impl Plan {
    pub(in crate::conv) fn forward(s: &Conv2d) -> Self {
        let ((height, width), [top, left, _, _]) = (s.output_size(), s.padding);
        let taps = (0..s.side * s.side).map(|i| {
            let at = |i: usize, padding: usize| i as isize - padding as isize;
            (i, at(i / s.side, top), at(i % s.side, left))
        });
        let phase = Seen { taps: taps.collect(), row: 0, column: 0, height, width };
        Self::new([s.h, s.w, height, width], [s.stride, 1], vec![phase])
    }

    pub(in crate::conv) fn backward_input(s: &Conv2d) -> Self {
        let (rows, columns) = s.output_size();
        let ([top, left, _, _], stride) = (s.padding, s.stride as isize);
        let phases = (0..s.stride * s.stride).map(|i| {
            let (row, column) = (i / s.stride, i % s.stride);
            let taps = (0..s.side * s.side).filter_map(|i| {
                let y = (row + top) as isize - (i / s.side) as isize;
                let x = (column + left) as isize - (i % s.side) as isize;
                (y.rem_euclid(stride) == 0 && x.rem_euclid(stride) == 0).then_some((i, y / stride, x / stride))
            });
            let count = |len: usize, first: usize| (len + s.stride - 1 - first) / s.stride;
            let (height, width) = (count(s.h, row), count(s.w, column));
            Seen { taps: taps.collect(), row, column, height, width }
        });
        Self::new([rows, columns, s.h, s.w], [1, s.stride], phases.collect())
    }

    fn new([rows, columns, height, width]: [usize; 4], [step, spread]: [usize; 2], seen: Vec<Seen>) -> Self {
        let all = || seen.iter().flat_map(|phase| &phase.taps);
        let before = |min: Option<isize>| min.map_or(0, |min| (-min).max(0) as usize);
        let top = before(all().map(|tap| tap.1).min());
        let left = before(all().map(|tap| tap.2).min());
        // One past the last that is read.
        let past = |len: usize, before: usize, max: Option<isize>| {
            (before + len.saturating_sub(1) * step).saturating_add_signed(max.unwrap_or(0)) + 1
        };
        let units = seen.iter().map(|phase| phase.height).max().unwrap_or(0);
        let most = seen.iter().map(|phase| phase.width).max().unwrap_or(0);
        let reach = past(1, top, all().map(|tap| tap.1).max());
        let pitch = past(most, left, all().map(|tap| tap.2).max()).next_multiple_of(L);
        let phases = seen.into_iter().map(|Seen { taps, row, column, height, width }| Phase {
            used: taps.iter().map(|tap| tap.0).collect(),
            offsets: taps
                .iter()
                .map(|tap| top.saturating_add_signed(tap.1) * pitch + left.saturating_add_signed(tap.2))
                .collect(),
            row,
            column,
            height,
            width,
        });
        let phases = phases.collect();
        Self { rows, columns, height, width, step, spread, top, left, reach, pitch, units, phases }
    }

    /// Taps of all phases.
    pub(in crate::conv) fn taps(&self) -> usize {
        self.phases.iter().map(|phase| phase.used.len()).sum()
    }

    /// Padded rows that some units read.
    pub(in crate::conv) fn padded_rows(&self, [from, to]: [usize; 2]) -> usize {
        (to - from).saturating_sub(1) * self.step + self.reach
    }

    /// The row of the input that is the first of those; outside of it where there are zeros.
    pub(in crate::conv) fn first_row(&self, from: usize) -> isize {
        (from * self.step) as isize - self.top as isize
    }

    /// Floats of `c` padded channels.
    pub(in crate::conv) fn padded(&self, c: usize, units: [usize; 2]) -> usize {
        c * self.padded_rows(units) * self.pitch
    }

    /// Pixels of the result in some units.
    pub(in crate::conv) fn pixels(&self, [from, to]: [usize; 2]) -> [usize; 2] {
        [from, to].map(|unit| (unit * self.spread).min(self.height) * self.width)
    }

    /// Floats of 32 channels of those, with room for 16 pixels more.
    pub(in crate::conv) fn buffer(&self, units: [usize; 2]) -> usize {
        let [from, to] = self.pixels(units);
        2 * (to - from + L) * L
    }
}

/// A phase before the padding is known: taps with the row and column that they read, from the pixel on.
struct Seen {
    taps: Vec<(usize, isize, isize)>,
    row: usize,
    column: usize,
    height: usize,
    width: usize,
}
