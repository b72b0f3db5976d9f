//! Operands into the order in which the inner loops read them.

use super::{PANEL, group_count, group_rows};
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// A matrix `A` of `m` × `k`, element `(i, j)` at `i rs + j cs`, times `factor`.
pub(crate) struct PackA {
    pub(crate) src: *const f32,
    pub(crate) rs: usize,
    pub(crate) cs: usize,
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) factor: f32,
    /// Room for `m k` floats.
    pub(crate) dst: *mut f32,
}

/// Floats of a packed `A`.
pub(crate) fn packed_a_len(m: usize, k: usize) -> usize {
    m * k
}

/// Groups of rows one after the other, each `[k][rows]`.
#[inline(always)]
unsafe fn pack_a_generic<S: Simd>(p: &PackA) {
    unsafe {
        let groups = group_count(p.m, S::ROWS);
        for g in 0..groups {
            let (r0, r1) = group_rows(p.m, groups, g);
            let rows = r1 - r0;
            let mut dst = p.dst.add(r0 * p.k);
            if p.cs == 1 {
                for j0 in (0..p.k).step_by(L) {
                    let m = (p.k - j0).min(L);
                    let mut v = [S::zero(); L];
                    for r in 0..L {
                        if r < rows {
                            v[r] = S::load_n(p.src.add((r0 + r) * p.rs + j0), m);
                        }
                    }
                    S::transpose(&mut v);
                    let f = S::splat(p.factor);
                    for j in 0..L {
                        if j < m {
                            S::store_n(dst, rows, S::mul(v[j], f));
                            dst = dst.add(rows);
                        }
                    }
                }
            } else if p.rs == 1 {
                let f = S::splat(p.factor);
                for j in 0..p.k {
                    S::store_n(dst, rows, S::mul(S::load_n(p.src.add(r0 + j * p.cs), rows), f));
                    dst = dst.add(rows);
                }
            } else {
                for j in 0..p.k {
                    for r in 0..rows {
                        *dst.add(r) = *p.src.add((r0 + r) * p.rs + j * p.cs) * p.factor;
                    }
                    dst = dst.add(rows);
                }
            }
        }
    }
}
isa_entry!(
    /// [`pack_a_generic`].
    pub(crate) pack_a [] = pack_a_generic(PackA)
);

/// Columns `n0..n1` of a matrix `B` of `k` rows, element `(i, j)` at `i rs + j cs`, into panels.
pub(crate) struct PackB {
    pub(crate) src: *const f32,
    pub(crate) rs: usize,
    pub(crate) cs: usize,
    pub(crate) k: usize,
    pub(crate) n0: usize,
    pub(crate) n1: usize,
    /// Panels `[k][32]`, `panel` floats apart.
    pub(crate) dst: *mut f32,
    pub(crate) panel: usize,
}

#[inline(always)]
unsafe fn pack_b_generic<S: Simd>(p: &PackB) {
    unsafe {
        let mut dst = p.dst;
        for j0 in (p.n0..p.n1).step_by(PANEL) {
            let width = (p.n1 - j0).min(PANEL);
            if p.cs == 1 {
                let (lo, hi) = (width.min(L), width.saturating_sub(L));
                for i in 0..p.k {
                    let src = p.src.add(i * p.rs + j0);
                    S::store(dst.add(i * PANEL), S::load_n(src, lo));
                    let v = if hi > 0 { S::load_n(src.add(L), hi) } else { S::zero() };
                    S::store(dst.add(i * PANEL + L), v);
                }
            } else if p.rs == 1 {
                for half in 0..2 {
                    let columns = width.saturating_sub(half * L).min(L);
                    for i0 in (0..p.k).step_by(L) {
                        let m = (p.k - i0).min(L);
                        let mut v = [S::zero(); L];
                        for c in 0..L {
                            if c < columns {
                                v[c] = S::load_n(p.src.add((j0 + half * L + c) * p.cs + i0), m);
                            }
                        }
                        S::transpose(&mut v);
                        for i in 0..L {
                            if i < m {
                                S::store(dst.add((i0 + i) * PANEL + half * L), v[i]);
                            }
                        }
                    }
                }
            } else {
                for i in 0..p.k {
                    for c in 0..PANEL {
                        let v = if c < width { *p.src.add(i * p.rs + (j0 + c) * p.cs) } else { 0.0 };
                        *dst.add(i * PANEL + c) = v;
                    }
                }
            }
            dst = dst.add(p.panel);
        }
    }
}
isa_entry!(
    /// [`pack_b_generic`].
    pub(crate) pack_b [] = pack_b_generic(PackB)
);

/// A matrix of `rows` × `columns`, rows `src_rs` apart, to be written with rows and columns exchanged.
pub(crate) struct Turn {
    pub(crate) src: *const f32,
    pub(crate) src_rs: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Columns of the matrix, `dst_rs` apart.
    pub(crate) dst: *mut f32,
    pub(crate) dst_rs: usize,
}

#[inline(always)]
unsafe fn turn_generic<S: Simd>(t: &Turn) {
    unsafe { turn_adding::<S>(t, std::ptr::null()) }
}
isa_entry!(
    /// [`turn_generic`].
    pub(crate) turn [] = turn_generic(Turn)
);

/// [`turn`] and a sum.
pub(crate) struct TurnAdd {
    pub(crate) turn: Turn,
    /// Laid out like the destination.
    pub(crate) add: *const f32,
}

#[inline(always)]
unsafe fn turn_add_generic<S: Simd>(t: &TurnAdd) {
    unsafe { turn_adding::<S>(&t.turn, t.add) }
}
isa_entry!(
    /// [`turn_add_generic`].
    pub(crate) turn_add [] = turn_add_generic(TurnAdd)
);

/// Adds `add`, unless it is null.
#[inline(always)]
unsafe fn turn_adding<S: Simd>(t: &Turn, add: *const f32) {
    unsafe {
        for j in (0..t.columns).step_by(L) {
            let n = (t.columns - j).min(L);
            for i in (0..t.rows).step_by(L) {
                let m = (t.rows - i).min(L);
                let mut v = [S::zero(); L];
                for r in 0..L {
                    if r < m {
                        v[r] = S::load_n(t.src.add((i + r) * t.src_rs + j), n);
                    }
                }
                S::transpose(&mut v);
                for c in 0..L {
                    if c < n {
                        let at = (j + c) * t.dst_rs + i;
                        let value = if add.is_null() { v[c] } else { S::add(v[c], S::load_n(add.add(at), m)) };
                        S::store_n(t.dst.add(at), m, value);
                    }
                }
            }
        }
    }
}

/// Rows of `len` floats, `rs` apart, that will be read soon. Any address is allowed.
#[derive(Clone, Copy)]
pub(crate) struct Fetch {
    pub(crate) at: *const f32,
    pub(crate) rows: usize,
    pub(crate) rs: usize,
    pub(crate) len: usize,
}

impl Fetch {
    pub(crate) const NOTHING: Self = Self { at: std::ptr::null(), rows: 0, rs: 0, len: 0 };

    /// Asks for part `i` of `parts`.
    #[inline(always)]
    pub(super) unsafe fn part<S: Simd>(&self, i: usize, parts: usize) {
        let lines = self.len.div_ceil(L);
        let (from, to) = group_rows(self.rows * lines, parts, i);
        if from == to {
            return;
        }
        let (mut row, mut line) = (from / lines, from % lines);
        for _ in from..to {
            unsafe { S::prefetch_line(self.at.wrapping_add(row * self.rs + line * L)) };
            line += 1;
            if line == lines {
                (row, line) = (row + 1, 0);
            }
        }
    }
}

#[inline(always)]
unsafe fn fetch_generic<S: Simd>(x: &Fetch) {
    unsafe { x.part::<S>(0, 1) }
}
isa_entry!(
    /// Asks for all of it.
    pub(crate) fetch [] = fetch_generic(Fetch)
);
