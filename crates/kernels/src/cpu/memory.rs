//! Outputs.

use super::awake::keep_awake;

/// A vector of `n` floats that `fill` writes.
///
/// `fill` must write every value and read none before: true of the kernels of this crate, which are tested with
/// outputs that held guard values before. More kernels are expected to follow: idle threads stay awake for a while.
pub(crate) fn filled(n: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    keep_awake();
    let mut values = Vec::with_capacity(n);
    let spare = &mut values.spare_capacity_mut()[..n];
    // SAFETY: same layout; the slice is only written to, as `fill` promises.
    let spare = unsafe { &mut *(std::ptr::from_mut(spare) as *mut [f32]) };
    fill(spare);
    // SAFETY: the capacity is at least `n`, and `fill` has written all of it.
    unsafe { values.set_len(n) };
    values
}
