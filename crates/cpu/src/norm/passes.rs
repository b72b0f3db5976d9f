//! The gradient of one group, in two passes: sums over the group come between them.

use super::vectors::{each_vector, load, store};
use crate::isa::isa_entry;
use crate::simd::{L, Simd};

/// One group of one image. Pointers that need not be there are null.
pub(super) struct Backward {
    pub(super) hw: usize,
    /// Channels at each `x`.
    pub(super) channels: [usize; 2],
    pub(super) silu: bool,
    pub(super) x: [*mut f32; 2],
    /// One value a channel, added to `x`.
    pub(super) bias: *const f32,
    pub(super) dy: *const f32,
    /// What is added to `dx`.
    pub(super) add: [*mut f32; 2],
    pub(super) dx: [*mut f32; 2],
    /// The result of the forward pass, where it is wanted again.
    pub(super) y: *mut f32,
    pub(super) scale: *const f32,
    pub(super) offset: *const f32,
    pub(super) mean: f32,
    pub(super) rstd: f32,
    /// Sums over this image, one a channel.
    pub(super) d_scale: *mut f32,
    pub(super) d_offset: *mut f32,
    pub(super) d_bias: *mut f32,
}

impl Backward {
    /// The mean that is subtracted from channel `c`.
    #[inline(always)]
    unsafe fn mean(&self, c: usize) -> f32 {
        // SAFETY: the caller's; there is a bias for every channel of the group.
        if self.bias.is_null() { self.mean } else { self.mean - unsafe { *self.bias.add(c) } }
    }
}

/// First pass over a channel: dz, the gradient before SiLU, goes to dx.
struct First<'a, S: Simd> {
    a: &'a Backward,
    x: *const f32,
    /// The same channel of the next group.
    next_x: *const f32,
    dy: *const f32,
    add: *const f32,
    dx: *mut f32,
    y: *mut f32,
    mean: S::V,
    scale: S::V,
    offset: S::V,
    /// Of dz, and of dz · centred x.
    sums: [S::V; 2],
}

impl<S: Simd> First<'_, S> {
    /// `N` vectors from pixel `i` on, of which only the first `lanes` lanes are there.
    #[inline(always)]
    unsafe fn vectors<const N: usize>(&mut self, i: usize, lanes: usize) {
        unsafe {
            // This pass has the most arithmetic: behind it, the next group comes into the cache, and what the second pass adds.
            S::prefetch(self.next_x.wrapping_add(i), N * L);
            if !self.add.is_null() {
                S::prefetch(self.add.wrapping_add(i), N * L);
            }
            let one = S::splat(1.0);
            let (mut centred, mut dz, mut result) = ([S::zero(); N], [S::zero(); N], [S::zero(); N]);
            for v in 0..N {
                let at = i + v * L;
                // The lanes past the end are x = 0, dy = 0: dz is 0 there, and adds nothing to the sums.
                centred[v] = S::sub(load::<S>(self.x.add(at), lanes), self.mean);
                dz[v] = load::<S>(self.dy.add(at), lanes);
                result[v] = S::fma(centred[v], self.scale, self.offset);
                if self.a.silu {
                    let s = S::sigmoid(result[v]);
                    result[v] = S::mul(result[v], s);
                    // s (1 + z (1 - s))
                    dz[v] = S::mul(dz[v], S::fma(result[v], S::sub(one, s), s));
                }
            }
            if !self.a.y.is_null() {
                for v in 0..N {
                    store::<S>(self.y.add(i + v * L), lanes, result[v]);
                }
            }
            for v in 0..N {
                store::<S>(self.dx.add(i + v * L), lanes, dz[v]);
                self.sums = [S::add(self.sums[0], dz[v]), S::fma(dz[v], centred[v], self.sums[1])];
            }
        }
    }
}

/// Returns the weighted sums of dz and of dz · normalised x.
#[inline(always)]
unsafe fn first_pass<S: Simd>(a: &Backward) -> (f32, f32) {
    unsafe {
        let (mut sum_1, mut sum_2) = (0f32, 0f32);
        let mut c = 0;
        for part in 0..2 {
            for i in 0..a.channels[part] {
                let (at, scale) = (i * a.hw, *a.scale.add(c));
                let x = a.x[part].add(at);
                let mut first = First::<S> {
                    a,
                    x,
                    next_x: x.wrapping_add(a.channels[part] * a.hw),
                    dy: a.dy.add(c * a.hw),
                    add: if a.add[part].is_null() { a.add[part] } else { a.add[part].add(at) },
                    dx: a.dx[part].add(at),
                    y: a.y.wrapping_add(c * a.hw),
                    mean: S::splat(a.mean(c)),
                    scale: S::splat(scale * a.rstd),
                    offset: S::splat(*a.offset.add(c)),
                    sums: [S::zero(); 2],
                };
                each_vector!(S, a.hw, first.vectors());
                let (s1, s2) = (S::hsum(first.sums[0]), a.rstd * S::hsum(first.sums[1]));
                *a.d_offset.add(c) = s1;
                *a.d_scale.add(c) = s2;
                sum_1 += scale * s1;
                sum_2 += scale * s2;
                c += 1;
            }
        }
        (sum_1, sum_2)
    }
}

/// Second pass over a channel: dx = rstd (scale dz - mean_1 - normalised x · mean_2), and its sum.
struct Second<'a, S: Simd> {
    a: &'a Backward,
    x: *const f32,
    /// The same channel of the next group.
    next_dy: *const f32,
    next_dx: *const f32,
    add: *const f32,
    dx: *mut f32,
    mean: S::V,
    scale: S::V,
    means: [S::V; 2],
    sum: S::V,
}

impl<S: Simd> Second<'_, S> {
    /// As [`First::vectors`].
    #[inline(always)]
    unsafe fn vectors<const N: usize>(&mut self, i: usize, lanes: usize) {
        unsafe {
            // The first pass of the next group stores to its dx, and stores wait for the line.
            S::prefetch(self.next_dy.wrapping_add(i), N * L);
            S::prefetch(self.next_dx.wrapping_add(i), N * L);
            for v in 0..N {
                let at = i + v * L;
                let dx = self.dx.add(at);
                let centred = S::sub(load::<S>(self.x.add(at), lanes), self.mean);
                let rest = S::fnma(centred, self.means[1], self.means[0]);
                let mut r = S::fma(load::<S>(dx, lanes), self.scale, rest);
                if !self.a.d_bias.is_null() {
                    if lanes < L {
                        // Clears the lanes past the end.
                        store::<S>(dx, lanes, r);
                        r = load::<S>(dx, lanes);
                    }
                    self.sum = S::add(self.sum, r);
                }
                if !self.add.is_null() {
                    r = S::add(r, load::<S>(self.add.add(at), lanes));
                }
                store::<S>(dx, lanes, r);
            }
        }
    }
}

#[inline(always)]
unsafe fn second_pass<S: Simd>(a: &Backward, sum_1: f32, sum_2: f32) {
    unsafe {
        let channels = a.channels[0] + a.channels[1];
        let len = (channels * a.hw) as f32;
        let means = [S::splat(-a.rstd * sum_1 / len), S::splat(a.rstd * a.rstd * sum_2 / len)];
        let mut c = 0;
        for part in 0..2 {
            for i in 0..a.channels[part] {
                let at = i * a.hw;
                let dx = a.dx[part].add(at);
                let mut second = Second::<S> {
                    a,
                    x: a.x[part].add(at),
                    next_dy: a.dy.wrapping_add((channels + c) * a.hw),
                    add: if a.add[part].is_null() { a.add[part] } else { a.add[part].add(at) },
                    next_dx: dx.wrapping_add(a.channels[part] * a.hw),
                    dx,
                    mean: S::splat(a.mean(c)),
                    scale: S::splat(a.rstd * *a.scale.add(c)),
                    means,
                    sum: S::zero(),
                };
                each_vector!(S, a.hw, second.vectors());
                if !a.d_bias.is_null() {
                    *a.d_bias.add(c) = S::hsum(second.sum);
                }
                c += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_group<S: Simd>(a: &Backward) {
    unsafe {
        let (sum_1, sum_2) = first_pass::<S>(a);
        second_pass::<S>(a, sum_1, sum_2);
    }
}
isa_entry!(
    /// [`backward_group`].
    pub(super) backward_group_isa [] = backward_group(Backward)
);
