//! Pixels of a batch in chunks that caches hold.

use crate::gemm::Fetch;
use crate::scratch::Shared;
use crate::simd::L;

/// How the pixels of a batch are cut.
#[derive(Clone, Copy)]
pub(super) struct Chunks {
    /// Images.
    pub(super) n: usize,
    /// Pixels of each.
    pub(super) pixels: usize,
    /// Pixels of a chunk, at most.
    pub(super) limit: usize,
}

/// Pixels that are multiplied at a time: some of an image, or some small images.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub(super) image: usize,
    pub(super) images: usize,
    /// Pixels of each, from and up to; `from` is a multiple of 16.
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.images * (self.to - self.from)
    }
}

impl Chunks {
    pub(super) fn count(&self) -> usize {
        self.n.div_ceil(self.images()) * self.parts()
    }

    /// Images of a chunk.
    fn images(&self) -> usize {
        (self.limit / self.pixels).max(1)
    }

    /// Chunks of an image.
    fn parts(&self) -> usize {
        self.pixels.div_ceil(self.limit)
    }

    pub(super) fn get(&self, i: usize) -> Chunk {
        let parts = self.parts();
        let image = i / parts * self.images();
        let vectors = self.pixels.div_ceil(L);
        let cut = |part: usize| self.pixels.min(vectors * part / parts * L);
        Chunk { image, images: (self.n - image).min(self.images()), from: cut(i % parts), to: cut(i % parts + 1) }
    }

    /// What a chunk reads of channels `c0..c1` of `values: [n, channels, stride]`, where `stride` floats hold the pixels of an
    /// image.
    pub(super) fn fetch(
        &self,
        chunk: &Chunk,
        values: Shared,
        [channels, stride]: [usize; 2],
        (c0, c1): (usize, usize),
    ) -> Fetch {
        let at = (chunk.image * channels + c0) * stride;
        if chunk.images > 1 {
            return Fetch { at: values.at(at), rows: chunk.images, rs: channels * stride, len: (c1 - c0) * stride };
        }
        let (from, to) = (stride * chunk.from / self.pixels, stride * chunk.to / self.pixels);
        Fetch { at: values.at(at + from), rows: c1 - c0, rs: stride, len: to - from }
    }
}
