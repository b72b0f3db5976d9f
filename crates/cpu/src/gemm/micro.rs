//! The inner loops.

use super::panel::PANEL;
use crate::simd::{L, Simd, with_rows};

/// Up to `S::ROWS` rows times one panel.
#[derive(Clone, Copy)]
pub(crate) struct Micro {
    pub(super) k: usize,
    /// The rows, element `(i, j)` at `i rs + j cs`, where `rs` or `cs` is 1; after every `run` columns `jump` floats are
    /// skipped.
    pub(super) a: *const f32,
    pub(super) rs: usize,
    pub(super) cs: usize,
    pub(super) run: usize,
    pub(super) jump: usize,
    /// `[k][32]`
    pub(super) b: *const f32,
    /// Columns to compute, at most 32.
    pub(super) width: usize,
    pub(super) c: *mut f32,
    pub(super) c_rs: usize,
    /// Null, or what each row of the product is multiplied by, before anything is added.
    pub(super) row_factor: *const f32,
    /// What to ask for, a line with every step, and where it ends.
    pub(super) ahead: *const f32,
    pub(super) ahead_end: *const f32,
    pub(super) row_bias: *const f32,
    pub(super) column_bias: *const f32,
    pub(super) add: *const f32,
}

/// `R` rows, `NV` vectors of columns; `COLUMNS`: whether the rows of `A` are 1 apart, else its columns are; `AHEAD`: whether to ask
/// for what is read next.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NV: usize, const COLUMNS: bool, const AHEAD: bool>(g: &Micro) {
    unsafe {
        let (rs, cs) = if COLUMNS { (1, g.cs) } else { (g.rs, 1) };
        let mut acc = [[S::zero(); NV]; R];
        let (mut a, mut b, mut ahead) = (g.a, g.b, g.ahead);
        let mut left = g.k;
        while left > 0 {
            let run = left.min(g.run);
            for _ in 0..run {
                if AHEAD {
                    S::prefetch_line(ahead);
                    ahead = ahead.wrapping_add(L).min(g.ahead_end);
                }
                let mut bv = [S::zero(); NV];
                for v in 0..NV {
                    bv[v] = S::load(b.add(v * L));
                }
                for r in 0..R {
                    let x = S::splat(*a.add(r * rs));
                    for v in 0..NV {
                        acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                    }
                }
                a = a.wrapping_add(cs);
                b = b.wrapping_add(PANEL);
            }
            a = a.wrapping_add(g.jump);
            left -= run;
        }
        if g.width == NV * L {
            return finish::<S, R, NV>(g, acc);
        }
        // Through memory: were the accumulators themselves indexed by loops that are not unrolled, they would not be kept
        // in registers above.
        let mut out = [[S::zero(); NV]; R];
        for r in 0..R {
            for v in 0..NV {
                out[r][v] = acc[r][v];
            }
        }
        finish_part::<S>(g, R, NV, out.as_ptr().cast());
    }
}

/// Adds what is to be added to whole vectors of sums, and stores them.
#[inline(always)]
unsafe fn finish<S: Simd, const R: usize, const NV: usize>(g: &Micro, mut acc: [[S::V; NV]; R]) {
    unsafe {
        if !g.row_factor.is_null() {
            for r in 0..R {
                let factor = S::splat(*g.row_factor.add(r));
                for v in 0..NV {
                    acc[r][v] = S::mul(acc[r][v], factor);
                }
            }
        }
        if !g.column_bias.is_null() {
            for v in 0..NV {
                let bias = S::load(g.column_bias.add(v * L));
                for r in 0..R {
                    acc[r][v] = S::add(acc[r][v], bias);
                }
            }
        }
        if !g.row_bias.is_null() {
            for r in 0..R {
                let bias = S::splat(*g.row_bias.add(r));
                for v in 0..NV {
                    acc[r][v] = S::add(acc[r][v], bias);
                }
            }
        }
        if !g.add.is_null() {
            for r in 0..R {
                for v in 0..NV {
                    acc[r][v] = S::add(acc[r][v], S::load(g.add.add(r * g.c_rs + v * L)));
                }
            }
        }
        for r in 0..R {
            for v in 0..NV {
                S::store(g.c.add(r * g.c_rs + v * L), acc[r][v]);
            }
        }
    }
}

/// [`finish`] of `rows` rows of `vectors` vectors at `sums`, the last of which is not whole.
#[inline(always)]
unsafe fn finish_part<S: Simd>(g: &Micro, rows: usize, vectors: usize, sums: *const S::V) {
    unsafe {
        for v in 0..g.width.div_ceil(L) {
            let m = (g.width - v * L).min(L);
            let column = if g.column_bias.is_null() { S::zero() } else { S::load_n(g.column_bias.add(v * L), m) };
            for r in 0..rows {
                let at = r * g.c_rs + v * L;
                let mut y = *sums.add(r * vectors + v);
                if !g.row_factor.is_null() {
                    y = S::mul(y, S::splat(*g.row_factor.add(r)));
                }
                y = S::add(y, column);
                if !g.row_bias.is_null() {
                    y = S::add(y, S::splat(*g.row_bias.add(r)));
                }
                if !g.add.is_null() {
                    y = S::add(y, S::load_n(g.add.add(at), m));
                }
                S::store_n(g.c.add(at), m, y);
            }
        }
    }
}

#[inline(always)]
unsafe fn micro<S: Simd, const R: usize, const NV: usize>(g: &Micro) {
    unsafe { if g.rs == 1 { tile::<S, R, NV, true, false>(g) } else { tile::<S, R, NV, false, false>(g) } }
}

/// [`micro`], and asks for what is read next.
#[inline(always)]
unsafe fn micro_ahead<S: Simd, const R: usize, const NV: usize>(g: &Micro) {
    unsafe { if g.rs == 1 { tile::<S, R, NV, true, true>(g) } else { tile::<S, R, NV, false, true>(g) } }
}

#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize, const AHEAD: bool>(r: usize, g: &Micro) {
    unsafe { if AHEAD { with_rows!(r, micro_ahead::<S, _, NV>(g)) } else { with_rows!(r, micro::<S, _, NV>(g)) } }
}

/// `r` rows of one panel.
#[inline(always)]
pub(super) unsafe fn panel<S: Simd, const AHEAD: bool>(r: usize, mut g: Micro) {
    unsafe {
        let width = g.width;
        if S::WIDE && width > L {
            return rows::<S, 2, AHEAD>(r, &g);
        }
        g.width = width.min(L);
        rows::<S, 1, AHEAD>(r, &g);
        if width > L {
            g.width = width - L;
            g.b = g.b.add(L);
            g.c = g.c.add(L);
            g.column_bias = if g.column_bias.is_null() { g.column_bias } else { g.column_bias.add(L) };
            g.add = if g.add.is_null() { g.add } else { g.add.add(L) };
            rows::<S, 1, AHEAD>(r, &g);
        }
    }
}

/// `C[m][n] (+)= Σ_p A[p][m] B[p][n]`: the depth is that of both operands' outer axis.
#[derive(Clone, Copy)]
pub(crate) struct Reduce {
    /// Panels `[m / 16][p][16]` and `[n / 16][p][16]`, `a_panel` and `b_panel` floats apart.
    pub(crate) a: *const f32,
    pub(crate) a_panel: usize,
    pub(crate) b: *const f32,
    pub(crate) b_panel: usize,
    /// Depth.
    pub(crate) p: usize,
    /// `C`, with room for `m` rounded up to 16 rows and `n` rounded up to 16 columns; rows `cs` floats apart.
    pub(crate) c: *mut f32,
    pub(crate) cs: usize,
    /// Whether to add to what `C` holds.
    pub(crate) accumulate: bool,
}

#[inline(always)]
unsafe fn micro_reduce<S: Simd, const R: usize, const NV: usize>(g: Reduce) {
    unsafe {
        if g.accumulate {
            // The rows that are added to next: few lines each, far apart, which no processor foresees.
            for r in 0..R {
                S::prefetch(g.c.wrapping_add((R + r) * g.cs).cast_const(), NV * L);
            }
        }
        let mut acc = [[S::zero(); NV]; R];
        let (mut a, mut b) = (g.a, g.b);
        for _ in 0..g.p {
            let mut bv = [S::zero(); NV];
            for v in 0..NV {
                bv[v] = S::load(b.add(v * g.b_panel));
            }
            for r in 0..R {
                let x = S::splat(*a.add(r));
                for v in 0..NV {
                    acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                }
            }
            a = a.wrapping_add(L);
            b = b.wrapping_add(L);
        }
        store_sums::<S, R, NV>(acc, g.c, g.cs, g.accumulate);
    }
}

/// Stores sums to rows `cs` floats apart, or adds them to what is there: at the end, as the rounding errors of a long sum grow with the
/// number of its addends.
#[inline(always)]
pub(crate) unsafe fn store_sums<S: Simd, const R: usize, const NV: usize>(
    sums: [[S::V; NV]; R],
    c: *mut f32,
    cs: usize,
    accumulate: bool,
) {
    unsafe {
        for r in 0..R {
            for v in 0..NV {
                let at = c.add(r * cs + v * L);
                S::store(at, if accumulate { S::add(S::load(at), sums[r][v]) } else { sums[r][v] });
            }
        }
    }
}

/// `m` rows (rounded up) and `n / 16` blocks of columns.
#[inline(always)]
pub(crate) unsafe fn reduce<S: Simd>(m: usize, blocks: usize, g: Reduce) {
    unsafe {
        let step = if S::WIDE { 8 } else { 4 };
        let mut j = 0;
        while j < blocks {
            let nv = if S::WIDE && j + 1 < blocks { 2 } else { 1 };
            for r in (0..m).step_by(step) {
                let part = Reduce {
                    a: g.a.add(r / L * g.a_panel + r % L),
                    b: g.b.add(j * g.b_panel),
                    c: g.c.add(r * g.cs + j * L),
                    ..g
                };
                match (step, nv) {
                    (8, 2) => micro_reduce::<S, 8, 2>(part),
                    (8, _) => micro_reduce::<S, 8, 1>(part),
                    _ => micro_reduce::<S, 4, 1>(part),
                }
            }
            j += nv;
        }
    }
}
