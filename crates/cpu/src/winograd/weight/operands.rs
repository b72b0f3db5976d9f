//! Both sides of the weight gradient.

use super::sums::Sums;
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::simd::L;
use crate::sizes::check_len;
use crate::winograd::domain::{Domain, Source};
use crate::winograd::geometry::{Conv3x3, Geometry, NAME};
use crate::winograd::tile::Tile;

/// Operands of [`backward_weight`](super::backward_weight) and the layout that both ways share.
pub(in crate::winograd) struct Operands<W: Tile> {
    pub(super) isa: Isa,
    pub(super) s: Conv3x3,
    pub(super) geo: Geometry,
    x: Shared,
    dy: Shared,
    /// `dy` transformed already.
    pub(super) v: Option<Domain>,
    tile: std::marker::PhantomData<W>,
}

impl<W: Tile> Operands<W> {
    /// Those of the images of `s`; `v` is `dy`, if it is transformed already.
    pub(in crate::winograd) fn new(isa: Isa, s: &Conv3x3, x: &[f32], dy: &[f32], v: Option<Domain>) -> Self {
        check_len(NAME, "the input", x.len(), s.input_len());
        check_len(NAME, "dy", dy.len(), s.output_len());
        let geo = Geometry::new::<W>(s);
        let [x, dy] = [x, dy].map(Shared::read);
        Self { isa, s: *s, geo, x, dy, v, tile: std::marker::PhantomData }
    }

    /// Rows of tiles.
    pub(in crate::winograd) fn rows(&self) -> usize {
        self.geo.rows
    }

    /// Bytes that a tile takes, once transformed, beside what is transformed already.
    pub(super) fn tile_bytes(&self) -> usize {
        let dy = if self.v.is_some() { 0 } else { Domain::tile_bytes::<W>(self.s.k) };
        Domain::tile_bytes::<W>(self.s.c) + dy
    }

    /// Runs `f` with room for the pixels of a strip and for `rows` rows of tiles of the input and of the output gradient; for the latter none
    /// where it is transformed already.
    pub(super) fn with_domains(&self, rows: usize, f: impl FnOnce(&mut [f32], Domain, Option<Domain>)) {
        let Self { geo, s, .. } = self;
        let px_len = geo.pixel_scratch::<W>();
        let p_len = Domain::floats::<W>(geo, rows, s.c);
        let v_len = if self.v.is_some() { 0 } else { Domain::floats::<W>(geo, rows, s.k) };
        with(px_len + p_len + v_len, |scratch| {
            let (px, rest) = scratch.split_at_mut(px_len);
            let (p, v) = rest.split_at_mut(p_len);
            let v = self.v.is_none().then(|| Domain::new::<W>(geo, rows, s.k, true, v));
            f(px, Domain::new::<W>(geo, rows, s.c, false, p), v);
        });
    }

    /// The input from row of tiles `first` on, and the output gradient.
    pub(super) fn sources(&self, first: usize) -> [Source; 2] {
        [self.x, self.dy].map(|at| Source { at, first })
    }
}

/// Adds the product of `np` tiles of plane `x` to the sums of `part`.
///
/// # Safety
/// `v` and `p` must be panels of output gradient and input, the next of each so many floats on; nobody else may touch plane `x` of `part`
/// meanwhile.
pub(super) unsafe fn multiply<W: Tile>(
    o: &Operands<W>,
    sums: &Sums,
    (part, x): (usize, usize),
    panels: [(*const f32, usize); 2],
    np: usize,
    accumulate: bool,
) {
    // SAFETY: the caller's contract.
    unsafe { sums.multiply(o.isa, [o.s.k, o.s.c.div_ceil(L)], (part, x), panels, np, accumulate) }
}
