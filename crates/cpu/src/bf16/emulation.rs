//! What the tile unit computes, in plain code, to the bit.
//!
//! As the manual defines `tdpbf16ps`: for each element of a tile a sum of the even and one of the odd `k`, each by fused multiply-adds, which are
//! added up and then added to the accumulator. Everything is rounded to nearest, ties to even. Denormal operands and results are zero.

use super::number::value;

fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0f32.copysign(x) } else { x }
}

/// [`Tiles::block`](super::tiles::Tiles::block).
///
/// # Safety
/// All that the steps name must be there.
#[allow(clippy::too_many_arguments)] // those of the block
pub(super) unsafe fn block(
    steps: &[usize],
    [first, second]: [*const u16; 2],
    stride: usize,
    packed: *const u16,
    c: *mut f32,
    load: bool,
    swap: bool,
) {
    // SAFETY: 32 rows of 32 numbers are there.
    let c = unsafe {
        if !load {
            c.write_bytes(0, 1024);
        }
        std::slice::from_raw_parts_mut(c, 1024)
    };
    for (s, &step) in steps.iter().enumerate() {
        let anywhere = [first, second].map(|at| at.wrapping_byte_add(step));
        let packed = [packed.wrapping_add(s * 1024), packed.wrapping_add(s * 1024 + 512)];
        let ((a, a_stride), (b, b_stride)) =
            if swap { ((packed, 64), (anywhere, stride)) } else { ((anywhere, stride), (packed, 64)) };
        for (i, row) in c.chunks_exact_mut(32).enumerate() {
            for (j, b) in b.iter().enumerate() {
                let mut sums = [[0f32; 2]; 16];
                for k in 0..16 {
                    let left = a[i / 16].wrapping_byte_add(i % 16 * a_stride);
                    let right = b.wrapping_byte_add(k * b_stride);
                    for (n, sum) in sums.iter_mut().enumerate() {
                        for (e, sum) in sum.iter_mut().enumerate() {
                            // SAFETY: as the caller promises.
                            let (x, y) = unsafe { (*left.wrapping_add(2 * k + e), *right.wrapping_add(2 * n + e)) };
                            // Fused: exact in f64, whose rounding to f32 is then the only one.
                            let product = f64::from(flush(value(x))) * f64::from(flush(value(y)));
                            *sum = flush((f64::from(*sum) + product) as f32);
                        }
                    }
                }
                for (to, [even, odd]) in row[16 * j..].iter_mut().zip(sums) {
                    *to = flush(flush(*to) + flush(even + odd));
                }
            }
        }
    }
}
