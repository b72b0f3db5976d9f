//! What the tile unit computes, in plain code, to the bit.
//!
//! As the manual defines `tdpbf16ps`: for each element of a tile a sum of the even and one of the odd `k`, each by fused multiply-adds, which are
//! added up and then added to the accumulator. Everything is rounded to nearest, ties to even. Denormal operands and results are zero.

use super::number::value;

/// Columns of a tile.
const COLUMNS: usize = 16;

/// One of the even and one of the odd `k`, for each column.
type Pair = [[f32; COLUMNS]; 2];

#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0f32.copysign(x) } else { x }
}

/// `a b + sum`, rounded once.
#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FMA {
        return a.mul_add(b, sum);
    }
    // The product of two bf16 is exact. What f64 rounds off a sum of two f32 does not change how it is rounded to f32 then.
    (f64::from(sum) + f64::from(a) * f64::from(b)) as f32
}

/// [`Tiles::block`](super::tiles::Tiles::block).
///
/// # Safety
/// All that the steps name must be there.
pub(super) unsafe fn block(
    steps: &[usize],
    anywhere: [*const u16; 2],
    stride: usize,
    packed: *const u16,
    c: *mut f32,
    load: bool,
    swap: bool,
) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn with_fma(all: &All, c: &mut [f32]) {
        // SAFETY: the caller's contract.
        unsafe { all.run::<true>(c) };
    }
    let all = All { steps, anywhere, stride, packed, swap };
    // SAFETY: 32 rows of 32 numbers are there; the caller's contract.
    unsafe {
        if !load {
            c.write_bytes(0, 1024);
        }
        let c = std::slice::from_raw_parts_mut(c, 1024);
        #[cfg(target_arch = "x86_64")]
        if !cfg!(miri) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return with_fma(&all, c);
        }
        all.run::<false>(c);
    }
}

/// The operands.
struct All<'a> {
    steps: &'a [usize],
    anywhere: [*const u16; 2],
    stride: usize,
    packed: *const u16,
    swap: bool,
}

impl All<'_> {
    /// # Safety
    /// All that the steps name must be there.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(&self, c: &mut [f32]) {
        for (s, &step) in self.steps.iter().enumerate() {
            let anywhere = self.anywhere.map(|at| at.wrapping_byte_add(step));
            let packed = [self.packed.wrapping_add(s * 1024), self.packed.wrapping_add(s * 1024 + 512)];
            let ((a, a_stride), (b, b_stride)) = match self.swap {
                true => ((packed, 64), (anywhere, self.stride)),
                false => ((anywhere, self.stride), (packed, 64)),
            };
            for (j, b) in b.into_iter().enumerate() {
                // SAFETY: as the caller promises.
                let b: [Pair; 16] = std::array::from_fn(|k| unsafe { pairs(b.wrapping_byte_add(k * b_stride)) });
                for (i, row) in c.chunks_exact_mut(2 * COLUMNS).enumerate() {
                    // SAFETY: as above.
                    let a = unsafe { pairs(a[i / 16].wrapping_byte_add(i % 16 * a_stride)) };
                    let mut sums = [[0f32; COLUMNS]; 2];
                    for (k, b) in b.iter().enumerate() {
                        for (e, sums) in sums.iter_mut().enumerate() {
                            for (sum, b) in sums.iter_mut().zip(b[e]) {
                                *sum = flush(fused::<FMA>(a[e][k], b, *sum));
                            }
                        }
                    }
                    let [even, odd] = sums;
                    for (n, to) in row[COLUMNS * j..][..COLUMNS].iter_mut().enumerate() {
                        *to = flush(flush(*to) + flush(even[n] + odd[n]));
                    }
                }
            }
        }
    }
}

/// Sixteen pairs of numbers.
///
/// # Safety
/// 32 numbers must be there.
#[inline(always)]
unsafe fn pairs(at: *const u16) -> Pair {
    // SAFETY: the caller's contract.
    let read = |i: usize| flush(value(unsafe { *at.wrapping_add(i) }));
    [std::array::from_fn(|n| read(2 * n)), std::array::from_fn(|n| read(2 * n + 1))]
}
