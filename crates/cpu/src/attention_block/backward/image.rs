//! One image's part of the gradients.

use super::super::forward::Common;
use super::super::{pack, run};
use super::Parts;
use super::heads::Heads;
use crate::attention::packed::cut;
use crate::attention::vectors;
use crate::gemm::{Left, PANEL, Product};
use crate::isa::isa_entry;
use crate::norm::group_norm_backward_image;
use crate::scratch::with;
use crate::simd::{L, Simd};

/// Where one image's values are.
pub(in super::super) struct Image {
    pub(in super::super) x: *mut f32,
    pub(in super::super) dy: *mut f32,
    pub(in super::super) dx: *mut f32,
    /// Queries, keys and values, or queries of merged maps; attended image, softmax.
    pub(in super::super) saved: [*mut f32; 3],
    /// The next image's `x`, `dy` and `dx`, and what was saved of it.
    pub(in super::super) next: ([*mut f32; 3], [*mut f32; 3]),
}

/// Panels `[pixels / 32][rows][32]`, whose rows are summed.
struct Rows {
    panels: *const f32,
    rows: usize,
    pixels: usize,
    /// What the sums are added to.
    sums: *mut f32,
}

#[inline(always)]
unsafe fn row_sums<S: Simd>(t: &Rows) {
    unsafe {
        for row in 0..t.rows {
            let mut acc = [S::zero(); 2];
            for p in (0..t.pixels).step_by(L) {
                let at = t.panels.add(p / PANEL * t.rows * PANEL + row * PANEL + p % PANEL);
                let m = t.pixels - p;
                let value = if m >= L { S::load(at) } else { S::load_n(at, m) };
                acc[p / L % 2] = S::add(acc[p / L % 2], value);
            }
            *t.sums.add(row) += S::hsum(S::add(acc[0], acc[1]));
        }
    }
}
isa_entry!(
    /// [`row_sums`].
    row_sums_isa [] = row_sums(Rows)
);

impl Image {
    /// Writes `dx`, and adds to the sums, with maps that are not merged.
    ///
    /// # Safety
    /// The pointers must be good for an image, and nobody else may touch the results.
    pub(super) unsafe fn compute(&self, common: &Common, parts: Parts, sums: &mut [f32]) {
        let Common { isa, s, ref packed, .. } = *common;
        let (c, pixels, inner, panels) = (s.c, s.pixels, s.inner(), s.panels());
        let (c_wide, inner_wide) = (c.next_multiple_of(PANEL), inner.next_multiple_of(PANEL));
        let maps = 3 * inner;
        let len = common.normed_len()
            + panels * PANEL * (c + inner + maps)
            + pixels * (c_wide.max(inner_wide) + 2 * inner)
            + Heads::scratch(s);
        let sums = sums.as_mut_ptr();
        let part = |i: usize| sums.wrapping_add(parts.at(i));
        with(len, |mut scratch| {
            let normed = cut(&mut scratch, common.normed_len());
            // The gradient in panels.
            let image = cut(&mut scratch, panels * PANEL * c).as_mut_ptr();
            let d_attended = cut(&mut scratch, panels * PANEL * inner).as_mut_ptr();
            let d_qkv = cut(&mut scratch, panels * PANEL * maps).as_mut_ptr();
            // Pixels in rows: first of the attended image, then of the normalised one.
            let turned = cut(&mut scratch, pixels * c_wide.max(inner_wide)).as_mut_ptr();
            let [qkv, attended, softmax] = self.saved;
            let d_kv = cut(&mut scratch, pixels * 2 * inner).as_mut_ptr();
            // SAFETY: the caller's contract, and the scratch has room for what is put there.
            unsafe {
                // The output.
                pack(isa, self.dy, [pixels, 1], [c, pixels], image, c * PANEL);
                row_sums_isa(isa, &Rows { panels: image, rows: c, pixels, sums: part(3) });
                for panel in 0..panels {
                    let width = (pixels - panel * PANEL).min(PANEL);
                    let (dy, to) = (image.add(panel * c * PANEL), d_attended.add(panel * inner * PANEL));
                    run(isa, Product::whole(isa, [inner, vectors(width), c], packed.out(), dy, to, PANEL));
                    let from = attended.add(panel * inner * PANEL);
                    pack(isa, from, [1, PANEL], [width, inner], turned.add(panel * PANEL * PANEL), pixels * PANEL);
                }
                let left = Left::InPlace { at: self.dy, rs: pixels, cs: 1 };
                run(isa, Product::whole(isa, [c, inner, pixels], left, turned, part(1), inner).accumulated());

                let (normed, statistics) = common.normed(self.x, normed);
                let heads = Heads { common, qkv, d_attended, d_qkv, d_kv, attended, softmax, next: self.next };
                heads.compute(scratch);

                // Queries, keys and values.
                let (dk, dv) = (d_kv, d_kv.add(inner * pixels));
                for (i, d) in [(1, dk), (2, dv)] {
                    pack(isa, d, [1, inner], [inner, pixels], d_qkv.add(i * inner * PANEL), maps * PANEL);
                }
                row_sums_isa(isa, &Rows { panels: d_qkv, rows: maps, pixels, sums: part(2) });
                pack(isa, normed, [1, pixels], [pixels, c], turned, pixels * PANEL);
                let queries = Left::Runs { at: d_qkv, rs: PANEL, run: PANEL, jump: (maps - 1) * PANEL };
                let [keys, values] = [dk, dv].map(|at| Left::InPlace { at, rs: 1, cs: inner });
                for (i, left) in [queries, keys, values].into_iter().enumerate() {
                    run(
                        isa,
                        Product::whole(isa, [inner, c, pixels], left, turned, part(0).add(i * inner * c), c)
                            .accumulated(),
                    );
                }
                let to = if common.norm.is_some() { normed } else { self.dx };
                let product = Product::whole(isa, [c, pixels, maps], packed.qkv(), d_qkv, to, pixels);
                let add = if common.norm.is_none() { self.dy } else { std::ptr::null_mut() };
                run(isa, Product { add, ..product });
                let Some(norm) = common.norm else { return };
                let sums = image;
                let affine = [norm.scale.as_ptr(), norm.offset.as_ptr()];
                let statistics = statistics.map(<*mut f32>::cast_const);
                let of_norm = [sums, sums.add(c)];
                group_norm_backward_image(isa, &s.norm(), self.x, statistics, affine, to, self.dy, self.dx, of_norm);
                for i in 0..2 * c {
                    *part(4).add(i) += *sums.add(i);
                }
            }
        });
    }
}
