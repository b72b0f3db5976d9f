//! One group: its statistics, then its values.

use super::vectors::{each_vector, load, store};
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// One group of one image.
pub(super) struct Forward {
    pub(super) hw: usize,
    /// Channels at each `x`.
    pub(super) channels: [usize; 2],
    pub(super) eps: f32,
    pub(super) silu: bool,
    pub(super) x: [*mut f32; 2],
    /// Null, or one value a channel, added to `x`.
    pub(super) bias: *const f32,
    pub(super) y: *mut f32,
    pub(super) scale: *const f32,
    pub(super) offset: *const f32,
    pub(super) mean: *mut f32,
    pub(super) rstd: *mut f32,
}

/// `Σ (x - m)`, or with `SQUARED` `Σ (x - m)²`.
#[inline(always)]
unsafe fn sum<S: Simd, const SQUARED: bool>(x: *const f32, n: usize, m: f32) -> f32 {
    unsafe {
        let mv = S::splat(m);
        let mut acc = [S::zero(); 4];
        macro_rules! add {
            ($q:expr, $v:expr) => {
                let d = S::sub($v, mv);
                acc[$q] = if SQUARED { S::fma(d, d, acc[$q]) } else { S::add(acc[$q], d) };
            };
        }
        let mut i = 0;
        while i + 4 * L <= n {
            for q in 0..4 {
                add!(q, S::load(x.add(i + q * L)));
            }
            i += 4 * L;
        }
        while i + L <= n {
            add!(0, S::load(x.add(i)));
            i += L;
        }
        let mut s = S::hsum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])));
        while i < n {
            let d = *x.add(i) - m;
            s += if SQUARED { d * d } else { d };
            i += 1;
        }
        s
    }
}

/// [`sum`] over the biased values of a group.
#[inline(always)]
unsafe fn sum_group<S: Simd, const SQUARED: bool>(a: &Forward, m: f32) -> f32 {
    unsafe {
        let (mut total, mut c) = (0.0, 0);
        for part in 0..2 {
            if a.bias.is_null() {
                total += sum::<S, SQUARED>(a.x[part], a.channels[part] * a.hw, m);
                continue;
            }
            for i in 0..a.channels[part] {
                total += sum::<S, SQUARED>(a.x[part].add(i * a.hw), a.hw, m - *a.bias.add(c));
                c += 1;
            }
        }
        total
    }
}

/// Where a channel is, and what becomes of it.
struct Channel<S: Simd> {
    x: *const f32,
    y: *mut f32,
    mean: S::V,
    scale: S::V,
    offset: S::V,
    silu: bool,
    /// The same channel of the next group.
    next: [*const f32; 2],
}

impl<S: Simd> Channel<S> {
    /// `N` vectors from pixel `i` on, of which only the first `lanes` lanes are there.
    #[inline(always)]
    unsafe fn apply<const N: usize>(&mut self, i: usize, lanes: usize) {
        unsafe {
            // The next group, while this one is in the cache.
            S::prefetch(self.next[0].wrapping_add(i), N * L);
            S::prefetch(self.next[1].wrapping_add(i), N * L);
            let mut z = [S::zero(); N];
            for v in 0..N {
                let x = load::<S>(self.x.add(i + v * L), lanes);
                // Centred first: `x scale + (offset - mean scale)` would cancel where |mean| is large.
                z[v] = S::fma(S::sub(x, self.mean), self.scale, self.offset);
                if self.silu {
                    z[v] = S::mul(z[v], S::sigmoid(z[v]));
                }
            }
            for v in 0..N {
                store::<S>(self.y.add(i + v * L), lanes, z[v]);
            }
        }
    }
}

#[inline(always)]
unsafe fn forward_group<S: Simd>(a: &Forward) {
    unsafe {
        let total = (a.channels[0] + a.channels[1]) * a.hw;
        let mean = sum_group::<S, false>(a, 0.0) / total as f32;
        let variance = sum_group::<S, true>(a, mean) / total as f32;
        let rstd = 1.0 / (variance + a.eps).sqrt();
        *a.mean = mean;
        *a.rstd = rstd;
        let mut c = 0;
        for part in 0..2 {
            for i in 0..a.channels[part] {
                let bias = if a.bias.is_null() { 0.0 } else { *a.bias.add(c) };
                let (x, y) = (a.x[part].add(i * a.hw), a.y.add(c * a.hw));
                let mut channel = Channel::<S> {
                    x,
                    y,
                    mean: S::splat(mean - bias),
                    scale: S::splat(*a.scale.add(c) * rstd),
                    offset: S::splat(*a.offset.add(c)),
                    silu: a.silu,
                    next: [x.wrapping_add(a.channels[part] * a.hw), y.wrapping_add(total)],
                };
                each_vector!(S, a.hw, channel.apply());
                c += 1;
            }
        }
    }
}
isa_entry!(
    /// [`forward_group`].
    pub(super) forward_group_isa [] = forward_group(Forward)
);
