//! Small matrices times the pixels of an image: `C[r][pixel] = Σ A[r][channel] · B[channel][pixel]`. Both the channels and the
//! result lie in memory as images do, each a row of pixels, and are read and written there: for one pass over them nothing is
//! gained by copying.

use super::ahead::{Ahead, STEP};
use super::chunks::Chunks;
use super::lowered::{Images, Lowered};
use super::taps::Source;
use crate::gemm::{Fetch, PANEL, group_count, group_rows};
use crate::isa::{Isa, isa_entry};
use crate::scratch::Shared;
use crate::simd::{L, Simd, with_rows};
use rayon::prelude::*;

/// Floats of a matrix, at most: it stays in an L1 or L2 cache while pixels pass by.
const MATRIX: usize = 16 * 1024;
/// Channels that lie a multiple of so many floats apart share a few sets of a cache.
const CONFLICT: usize = 256;

/// Whether a matrix of `floats` is small enough, and channels of `pixels` do not push each other out of the cache.
pub(super) fn pays(floats: usize, pixels: usize) -> bool {
    floats <= MATRIX && !pixels.is_multiple_of(CONFLICT)
}

/// A product.
#[derive(Clone, Copy)]
pub(super) struct InPlace {
    /// [`pack_a`](crate::gemm::pack_a) of the matrix of `m` rows, whose columns are the channels of both sources.
    pub(super) a: *const f32,
    pub(super) m: usize,
    /// Groups of rows to compute, from and up to.
    pub(super) groups: (usize, usize),
    /// The first of the pixels in the first channel of either source.
    pub(super) sources: [Source; 2],
    /// Pixels.
    pub(super) n: usize,
    /// The same pixel in row 0 of the result, and floats from one row to the next.
    pub(super) c: *mut f32,
    pub(super) cs: usize,
    /// Null, or one value a row.
    pub(super) bias: *const f32,
    /// Null, or what is added, laid out like the result.
    pub(super) add: *const f32,
}

/// Some rows and up to 32 pixels of it.
struct Tile {
    a: *const f32,
    sources: [Source; 2],
    width: usize,
    c: *mut f32,
    cs: usize,
    bias: *const f32,
    add: *const f32,
}

/// `R` rows, `NV` vectors of pixels, the last of which is not whole if `PART`.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize, const PART: bool>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe {
        let last = t.width - (NV - 1) * L;
        let mut acc = [[S::zero(); NV]; R];
        let mut a = t.a;
        for source in &t.sources {
            let mut b = source.at;
            let mut left = source.channels;
            while left > 0 {
                let some = left.min(STEP);
                left -= some;
                ahead.ask::<S>(lines);
                for _ in 0..some {
                    let mut bv = [S::zero(); NV];
                    for v in 0..NV {
                        let at = b.add(v * L);
                        bv[v] = if PART && v + 1 == NV { S::load_n(at, last) } else { S::load(at) };
                    }
                    for r in 0..R {
                        let x = S::splat(*a.add(r));
                        for v in 0..NV {
                            acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                        }
                    }
                    a = a.add(R);
                    b = b.wrapping_add(source.stride);
                }
            }
        }
        if !t.bias.is_null() {
            for r in 0..R {
                let bias = S::splat(*t.bias.add(r));
                for v in 0..NV {
                    acc[r][v] = S::add(acc[r][v], bias);
                }
            }
        }
        // Loops so short that they are unrolled: accumulators with a running index would not be kept in registers above.
        if !t.add.is_null() {
            for r in 0..R {
                for v in 0..NV {
                    let at = t.add.add(r * t.cs + v * L);
                    acc[r][v] = S::add(acc[r][v], if PART && v + 1 == NV { S::load_n(at, last) } else { S::load(at) });
                }
            }
        }
        for r in 0..R {
            for v in 0..NV {
                let at = t.c.add(r * t.cs + v * L);
                if PART && v + 1 == NV {
                    S::store_n(at, last, acc[r][v]);
                } else {
                    S::store(at, acc[r][v]);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn whole<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { tile::<S, R, NV, false>(t, ahead, lines) }
}

#[inline(always)]
unsafe fn part<S: Simd, const R: usize, const NV: usize>(t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { tile::<S, R, NV, true>(t, ahead, lines) }
}

#[inline(always)]
unsafe fn whole_rows<S: Simd, const NV: usize>(r: usize, t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { with_rows!(r, whole::<S, _, NV>(t, ahead, lines)) }
}

#[inline(always)]
unsafe fn part_rows<S: Simd, const NV: usize>(r: usize, t: &Tile, ahead: &mut Ahead, lines: usize) {
    unsafe { with_rows!(r, part::<S, _, NV>(t, ahead, lines)) }
}

/// Vectors of pixels that the registers hold accumulators for.
const fn vectors<S: Simd>() -> usize {
    if S::WIDE { PANEL / L } else { 1 }
}

impl InPlace {
    /// Questions that a group of rows asks.
    pub(super) fn questions<S: Simd>(&self) -> usize {
        let steps: usize = self.sources.iter().map(|source| source.channels.div_ceil(STEP)).sum();
        self.n.div_ceil(vectors::<S>() * L) * steps
    }

    /// Computes it, and asks for `lines` of what is read next with every tile.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(&self, ahead: &mut Ahead, lines: usize) {
        unsafe {
            let groups = group_count(self.m, S::ROWS);
            let depth = self.sources[0].channels + self.sources[1].channels;
            // All rows of some pixels first: those stay in the L1 cache.
            for p in (0..self.n).step_by(vectors::<S>() * L) {
                for i in self.groups.0..self.groups.1 {
                    let (r0, r1) = group_rows(self.m, groups, i);
                    let at = r0 * self.cs + p;
                    let tile = Tile {
                        a: self.a.add(r0 * depth),
                        sources: self.sources.map(|source| Source { at: source.at.wrapping_add(p), ..source }),
                        width: (self.n - p).min(vectors::<S>() * L),
                        c: self.c.add(at),
                        cs: self.cs,
                        bias: if self.bias.is_null() { self.bias } else { self.bias.add(r0) },
                        add: if self.add.is_null() { self.add } else { self.add.add(at) },
                    };
                    let r = r1 - r0;
                    match tile.width {
                        PANEL if S::WIDE => whole_rows::<S, 2>(r, &tile, ahead, lines),
                        width if S::WIDE && width > L => part_rows::<S, 2>(r, &tile, ahead, lines),
                        L => whole_rows::<S, 1>(r, &tile, ahead, lines),
                        _ => part_rows::<S, 1>(r, &tile, ahead, lines),
                    }
                }
            }
        }
    }
}

/// The pixels of some images, and what to ask for meanwhile.
struct Task {
    /// Of the first image.
    product: InPlace,
    images: usize,
    /// Floats from one image to the next, of both sources and the result.
    strides: [usize; 3],
    next: [Fetch; 3],
}

#[inline(always)]
unsafe fn task<S: Simd>(t: &Task) {
    unsafe {
        let mut ahead = Ahead::new(t.next);
        let lines =
            ahead.lines().div_ceil(t.images * (t.product.groups.1 - t.product.groups.0) * t.product.questions::<S>());
        for image in 0..t.images {
            let mut product = t.product;
            for (source, stride) in product.sources.iter_mut().zip(t.strides) {
                source.at = source.at.wrapping_add(image * stride);
            }
            product.c = product.c.add(image * t.strides[2]);
            product.add = product.add.wrapping_add(if product.add.is_null() { 0 } else { image * t.strides[2] });
            product.multiply::<S>(&mut ahead, lines);
        }
    }
}
isa_entry!(
    /// [`task`].
    task_isa [] = task(Task)
);

/// Pixels of a task, at most.
const CHUNK: usize = 400;

/// Computes `y: [n, m, pixels]` with the packed matrix `a`.
pub(super) fn convolve(isa: Isa, l: &Lowered, a: &[f32], y: &mut [f32]) {
    let (n, pixels) = (l.images[0].n, l.table.pixels);
    // Every value is computed by itself, so the cut may depend on the number of threads.
    let threads = rayon::current_num_threads();
    let share = (n * pixels).div_ceil(4 * threads).next_multiple_of(PANEL);
    let chunks = Chunks { n, pixels, limit: CHUNK.min(share) };
    let groups = group_count(l.m, isa.gemm_rows());
    let parts = (2 * threads).div_ceil(chunks.count()).min(groups);
    let (a, y) = (Shared::read(a), Shared::new(y));
    let values = l.images.map(|images| Shared::read(images.values));
    let (bias, add) = (Shared::read_option(l.bias), l.add.map(Shared::read));
    (0..chunks.count() * parts).into_par_iter().with_max_len(1).for_each(|i| {
        let (chunk, part) = (chunks.get(i / parts), i % parts);
        let source = |i: usize| {
            let Images { channels, stride, .. } = l.images[i];
            Source { at: values[i].at(chunk.image * channels * stride + chunk.from), channels, stride }
        };
        let at = chunk.image * l.m * pixels + chunk.from;
        // The task after this one most likely follows on the same thread.
        let after = ((i + 1) / parts).min(chunks.count() - 1);
        let mut next = [Fetch::NOTHING; 3];
        if after != i / parts {
            let after = chunks.get(after);
            for (i, next) in next.iter_mut().enumerate() {
                let (values, channels, stride) = match l.images.get(i) {
                    Some(images) => (values[i], images.channels, images.stride),
                    None => (y, l.m, pixels),
                };
                *next = chunks.fetch(&after, values, [channels, stride], (0, channels));
            }
        }
        let task = Task {
            product: InPlace {
                a: a.at(0),
                m: l.m,
                groups: (groups * part / parts, groups * (part + 1) / parts),
                sources: [source(0), source(1)],
                n: chunk.to - chunk.from,
                c: y.at(at),
                cs: pixels,
                bias: bias.at(0),
                add: add.map_or(std::ptr::null(), |add| add.at(at).cast_const()),
            },
            images: chunk.images,
            strides: [
                l.images[0].channels * l.images[0].stride,
                l.images[1].channels * l.images[1].stride,
                l.m * pixels,
            ],
            next,
        };
        // SAFETY: the lengths were checked; tasks write disjoint pixels and rows.
        unsafe { task_isa(isa, &task) }
    });
}
