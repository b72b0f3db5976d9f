//! `y = conv(upsample(x), w)`.

use super::UpsampleConv3x3;
use super::block::{Block, block_isa};
use super::phases::N;
use super::tile::{Forward, ForwardTaps, Output, Pass};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::simd::L;
use crate::sizes::{check_len, check_option};
use crate::winograd::domain::{Domain, Source};
use crate::winograd::filter::{filter_transform, u_len};
use crate::winograd::geometry::Geometry;
use crate::winograd::tile::F2;
use rayon::prelude::*;

/// In messages.
pub(super) const NAME: &str = "upsample_conv3x3";
/// Bytes of the transformed input of a block: what stays in the L2 cache beside the filters of one pass. 300 to 800 KiB make
/// no difference (measured).
const BLOCK_BYTES: usize = 440 * 1024;
/// Tiles of a block: enough rows for the micro-kernel, few enough for all threads.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 24..=96;

/// Panics unless input, weight and bias fit the sizes, and the output has `y` values.
pub(crate) fn check(s: &UpsampleConv3x3, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: usize) {
    for (name, len, expected) in
        [("x", x.len(), s.input_len()), ("y", y, s.output_len()), ("the weight", w.len(), s.weight_len())]
    {
        check_len(NAME, name, len, expected);
    }
    check_option(NAME, "the bias", bias, s.k);
    assert!(s.c > 0 || y == 0, "upsample_conv3x3: there must be channels to compute an output from");
}

pub(in crate::winograd) fn convolve(
    isa: Isa,
    s: &UpsampleConv3x3,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    check(s, x, w, bias, y.len());
    if y.is_empty() {
        return;
    }
    let x = Source { at: Shared::read(x), first: 0 };
    let (bias, y) = (Shared::read_option(bias), Shared::new(y));
    with(u_len(N * N, s.k, s.c), |u| {
        filter_transform::<ForwardTaps>(isa, w, [s.k, s.c], false, u);
        let geo = [Geometry::new::<F2>(&s.low()), Geometry::new::<Output>(&s.high())];
        let (channels, u, add) = ([s.c, s.k], Shared::read(u), Shared::read_option(None));
        let tiles = Tiles { isa, geo, channels, u, bias, add, y };
        // The number of blocks may depend on the number of threads: every output is computed by itself.
        let blocks = geo[0].blocks(tiles_of_block(Domain::tile_bytes::<F2>(s.c)), rayon::current_num_threads());
        (0..blocks).into_par_iter().with_max_len(1).for_each(|i| {
            // SAFETY: the lengths were checked; blocks write the output rows of their own tiles.
            unsafe { tiles.run::<Forward>(x, geo[0].block(i, blocks), None) }
        });
    });
}

/// Tiles of a block whose transformed input takes so many bytes a tile.
pub(super) fn tiles_of_block(bytes: usize) -> usize {
    (BLOCK_BYTES / bytes).clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end())
}

/// A pass over tiles.
pub(super) struct Tiles {
    pub(super) isa: Isa,
    /// Of what is transformed, and of the result.
    pub(super) geo: [Geometry; 2],
    /// Of these.
    pub(super) channels: [usize; 2],
    /// Transformed filters.
    pub(super) u: Shared,
    /// Null, or one value an output channel.
    pub(super) bias: Shared,
    /// Null, or what is added to the result, in its shape.
    pub(super) add: Shared,
    /// The result, of the whole batch.
    pub(super) y: Shared,
}

impl Tiles {
    /// Computes some rows of tiles; the transformed input goes to `keep`, if that is given.
    ///
    /// # Safety
    /// The pointers must be good for the batch, and nobody else may touch the results of these tiles meanwhile.
    pub(super) unsafe fn run<P: Pass>(&self, x: Source, (r0, r1): (usize, usize), keep: Option<Domain>) {
        let [from, to] = &self.geo;
        let [c, k] = self.channels;
        let px_len = from.pixel_scratch::<P::From>().max(to.pixel_scratch::<P::To>());
        let v_len = if keep.is_some() { 0 } else { Domain::floats::<P::From>(from, r1 - r0, c) };
        with(px_len + v_len + P::SUMS * (r1 - r0) * from.tw * 2 * L, |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (v, m) = rest.split_at_mut(v_len);
            let (domain, first) = match keep {
                Some(domain) => (domain, x.first),
                None => (Domain::new::<P::From>(from, r1 - r0, c, false, v), r0),
            };
            let block = Block {
                transform: domain.transform(Source { first, ..x }, (r0, r1), false, Shared::new(px)),
                geo: *to,
                out: k,
                u: self.u.at(0),
                bias: self.bias.at(0),
                add: self.add.at(0),
                y: self.y.at(0),
                m: m.as_mut_ptr(),
            };
            // SAFETY: the caller's contract; the scratch is cut as `block` uses it.
            unsafe { block_isa::<P>(self.isa, &block) }
        })
    }
}
