//! One image's part of the gradients.

use super::super::forward::Common;
use super::super::{pack, run};
use super::Parts;
use super::heads::Heads;
use crate::attention::vectors;
use crate::gemm::{Left, PANEL, Product};
use crate::isa::isa_entry;
use crate::norm::{Affine, group_norm_backward_image};
use crate::panel::{Panel, PanelMut, cut_panels, floats};
use crate::scratch::with;
use crate::simd::{L, Simd};

/// Where one image's values are.
pub(in super::super) struct Image {
    /// `[c, pixels]`
    pub(in super::super) x: Panel,
    pub(in super::super) dy: Panel,
    pub(in super::super) dx: PanelMut,
    /// Queries, keys and values, or queries of merged maps; attended image, softmax. They are only read.
    pub(in super::super) saved: [PanelMut; 3],
    /// The next image's `x`, `dy` and `dx`, and what was saved of it, which are only asked for.
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

/// Scratch of an image.
#[derive(Clone, Copy)]
struct Scratch {
    normed: PanelMut,
    /// `dy` in panels of pixels, `[pixels / 32][c][32]`; behind it the norm's sums.
    image: PanelMut,
    /// The gradients of what is attended, `[pixels / 32][inner][32]`, and of queries, keys and values, `[pixels / 32][3 inner][32]`.
    d_attended: PanelMut,
    d_qkv: PanelMut,
    /// Pixels in rows, `[channels / 32][pixels][32]`: first of the attended image, then of the normalised one.
    turned: PanelMut,
    /// The gradients of keys and values, `[2, pixels, inner]`.
    d_kv: PanelMut,
    heads: PanelMut,
}

impl Scratch {
    /// Its parts: floats, and floats from one row to the next.
    fn parts(common: &Common) -> [(usize, usize); 7] {
        let s = common.s;
        let (inner, panels) = (s.inner(), s.panels() * PANEL);
        let wide = s.c.max(inner).next_multiple_of(PANEL);
        [
            (common.normed_len(), s.pixels),
            (panels * s.c, PANEL),
            (panels * inner, PANEL),
            (panels * 3 * inner, PANEL),
            (s.pixels * wide, PANEL),
            (2 * s.pixels * inner, inner),
            (Heads::scratch(s), PANEL),
        ]
    }

    fn cut(common: &Common, scratch: &mut [f32]) -> Self {
        let [normed, image, d_attended, d_qkv, turned, d_kv, heads] = cut_panels(scratch, Self::parts(common));
        Self { normed, image, d_attended, d_qkv, turned, d_kv, heads }
    }
}

/// What the steps of an image share.
struct Task<'a> {
    image: &'a Image,
    common: &'a Common<'a>,
    scratch: Scratch,
    /// The sums of the parameters' gradients.
    parts: Parts,
    sums: PanelMut,
}

impl Image {
    /// Writes `dx`, and adds to the sums, with maps that are not merged.
    ///
    /// # Safety
    /// The panels must be good for an image, and nobody else may touch the results.
    pub(super) unsafe fn compute(&self, common: &Common, parts: Parts, sums: &mut [f32]) {
        let sums = PanelMut::new(sums, 1);
        with(floats(Scratch::parts(common)), |scratch| {
            let task = Task { image: self, common, scratch: Scratch::cut(common, scratch), parts, sums };
            // SAFETY: the caller's contract; every step finds in scratch what the ones before have left there.
            unsafe {
                task.output();
                let normed = common.normed(self.x, task.scratch.normed);
                task.heads();
                task.maps(normed);
                task.input();
            }
        });
    }
}

impl Task<'_> {
    fn part(&self, i: usize) -> PanelMut {
        self.parts.part(self.sums, i)
    }

    /// The gradients of the output's map and of what is attended.
    ///
    /// # Safety
    /// As for [`Image::compute`].
    unsafe fn output(&self) {
        let Common { isa, s, ref packed, .. } = *self.common;
        let Scratch { image, d_attended, turned, .. } = self.scratch;
        let (c, pixels, inner) = (s.c, s.pixels, s.inner());
        let [_, attended, _] = self.image.saved;
        // SAFETY: the caller's contract; panels of pixels, `[c or inner][32]` each, are as many as there are in `image`, `attended` and
        // `d_attended`, and `turned` has room for all pixels of as many channels.
        unsafe {
            pack(isa, self.image.dy, [pixels, 1], [c, pixels], image, c * PANEL);
            row_sums_isa(isa, &Rows { panels: image.at(0), rows: c, pixels, sums: self.part(3).at(0) });
            for panel in 0..s.panels() {
                let width = (pixels - panel * PANEL).min(PANEL);
                let (dy, to) = (image.from(panel * c), d_attended.from(panel * inner));
                run(isa, to.product(isa, [inner, vectors(width), c], packed.out(), dy.read()));
                let from = attended.read().from(panel * inner);
                pack(isa, from, [1, PANEL], [width, inner], turned.from(panel * PANEL), pixels * PANEL);
            }
            let to = self.part(1).rows_of(inner);
            let left = self.image.dy.left(c, pixels);
            run(isa, to.product(isa, [c, inner, pixels], left, turned.read()).accumulated());
        }
    }

    /// The gradients of queries, keys and values, head by head.
    ///
    /// # Safety
    /// As for [`Image::compute`]; that of what is attended must be there.
    unsafe fn heads(&self) {
        let Scratch { d_attended, d_qkv, d_kv, heads, .. } = self.scratch;
        let [qkv, attended, softmax] = self.image.saved;
        let next = self.image.next;
        let task = Heads {
            common: self.common,
            qkv: qkv.read(),
            d_attended,
            d_qkv,
            d_kv,
            attended: attended.read(),
            softmax,
            next,
        };
        // SAFETY: the caller's contract; the scratch is as long as it says.
        unsafe { task.compute(heads) };
    }

    /// The gradients of the maps to queries, keys and values.
    ///
    /// # Safety
    /// As for [`Image::compute`]; those of queries, keys and values must be there.
    unsafe fn maps(&self, normed: Panel) {
        let Common { isa, s, .. } = *self.common;
        let Scratch { d_qkv, d_kv, turned, .. } = self.scratch;
        let (c, pixels, inner, maps) = (s.c, s.pixels, s.inner(), 3 * s.inner());
        let (dk, dv) = (d_kv.first(inner * pixels), d_kv.from(pixels));
        // SAFETY: the caller's contract; every panel of `d_qkv` has `3 inner` rows of 32 pixels, of which the first third is written.
        unsafe {
            for (i, d) in [(1, dk), (2, dv)] {
                pack(isa, d.read(), [1, inner], [inner, pixels], d_qkv.from(i * inner), maps * PANEL);
            }
            row_sums_isa(isa, &Rows { panels: d_qkv.at(0), rows: maps, pixels, sums: self.part(2).at(0) });
            pack(isa, normed, [1, pixels], [pixels, c], turned, pixels * PANEL);
        }
        let queries = Left::Runs { at: d_qkv.at(0), rs: PANEL, run: PANEL, jump: (maps - 1) * PANEL };
        let [keys, values] = [dk, dv].map(|d| d.read().transposed_left(inner, pixels));
        let to = self.part(0).rows_of(c);
        for (i, left) in [queries, keys, values].into_iter().enumerate() {
            let product = to.from(i * inner).product(isa, [inner, c, pixels], left, turned.read());
            // SAFETY: the caller's contract; the sums of a map have `inner` rows of `c`.
            unsafe { run(isa, product.accumulated()) };
        }
    }

    /// The gradients of the input and of the norm.
    ///
    /// # Safety
    /// As for [`Image::compute`]; those of queries, keys and values must be there in panels.
    unsafe fn input(&self) {
        let Common { isa, s, norm, ref packed, .. } = *self.common;
        let (c, pixels, maps) = (s.c, s.pixels, 3 * s.inner());
        let Image { dy, dx, .. } = *self.image;
        let (values, _) = self.common.parts_of_normed(self.scratch.normed);
        let (to, add) = if norm.is_some() { (values, std::ptr::null()) } else { (dx, dy.at(0)) };
        let product = to.product(isa, [c, pixels, maps], packed.qkv(), self.scratch.d_qkv.read());
        // SAFETY: the caller's contract; `dy` is laid out like `dx`. The normalised image is no longer read, and the norm's sums go where
        // `dy` was in panels.
        unsafe {
            run(isa, Product { add, ..product });
            if let Some(affine) = norm {
                self.image.norm(self.common, affine, to.read(), self.scratch.normed, self.scratch.image, self.part(4));
            }
        }
    }
}

impl Image {
    /// From the gradient of the normalised image, `grad`, to that of the input; adds those of scale and offset to `sums`. `normed` has the
    /// statistics, and `scratch` room for these gradients.
    ///
    /// # Safety
    /// As for [`Self::compute`].
    pub(in super::super) unsafe fn norm(
        &self,
        common: &Common,
        affine: Affine,
        grad: Panel,
        normed: PanelMut,
        scratch: PanelMut,
        sums: PanelMut,
    ) {
        let Common { isa, s, .. } = *common;
        let (c, statistics) = (s.c, common.parts_of_normed(normed).1.map(|panel| panel.at(0).cast_const()));
        let of_norm = [scratch.rows_of(1).first(c), scratch.rows_of(1).skip(c).first(c)];
        debug_assert!([self.x, self.dy, grad, self.dx.read()].iter().all(|panel| panel.holds(c, s.pixels)));
        let (scale, offset) = (affine.scale.as_ptr(), affine.offset.as_ptr());
        let (x, dy, dx) = (self.x.at(0), self.dy.at(0), self.dx.at(0));
        // SAFETY: the caller's contract; scale, offset and their gradients have `c` values.
        unsafe {
            let of = of_norm.map(|panel| panel.at(0));
            group_norm_backward_image(isa, &s.norm(), x, statistics, [scale, offset], grad.at(0), dy, dx, of);
            let (sums, of_norm) = (sums.first(2 * c).slice(), scratch.first(2 * c).slice());
            sums.iter_mut().zip(of_norm).for_each(|(sum, value)| *sum += *value);
        }
    }
}
