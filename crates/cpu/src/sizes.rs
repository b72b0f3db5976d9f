//! Sizes that callers give: their products are checked before a kernel trusts them.
//!
//! A product that wraps around may be as long as the slices are, and every check that follows would pass.

/// Values that something can have, at most. It is more than a machine has memory for, and so little that no scratch wraps around that a
/// kernel derives from it.
const MOST: usize = if usize::BITS >= 64 { 1 << 48 } else { isize::MAX as usize / size_of::<f32>() };

/// The product of `sizes`, values of `what`.
///
/// Sizes of zero count as one while it is checked, so that the product of any of the others is right too.
///
/// # Panics
/// If it is more than any memory holds.
#[track_caller]
pub(super) fn values<const N: usize>(what: &str, sizes: [usize; N]) -> usize {
    let most = sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size.max(1)));
    assert!(most.is_some_and(|most| most <= MOST), "{what}: sizes {sizes:?} are more than any memory holds");
    sizes.iter().product()
}

/// Panics with both lengths unless they are the same.
#[track_caller]
pub(super) fn check_len(what: &str, name: &str, len: usize, expected: usize) {
    assert!(len == expected, "{what}: {name} has {len} values, expected {expected}");
}

/// [`check_len`] of a slice that need not be there.
#[track_caller]
pub(super) fn check_option(what: &str, name: &str, slice: Option<&[f32]>, expected: usize) {
    if let Some(slice) = slice {
        check_len(what, name, slice.len(), expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn products_are_right_or_refused() {
        assert_eq!(values("x", [3, 4, 5]), 60);
        assert_eq!(values("x", [0, 4, 5]), 0);
        assert_eq!(values("x", []), 1);
        assert_eq!(values("x", [MOST]), MOST);
        for wrapping in [[1 << (usize::BITS - 2), 4], [usize::MAX, 2], [MOST, 2], [0, usize::MAX]] {
            assert!(catch_unwind(|| values("x", wrapping)).is_err(), "{wrapping:?}");
        }
    }
}
