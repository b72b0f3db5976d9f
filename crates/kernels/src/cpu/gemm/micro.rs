//! The inner loops.

use crate::cpu::gemm::PANEL;
use crate::cpu::simd::{L, Simd, with_rows};

/// Up to `S::ROWS` rows times one panel.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Micro {
    pub(super) k: usize,
    /// `[k][rows]`
    pub(super) a: *const f32,
    /// `[k][32]`
    pub(super) b: *const f32,
    /// Columns to compute, at most 32.
    pub(super) width: usize,
    pub(super) c: *mut f32,
    pub(super) cs: usize,
    pub(super) row_bias: *const f32,
    pub(super) column_bias: *const f32,
    pub(super) add: *const f32,
}

/// `R` rows, `NV` vectors of columns.
#[inline(always)]
unsafe fn micro<S: Simd, const R: usize, const NV: usize>(g: &Micro, width: usize) {
    unsafe {
        let mut acc = [[S::zero(); NV]; R];
        let (mut a, mut b) = (g.a, g.b);
        for _ in 0..g.k {
            let mut bv = [S::zero(); NV];
            for v in 0..NV {
                bv[v] = S::load(b.add(v * L));
            }
            for r in 0..R {
                let x = S::splat(*a.add(r));
                for v in 0..NV {
                    acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                }
            }
            a = a.add(R);
            b = b.add(PANEL);
        }
        // Through memory: were the accumulators themselves indexed by loops that are not unrolled, they would not be kept
        // in registers above.
        let mut out = [[S::zero(); NV]; R];
        for r in 0..R {
            for v in 0..NV {
                out[r][v] = acc[r][v];
            }
        }
        finish::<S>(g, R, NV, width, out.as_ptr().cast());
    }
}

/// Adds what is to be added to `rows` × `width` sums at `sums`, `vectors` vectors a row, and stores them.
#[inline(always)]
unsafe fn finish<S: Simd>(g: &Micro, rows: usize, vectors: usize, width: usize, sums: *const S::V) {
    unsafe {
        for v in 0..width.div_ceil(L) {
            let m = (width - v * L).min(L);
            let column = if g.column_bias.is_null() { S::zero() } else { S::load_n(g.column_bias.add(v * L), m) };
            for r in 0..rows {
                let at = r * g.cs + v * L;
                let mut y = S::add(*sums.add(r * vectors + v), column);
                if !g.row_bias.is_null() {
                    y = S::add(y, S::splat(*g.row_bias.add(r)));
                }
                if m == L {
                    if !g.add.is_null() {
                        y = S::add(y, S::load(g.add.add(at)));
                    }
                    S::store(g.c.add(at), y);
                } else {
                    if !g.add.is_null() {
                        y = S::add(y, S::load_n(g.add.add(at), m));
                    }
                    S::store_n(g.c.add(at), m, y);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize>(r: usize, g: &Micro, width: usize) {
    unsafe { with_rows!(r, micro::<S, _, NV>(g, width)) }
}

/// `r` rows of one panel.
#[inline(always)]
pub(super) unsafe fn panel<S: Simd>(r: usize, mut g: Micro) {
    unsafe {
        if S::WIDE && g.width > L {
            return rows::<S, 2>(r, &g, g.width);
        }
        rows::<S, 1>(r, &g, g.width.min(L));
        if g.width > L {
            let width = g.width - L;
            g.b = g.b.add(L);
            g.c = g.c.add(L);
            g.column_bias = if g.column_bias.is_null() { g.column_bias } else { g.column_bias.add(L) };
            g.add = if g.add.is_null() { g.add } else { g.add.add(L) };
            rows::<S, 1>(r, &g, width);
        }
    }
}

/// `C[m][n] (+)= Σ_p A[p][m] B[p][n]`: the depth is that of both operands' outer axis.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Reduce {
    /// Panels `[m / 16][p][16]` and `[n / 16][p][16]`, `a_panel` and `b_panel` floats apart.
    pub(in crate::cpu) a: *const f32,
    pub(in crate::cpu) a_panel: usize,
    pub(in crate::cpu) b: *const f32,
    pub(in crate::cpu) b_panel: usize,
    /// Depth.
    pub(in crate::cpu) p: usize,
    /// `C`, with room for `m` rounded up to 16 rows and `n` rounded up to 16 columns; rows `cs` floats apart.
    pub(in crate::cpu) c: *mut f32,
    pub(in crate::cpu) cs: usize,
    /// Whether to add to what `C` holds.
    pub(in crate::cpu) accumulate: bool,
}

#[inline(always)]
unsafe fn micro_reduce<S: Simd, const R: usize, const NV: usize>(g: Reduce) {
    unsafe {
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
            a = a.add(L);
            b = b.add(L);
        }
        for r in 0..R {
            for v in 0..NV {
                let at = g.c.add(r * g.cs + v * L);
                // Added at the end: the rounding errors of a long sum grow with the number of its addends.
                let y = if g.accumulate { S::add(S::load(at), acc[r][v]) } else { acc[r][v] };
                S::store(at, y);
            }
        }
    }
}

/// `m` rows (rounded up) and `n / 16` blocks of columns.
#[inline(always)]
pub(in crate::cpu) unsafe fn reduce<S: Simd>(m: usize, blocks: usize, g: Reduce) {
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
