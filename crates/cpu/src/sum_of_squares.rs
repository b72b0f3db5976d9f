//! The squared norm of a gradient.

use super::elementwise::TASK;
use super::isa::{Isa, isa_entry};
use super::simd::{L, Simd};
use rayon::prelude::*;

struct Task {
    x: *const f32,
    n: usize,
    out: *mut f64,
}

/// Value `i` goes to lane `i % (2 L)`, and the halves of the lanes are added until one is left: the same order, and the same bits, with
/// every instruction set. Two vectors, so that no addition waits long for the one before it.
#[inline(always)]
unsafe fn squares<S: Simd>(t: &Task) {
    unsafe {
        let mut acc = [S::wide_zero(); 2];
        let mut i = 0;
        while i + 2 * L <= t.n {
            acc[0] = S::wide_add_square(acc[0], S::load(t.x.add(i)));
            acc[1] = S::wide_add_square(acc[1], S::load(t.x.add(i + L)));
            i += 2 * L;
        }
        let rest = t.n - i;
        if rest > 0 {
            acc[0] = S::wide_add_square(acc[0], S::load_n(t.x.add(i), rest.min(L)));
        }
        if rest > L {
            acc[1] = S::wide_add_square(acc[1], S::load_n(t.x.add(i + L), rest - L));
        }
        let mut lanes = [0f64; 2 * L];
        S::wide_store(lanes.as_mut_ptr(), acc[0]);
        S::wide_store(lanes.as_mut_ptr().add(L), acc[1]);
        let mut half = L;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        *t.out = lanes[0];
    }
}
isa_entry!(
    /// [`squares`].
    squares_isa [] = squares(Task)
);

/// `Σ x²` over all values of all slices, in f64 and in one parallel region; 0 for no values. It is a function of the values and of
/// the slices' lengths alone: neither the number of threads nor the instruction set changes a bit.
pub fn sum_of_squares(slices: &[&[f32]]) -> f64 {
    let isa = Isa::current();
    let blocks: Vec<&[f32]> = slices.iter().flat_map(|slice| slice.chunks(TASK)).collect();
    // Blocks differ in length: each is its own task.
    let sums = blocks.par_iter().with_max_len(1).map(|block| {
        let mut sum = 0.0;
        // SAFETY: the block is as long as it says, and `sum` is this task's own.
        unsafe { squares_isa(isa, &Task { x: block.as_ptr(), n: block.len(), out: &mut sum }) };
        sum
    });
    let sums: Vec<f64> = sums.collect();
    // An empty sum of Rust's is -0.
    sums.iter().sum::<f64>() + 0.0
}
