//! GEMM micro-kernels over the Winograd-domain layouts (no packing: the transforms write them ready to use).
use crate::simd::{L, Simd, with_rows};

/// How far ahead of their use filters are asked for, in floats. They lie in the order in which they are read, but come from the
/// L3 cache where channels are many, and the processor's own prefetching starts anew on every page (measured: 512 to 256
/// channels on 8×8 and 16×16 pixels 8 to 9 % faster, evaluations of whole networks 2 to 3 %).
const AHEAD: usize = 4096;

/// C[p][:] = sum_c A[p][c] * B[c][:]  with A in `[c/16][p][16]` panels.
#[derive(Clone, Copy)]
pub(super) struct Forward {
    /// First tile of block 0; next channel block `a_cb` floats on.
    pub(super) a: *const f32,
    pub(super) a_cb: usize,
    /// B row c at `b + c * bs`.
    pub(super) b: *const f32,
    pub(super) bs: usize,
    /// C row p at `c + p * cs`.
    pub(super) c: *mut f32,
    pub(super) cs: usize,
    pub(super) cin: usize,
    /// Whether to add to what C holds.
    pub(super) accumulate: bool,
    /// Of a part of the channels: how far from its rows of A those of the next product are.
    pub(super) next: usize,
}

/// With `PART`, of a part of the channels: B is in the L2 cache then, but A, for more tiles, may not be.
#[inline(always)]
unsafe fn micro<S: Simd, const R: usize, const NV: usize, const PART: bool>(g: Forward) {
    unsafe {
        let mut acc = [[S::zero(); NV]; R];
        if g.accumulate {
            for r in 0..R {
                for v in 0..NV {
                    acc[r][v] = S::load(g.c.add(r * g.cs + v * L));
                }
            }
        }
        let (mut a, mut b) = (g.a, g.b);
        macro_rules! step {
            ($cc:expr) => {{
                let mut bv = [S::zero(); NV];
                for v in 0..NV {
                    bv[v] = S::load(b.add(v * L));
                }
                for r in 0..R {
                    let x = S::splat(*a.add(r * L + $cc));
                    for v in 0..NV {
                        acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                    }
                }
                if !PART {
                    for v in 0..NV {
                        S::prefetch_line(b.wrapping_add(AHEAD + v * L));
                    }
                }
                b = b.wrapping_add(g.bs);
            }};
        }
        for _ in 0..g.cin / L {
            if PART {
                S::prefetch(a.wrapping_add(g.next), R * L);
            }
            for cc in 0..L {
                step!(cc);
            }
            a = a.wrapping_add(g.a_cb);
        }
        for cc in 0..g.cin % L {
            step!(cc);
        }
        for r in 0..R {
            for v in 0..NV {
                S::store(g.c.add(r * g.cs + v * L), acc[r][v]);
            }
        }
    }
}

#[inline(always)]
unsafe fn micro_rows<S: Simd, const NV: usize, const PART: bool>(r: usize, g: Forward) {
    unsafe { with_rows!(r, micro::<S, _, NV, PART>(g)) }
}

/// `rows` rows of `nv * 16` columns; the rows are split evenly in groups of at most `S::ROWS`.
#[inline(always)]
pub(super) unsafe fn forward<S: Simd, const PART: bool>(rows: usize, nv: usize, g: Forward) {
    unsafe {
        let groups = rows.div_ceil(S::ROWS);
        let mut p = 0;
        for i in 0..groups {
            let r = (rows - p).div_ceil(groups - i);
            let mut t = Forward { a: g.a.add(p * L), c: g.c.add(p * g.cs), ..g };
            if S::WIDE && nv == 2 {
                micro_rows::<S, 2, PART>(r, t);
            } else {
                for _ in 0..nv {
                    micro_rows::<S, 1, PART>(r, t);
                    t.b = t.b.add(L);
                    t.c = t.c.add(L);
                }
            }
            p += r;
        }
    }
}
