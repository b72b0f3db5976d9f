//! Filters to the Winograd domain: `U = G g Gᵀ`.

use super::geometry::{NAME, plane_stride};
use super::tile::{F2, F4, Taps};
use super::tile_size::TileSize;
use crate::isa::{Isa, isa_entry};
use crate::scratch::{Buffer, Shared, with};
use crate::simd::{L, Simd};
use crate::sizes::{check_len, values};
use rayon::prelude::*;

/// A `[k][c][3][3]` filter, for the forward pass or (rotated, k and c exchanged) the input gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    w: Shared,
    /// Strides of the output and input channels of the resulting convolution.
    so: usize,
    si: usize,
    rotate: bool,
}

impl Weight {
    /// The filter `w: [k, c, 3, 3]`.
    pub(super) fn new(w: &[f32], [k, c]: [usize; 2], rotate: bool) -> Self {
        check_weight(w, [k, c]);
        let (so, si) = if rotate { (9, c * 9) } else { (c * 9, 9) };
        Self { w: Shared::read(w), so, si, rotate }
    }
}

/// Panics unless `w` is `[k, c, 3, 3]`.
#[track_caller]
fn check_weight(w: &[f32], [k, c]: [usize; 2]) {
    check_len(NAME, "the weight", w.len(), values(NAME, [k, c, 9]));
}

/// U of a `[k][c][3][3]` filter, for the forward pass or (rotated, k and c exchanged) the input gradient.
pub(super) struct FilterArgs {
    pub(super) w: Weight,
    /// Output channels of the resulting convolution.
    pub(super) out: usize,
    /// Where input `i0` of the block goes, and how far the products' planes are apart.
    pub(super) u: *mut f32,
    pub(super) xs: usize,
    /// Task: block of 32 outputs and range of inputs.
    pub(super) kb: usize,
    pub(super) i0: usize,
    pub(super) i1: usize,
}

pub(super) fn u_block(x: usize, inp: usize) -> usize {
    x * plane_stride(inp * 2 * L)
}
pub(super) fn u_len(x: usize, out: usize, inp: usize) -> usize {
    out.div_ceil(2 * L) * u_block(x, inp)
}
/// Vectors (1 or 2) in block kb of `out` channels.
#[inline(always)]
pub(super) fn u_vecs(out: usize, kb: usize) -> usize {
    (out - kb * 2 * L).div_ceil(L).min(2)
}

/// Floats of the taps of 16 inputs for a vector of outputs.
const TAPS: usize = 9 * L;

/// # Safety
/// `f.w` must be readable for the outputs and inputs of the task, and `f.u` writable for the transformed inputs, `[input][output]`, of every
/// plane.
#[inline(always)]
pub(super) unsafe fn filter_block<S: Simd, W: Taps>(f: &FilterArgs) {
    let nv = u_vecs(f.out, f.kb);
    // SAFETY: the caller's contract; the taps of 16 inputs have room for two vectors of outputs.
    unsafe {
        // taps of 16 inputs for each of `nv` vectors of outputs, [v][i][9][16]
        let mut taps = [S::zero(); 2 * TAPS];
        for i0 in (f.i0..f.i1).step_by(L) {
            let ni = (f.i1 - i0).min(L);
            for v in 0..nv {
                let o0 = f.kb * 2 * L + v * L;
                let no = (f.out - o0).min(L);
                let src = f.w.w.at(o0 * f.w.so + i0 * f.w.si).cast_const();
                let dst = taps.as_mut_ptr().add(v * TAPS);
                if f.w.si == 9 {
                    rows_of_taps::<S>(src, f.w.so, no, ni, dst);
                } else {
                    columns_of_taps::<S>(src, &f.w, no, ni, dst);
                }
            }
            for i in 0..ni {
                for v in 0..nv {
                    let t = taps.as_ptr().add(v * TAPS + i * 9);
                    let mut g = [S::zero(); 9];
                    for q in 0..9 {
                        g[q] = *t.add(if f.w.rotate { 8 - q } else { q });
                    }
                    W::products::<S>(&g, f.u.add(((i0 - f.i0 + i) * nv + v) * L), f.xs);
                }
            }
        }
    }
}

/// The taps of `ni` inputs that lie next to each other, for `no` outputs `so` floats apart, to `dst: [input][9]`, outputs as lanes.
///
/// # Safety
/// `src` must be readable for them, and `dst` writable for [`TAPS`] vectors.
#[inline(always)]
unsafe fn rows_of_taps<S: Simd>(src: *const f32, so: usize, no: usize, ni: usize, dst: *mut S::V) {
    // SAFETY: the caller's contract: rows of `9 ni` consecutive floats.
    unsafe {
        for o in 0..no {
            S::prefetch(src.wrapping_add(o * so + TAPS), TAPS);
        }
        for q in 0..9 {
            let m = (ni * 9).saturating_sub(q * L).min(L);
            let mut t = [S::zero(); L];
            if m == L && no == L {
                for o in 0..L {
                    t[o] = S::load(src.add(o * so + q * L));
                }
            } else {
                for o in 0..L {
                    if o < no && m > 0 {
                        t[o] = S::load_n(src.add(o * so + q * L), m);
                    }
                }
            }
            S::transpose(&mut t);
            for j in 0..L {
                *dst.add(q * L + j) = t[j];
            }
        }
    }
}

/// The same of inputs that lie anywhere.
///
/// # Safety
/// As for [`rows_of_taps`].
#[inline(always)]
unsafe fn columns_of_taps<S: Simd>(src: *const f32, w: &Weight, no: usize, ni: usize, dst: *mut S::V) {
    let Weight { so, si, .. } = *w;
    // SAFETY: the caller's contract: every output and input has 9 consecutive floats.
    unsafe {
        for i in 0..ni {
            S::prefetch(src.wrapping_add((i + 2) * si), TAPS);
            let mut t = [S::zero(); L];
            for o in 0..L {
                if o < no {
                    t[o] = S::load_n(src.add(o * so + i * si), 9);
                }
            }
            S::transpose(&mut t);
            for q in 0..9 {
                *dst.add(i * 9 + q) = t[q];
            }
        }
    }
}
isa_entry!(
    /// [`filter_block`].
    filter_block_isa [W: Taps] = filter_block(FilterArgs)
);

/// Transforms `w: [k, c, 3, 3]` into `u`, of [`u_len`] floats. With `rotate` it becomes the filter of the input
/// gradient: rotated by half a turn, inputs and outputs exchanged.
pub(super) fn filter_transform<W: Taps>(isa: Isa, w: &[f32], [k, c]: [usize; 2], rotate: bool, u: &mut [f32]) {
    let (out, inp) = if rotate { (c, k) } else { (k, c) };
    check_weight(w, [k, c]);
    if w.is_empty() {
        return;
    }
    assert!(u.len() >= u_len(W::X, out, inp));
    let chunk = inp.div_ceil(2).next_multiple_of(L).min(64);
    let (blocks, chunks) = (out.div_ceil(2 * L), inp.div_ceil(chunk));
    let (w, u) = (Weight::new(w, [k, c], rotate), Shared::new(u));
    (0..blocks * chunks).into_par_iter().with_max_len(1).for_each(|task| {
        let (kb, i0) = (task / chunks, task % chunks * chunk);
        let nv = u_vecs(out, kb);
        let u = u.at(kb * u_block(W::X, inp) + i0 * nv * L);
        let i1 = (i0 + chunk).min(inp);
        let args = FilterArgs { w, out, u, xs: plane_stride(inp * nv * L), kb, i0, i1 };
        // SAFETY: the lengths were checked; every task writes the inputs `i0..i1` of its own block.
        unsafe { filter_block_isa::<W>(isa, &args) }
    });
}

/// Transformed filters of a convolution, to be used for several parts of the images, or again while the weights stay the same.
///
/// They take four times the memory of the weights (F(4×4, 3×3): 36 floats for 9). The transform does not grow with the
/// images, so it matters for a single small one and is lost in a large batch.
#[derive(Debug)]
pub struct Filters<'a> {
    pub(super) tile: TileSize,
    pub(super) k: usize,
    pub(super) c: usize,
    u: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Kept(Buffer),
    Scratch(&'a [f32]),
}

impl Filters<'static> {
    /// Transforms `w: [k, c, 3, 3]` for the forward pass, in memory of its own.
    ///
    /// # Panics
    /// If the length of `w` does not fit.
    pub fn new(tile: TileSize, k: usize, c: usize, w: &[f32]) -> Self {
        check_weight(w, [k, c]);
        let mut u = Buffer::new(Filters::len(tile, [k, c]));
        transform(Isa::current(), tile, [k, c], w, u.values_mut());
        Self { tile, k, c, u: Values::Kept(u) }
    }
}

impl Filters<'_> {
    /// Runs `f` with the filters of `w: [k, c, 3, 3]`, in this thread's scratch memory.
    ///
    /// # Panics
    /// If the length of `w` does not fit.
    pub fn with<R>(tile: TileSize, k: usize, c: usize, w: &[f32], f: impl FnOnce(&Filters<'_>) -> R) -> R {
        check_weight(w, [k, c]);
        with(Self::len(tile, [k, c]), |u| {
            transform(Isa::current(), tile, [k, c], w, u);
            f(&Filters { tile, k, c, u: Values::Scratch(u) })
        })
    }

    fn len(tile: TileSize, [k, c]: [usize; 2]) -> usize {
        // Without weights either number may be anything.
        if k == 0 || c == 0 {
            return 0;
        }
        let points = match tile {
            TileSize::Two => F2::X,
            TileSize::Four => F4::X,
        };
        u_len(points, k, c)
    }

    /// Panics if they are for other channels.
    #[track_caller]
    pub(crate) fn check(&self, k: usize, c: usize) {
        let own = [self.k, self.c];
        assert!(own == [k, c], "conv3x3: filters of {own:?} channels, expected [{k}, {c}]");
    }

    /// Bytes that [`Filters::new`] takes for `k` output and `c` input channels.
    pub fn bytes_for(tile: TileSize, k: usize, c: usize) -> usize {
        Buffer::bytes_for(Self::len(tile, [k, c]))
    }

    /// Bytes that the filters take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.u())
    }

    pub(super) fn u(&self) -> &[f32] {
        match &self.u {
            Values::Kept(buffer) => buffer.values(),
            Values::Scratch(values) => values,
        }
    }
}

fn transform(isa: Isa, tile: TileSize, [k, c]: [usize; 2], w: &[f32], u: &mut [f32]) {
    match tile {
        TileSize::Two => filter_transform::<F2>(isa, w, [k, c], false, u),
        TileSize::Four => filter_transform::<F4>(isa, w, [k, c], false, u),
    }
}
