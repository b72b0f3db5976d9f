//! Both gradients of a convolution: the transformed output gradient serves both, chunk by chunk of the images.

use super::domain::Domain;
use super::filter::{filter_transform, u_len};
use super::forward::{Epilogue, How, convolve, convolve_transformed};
use super::geometry::{Conv3x3, Geometry, NAME};
use super::tile::Tile;
use super::weight::{Operands, Sums, is_local, parts, sum_all, sum_locally, sum_together, sum_up};
use crate::isa::Isa;
use crate::scratch::with;
use crate::sizes::check_len;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Transformed images of both sides of a chunk that a thread goes through alone, in bytes (measured).
const LOCAL_BYTES: usize = 700 << 10;
/// The same of a chunk that all threads work on.
const SHARED_BYTES: usize = 6 << 20;
/// The same of all images, up to which they are one chunk.
const WHOLE_BYTES: usize = 8 << 20;
/// Largest transformed output gradients of a chunk that are kept for the weight gradient, in bytes.
const KEPT_BYTES: [usize; 2] = [1 << 20, 16 << 20];

/// The gradients of the images of a chunk.
pub(crate) trait ChunkGradients {
    /// That of the input, plus `add`; it comes first.
    fn input(&mut self, add: Option<&[f32]>, dx: &mut [f32]);
    /// Adds up those of weight and bias; `x` is the input of these images.
    fn weight(&mut self, x: &[f32]);
}

/// How the images are cut. It follows from the sizes alone, so that the sums do not depend on the threads.
struct Cut {
    /// Parts of the sums; threads that can go through chunks of their own.
    parts: usize,
    is_local: bool,
    /// Images of a chunk.
    images: usize,
    /// Whether the transformed output gradient is kept.
    keeps: bool,
}

impl Cut {
    fn new<W: Tile>(s: &Conv3x3) -> Self {
        let (is_local, parts) = (is_local::<W>(s), parts::<W>(s));
        let tiles = s.h.div_ceil(W::M) * s.w.div_ceil(W::M);
        let [dy, x] = [s.k, s.c].map(|ch| Domain::tile_bytes::<W>(ch) * tiles);
        let (bytes, kept) = if is_local { (LOCAL_BYTES, KEPT_BYTES[0]) } else { (SHARED_BYTES, KEPT_BYTES[1]) };
        let whole = parts > s.n || (!is_local && s.n * (dy + x) <= WHOLE_BYTES);
        let images = if whole { s.n } else { (bytes / (dy + x)).clamp(1, s.n) };
        Self { parts, is_local, images, keeps: images * dy <= kept }
    }

    /// Whether all images are one chunk: few large ones for all threads, or few tiles of many channels.
    fn is_whole(&self, s: &Conv3x3) -> bool {
        self.parts > s.n || (self.images == s.n && !self.is_local)
    }

    /// Runs `f` with room for the transformed output gradient of some images.
    fn with<W: Tile, R>(&self, s: &Conv3x3, f: impl FnOnce(Option<Domain>) -> R) -> R {
        if !self.keeps {
            return f(None);
        }
        let geo = Geometry::new::<W>(s);
        with(Domain::floats::<W>(&geo, geo.rows, s.k), |v| f(Some(Domain::new::<W>(&geo, geo.rows, s.k, true, v))))
    }
}

/// All images at once: the filters' memory is that of the weight gradient next.
struct Whole<'a, W> {
    isa: Isa,
    s: &'a Conv3x3,
    dy: &'a [f32],
    w: &'a [f32],
    v: Option<Domain>,
    dw: &'a mut [f32],
    db: &'a mut [f32],
    tile: PhantomData<W>,
}

impl<W: Tile> ChunkGradients for Whole<'_, W> {
    fn input(&mut self, add: Option<&[f32]>, dx: &mut [f32]) {
        let add = Epilogue { residual: add, ..Epilogue::default() };
        let how = How { keep: self.v, alone: false };
        convolve::<W>(self.isa, &self.s.transposed(), self.dy, self.w, true, add, how, dx);
    }

    fn weight(&mut self, x: &[f32]) {
        let operands = Operands::<W>::new(self.isa, self.s, x, self.dy, self.v);
        sum_all(&operands, self.dw, self.db);
    }
}

/// Some images, with the transformed filters.
struct Chunk<'a, W> {
    isa: Isa,
    s: Conv3x3,
    dy: &'a [f32],
    u: &'a [f32],
    v: Option<Domain>,
    is_local: bool,
    /// Whether other threads have chunks of their own.
    alone: bool,
    sums: &'a Sums,
    part: usize,
    /// Whether the part has sums.
    begun: bool,
    tile: PhantomData<W>,
}

impl<W: Tile> ChunkGradients for Chunk<'_, W> {
    fn input(&mut self, add: Option<&[f32]>, dx: &mut [f32]) {
        let add = Epilogue { residual: add, ..Epilogue::default() };
        let how = How { keep: self.v, alone: self.alone };
        convolve_transformed::<W>(self.isa, &self.s.transposed(), self.dy, self.u, add, how, dx);
    }

    fn weight(&mut self, x: &[f32]) {
        let operands = Operands::<W>::new(self.isa, &self.s, x, self.dy, self.v);
        // SAFETY: the part is this chunk's alone; what is kept is transformed.
        unsafe {
            if self.is_local {
                sum_locally(&operands, self.sums, self.part, (0, operands.rows()), self.begun);
            } else {
                sum_together(&operands, self.sums, self.begun);
            }
        }
    }
}

/// Weight and bias gradient from those of every chunk, which `each` has computed.
pub(super) fn backward_chunks<W: Tile>(
    isa: Isa,
    s: &Conv3x3,
    dy: &[f32],
    w: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
    each: impl Fn(Range<usize>, &mut dyn ChunkGradients) + Sync,
) {
    check_len(NAME, "dy", dy.len(), s.output_len());
    check_len(NAME, "the weight", w.len(), s.weight_len());
    check_len(NAME, "dw", dw.len(), s.weight_len());
    check_len(NAME, "db", db.len(), s.k);
    if s.input_len() == 0 || s.output_len() == 0 {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let cut = Cut::new::<W>(s);
    if cut.is_whole(s) {
        return cut.with::<W, _>(s, |v| each(0..s.n, &mut Whole::<W> { isa, s, dy, w, v, dw, db, tile: PhantomData }));
    }
    let (image, parts) = (dy.len() / s.n, cut.parts);
    let alone = parts >= rayon::current_num_threads();
    with(u_len(W::X, s.c, s.k), |u| {
        filter_transform::<W>(isa, w, [s.k, s.c], true, u);
        let u = &*u;
        sum_up::<W>(isa, s, parts, dw, db, |sums| {
            let sum_part = |part: usize| {
                let (first, last) = (s.n * part / parts, s.n * (part + 1) / parts);
                let chunks = (last - first).div_ceil(cut.images);
                for i in 0..chunks {
                    let border = |i: usize| first + (last - first) * i / chunks;
                    let range = border(i)..border(i + 1);
                    let dy = &dy[range.start * image..range.end * image];
                    let (s, is_local) = (Conv3x3 { n: range.len(), ..*s }, cut.is_local);
                    cut.with::<W, _>(&s, |v| {
                        let (begun, tile) = (i > 0, PhantomData);
                        each(range, &mut Chunk::<W> { isa, s, dy, u, v, is_local, alone, sums, part, begun, tile });
                    });
                }
            };
            (0..parts).into_par_iter().with_max_len(1).for_each(sum_part);
        });
    });
}
