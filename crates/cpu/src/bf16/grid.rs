//! The pixels of a batch in one line, with zeros between rows and images.
//!
//! A 3×3 convolution has one zero pixel after each row and one zero row after each image, which serve as the right border of
//! one row and the left border of the next, as the lower border of one image and the upper of the next. So a neighbour is a
//! constant number of pixels away, and sixteen consecutive pixels are a tile whatever the width. A 1×1 convolution has no border.

use std::ops::Range;

/// Images, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    /// 1 if there are zeros between rows and images.
    border: usize,
}

/// Consecutive pixels of the line, up to 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: usize,
    /// A bit for each pixel that belongs to the window: no border, and in no window before.
    pub(super) mask: u32,
}

/// Where the pixels of planes lie in the line: all of them, or those that a convolution with stride 2 has as the middles of its kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lattice {
    /// 1 or 2.
    pub(super) stride: usize,
    /// Row and column of the first.
    pub(super) first: [usize; 2],
    /// Height and width of the planes.
    pub(super) size: [usize; 2],
}

impl Lattice {
    /// Pixels of a plane.
    pub(super) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// Windows of 16 pixels of a lattice and what belongs to them in its planes.
pub(super) struct Windows {
    /// Pixels of the line from one pixel of a window to the next.
    pub(super) stride: usize,
    pub(super) starts: Vec<usize>,
    pub(super) pieces: Vec<Piece>,
    /// Where the pieces of each end.
    pub(super) ends: Vec<usize>,
}

/// Pixels of a window that follow each other in the planes of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// A bit for each of its pixels in the window.
    pub(super) mask: u32,
    pub(super) image: usize,
    /// The first of them in a plane.
    pub(super) pixel: usize,
}

impl Grid {
    /// For a kernel of so many taps, 1 or 9.
    pub(super) fn new(n: usize, h: usize, w: usize, taps: usize) -> Self {
        if taps == 1 { Self { n, h: 1, w: h * w, border: 0 } } else { Self { n, h, w, border: 1 } }
    }

    /// Pixels from one row to the next.
    pub(super) fn pitch(&self) -> usize {
        self.w + self.border
    }

    /// Pixels before the first: the taps of its upper left reach so far.
    pub(super) fn lead(&self) -> usize {
        self.border * (self.w + 2)
    }

    /// Where a pixel is in the line.
    pub(super) fn at(&self, n: usize, y: usize, x: usize) -> usize {
        self.lead() + (n * (self.h + self.border) + y) * self.pitch() + x
    }

    /// Pixels of the line: a window of 32 may start at the last pixel and be shifted by a row and a pixel.
    pub(super) fn line(&self) -> usize {
        (self.at(self.n, 0, 0) + 32 + self.lead()).next_multiple_of(16)
    }

    /// The zeros after row `y` of image `n`, as a range of the line: a pixel, or a row more after an image, or all that is left after the last.
    pub(super) fn border_after(&self, n: usize, y: usize) -> Range<usize> {
        let end = match (n + 1 == self.n, y + 1 == self.h) {
            (true, true) => self.line(),
            (_, true) => self.at(n + 1, 0, 0),
            _ => self.at(n, y + 1, 0),
        };
        self.at(n, y, self.w)..end
    }

    /// How far each tap's pixel is away in the line, in pixels.
    pub(super) fn shifts(&self, taps: usize) -> Vec<isize> {
        let pitch = self.pitch() as isize;
        if taps == 1 { vec![0] } else { (0..9).map(|tap| (tap / 3 - 1) * pitch + tap % 3 - 1).collect() }
    }

    /// All pixels.
    pub(super) fn all(&self) -> Lattice {
        Lattice { stride: 1, first: [0, 0], size: [self.h, self.w] }
    }

    /// Windows of 16 pixels that together hold each pixel of a lattice once.
    pub(super) fn windows_of(&self, lattice: &Lattice) -> Windows {
        if lattice.stride == 1 {
            let windows = self.windows(16);
            let (pieces, ends) = self.pieces(&windows);
            return Windows { stride: 1, starts: windows.iter().map(|window| window.start).collect(), pieces, ends };
        }
        let ([rows, columns], [y, x]) = (lattice.size, lattice.first);
        let mut windows = Windows { stride: lattice.stride, starts: Vec::new(), pieces: Vec::new(), ends: Vec::new() };
        for (image, row) in (0..self.n).flat_map(|image| (0..rows).map(move |row| (image, row))) {
            for column in (0..columns).step_by(16) {
                let at = self.at(image, y + row * lattice.stride, x + column * lattice.stride);
                let mask = (1u32 << (columns - column).min(16)) - 1;
                windows.starts.push(at);
                windows.pieces.push(Piece { mask, image, pixel: row * columns + column });
                windows.ends.push(windows.pieces.len());
            }
        }
        windows
    }

    /// Windows of 32 consecutive pixels that hold all pixels of a lattice, and others, each at most once.
    pub(super) fn around(&self, lattice: &Lattice) -> Vec<Window> {
        if lattice.stride == 1 {
            return self.windows(32);
        }
        let ([rows, columns], [y, x]) = (lattice.size, lattice.first);
        let span = (columns - 1) * lattice.stride + 1;
        let rows = (0..self.n).flat_map(|image| (0..rows).map(move |row| (image, y + row * lattice.stride)));
        cover(32, rows.map(|(image, row)| self.at(image, row, x)..self.at(image, row, x) + span))
    }

    /// Windows of `size` pixels that together hold each pixel once. Borders are skipped where a window ends at one.
    pub(super) fn windows(&self, size: usize) -> Vec<Window> {
        let rows = (0..self.n).flat_map(|image| (0..self.h).map(move |row| (image, row)));
        cover(size, rows.map(|(image, row)| self.at(image, row, 0)..self.at(image, row, self.w)))
    }

    /// The pieces of each window, and where those of the next begin. Borders are not in the planes: pixels on both sides of one follow each other.
    pub(super) fn pieces(&self, windows: &[Window]) -> (Vec<Piece>, Vec<usize>) {
        let (mut pieces, mut ends) = (Vec::<Piece>::with_capacity(windows.len()), Vec::with_capacity(windows.len()));
        let image_of = |at: usize| (at - self.lead()) / ((self.h + self.border) * self.pitch());
        for window in windows {
            let first = pieces.len();
            let mut left = window.mask;
            while left != 0 {
                let at = window.start + left.trailing_zeros() as usize;
                let image = image_of(at);
                let pixel =
                    (at - self.at(image, 0, 0)) / self.pitch() * self.w + (at - self.at(image, 0, 0)) % self.pitch();
                // What is left of the window in this image.
                let until = self.at(image + 1, 0, 0) - window.start;
                let mask = if until >= 32 { left } else { left & ((1 << until) - 1) };
                pieces.push(Piece { mask, image, pixel });
                left &= !mask;
            }
            debug_assert!(pieces.len() > first || window.mask == 0);
            ends.push(pieces.len());
        }
        (pieces, ends)
    }
}

/// Windows of `size` pixels that together hold those of all ranges, which follow each other, once. The next one starts at the first pixel that is in
/// none.
fn cover(size: usize, ranges: impl Iterator<Item = Range<usize>>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for Range { start: mut at, end } in ranges {
        while at < end {
            let start = match windows.last() {
                Some(last) if at - last.start < size => last.start,
                _ => {
                    windows.push(Window { start: at, mask: 0 });
                    at
                }
            };
            let until = end.min(start + size);
            // Bits `at - start .. until - start` of 32.
            let bits = ((1u64 << (until - start)) - (1u64 << (at - start))) as u32;
            windows.last_mut().expect("one was there or pushed").mask |= bits;
            at = until;
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every pixel is in one window, and nothing else; borders and pixels cover the line.
        #[test]
        fn windows_hold_each_pixel_once(n in 1_usize..5, h in 1_usize..12, w in 1_usize..40, nine: bool, wide: bool) {
            let (taps, size) = (if nine { 9 } else { 1 }, if wide { 32 } else { 16 });
            let grid = Grid::new(n, h, w, taps);
            let mut is_pixel = vec![0; grid.line()];
            for (n, y, x) in (0..n).flat_map(|n| (0..grid.h).flat_map(move |y| (0..grid.w).map(move |x| (n, y, x)))) {
                is_pixel[grid.at(n, y, x)] += 1;
            }
            let mut held = vec![0; grid.line()];
            for window in grid.windows(size) {
                (0..32).filter(|i| window.mask >> i & 1 == 1).for_each(|i| held[window.start + i] += 1);
                prop_assert!(size == 32 || window.mask >> 16 == 0);
                prop_assert!(window.start + 32 + grid.lead() <= grid.line());
            }
            prop_assert_eq!(&held, &is_pixel);
            for size in [16, 32] {
                let windows = grid.windows(size);
                let (pieces, ends) = grid.pieces(&windows);
                let (mut planes, mut first) = (vec![0; n * grid.h * grid.w], 0);
                for (window, end) in windows.iter().zip(ends) {
                    for piece in &pieces[first..end] {
                        let bits = (0..32).filter(|bit| piece.mask >> bit & 1 == 1);
                        for (i, bit) in bits.enumerate() {
                            let (y, x) = ((piece.pixel + i) / grid.w, (piece.pixel + i) % grid.w);
                            prop_assert_eq!(window.start + bit, grid.at(piece.image, y, x));
                            planes[piece.image * grid.h * grid.w + piece.pixel + i] += 1;
                        }
                    }
                    first = end;
                }
                prop_assert!(planes.iter().all(|count| *count == 1));
            }
            let mut border = vec![0; grid.line()];
            border[..grid.lead()].fill(1);
            for (n, y) in (0..n).flat_map(|n| (0..grid.h).map(move |y| (n, y))) {
                grid.border_after(n, y).for_each(|i| border[i] += 1);
            }
            prop_assert!(border.iter().zip(&is_pixel).all(|(a, b)| a + b == 1));
            for shift in grid.shifts(taps) {
                prop_assert!(grid.lead() as isize + shift >= 0);
            }
        }
    }
}
