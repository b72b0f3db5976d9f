//! Work that is done once for weights that do not change.

/// While one lives, the CPU backends keep the transformed filters of the 3×3 convolutions that they compute over few
/// pixels, instead of transforming them anew in every call. Results are the same bits. The memory (four times that of
/// the weights, at most 64 MiB) is given back when the last one is dropped.
///
/// For sampling and evaluation. In training, weights change with every step, and each version would be kept.
///
/// ```
/// let kept = sfumato_kernels::KeptFilters::new();
/// // … network evaluations …
/// drop(kept);
/// assert_eq!(sfumato_kernels::KeptFilters::bytes(), 0);
/// ```
#[derive(Debug)]
#[must_use = "filters are kept only while this lives"]
pub struct KeptFilters(());

impl KeptFilters {
    /// Begins to keep filters.
    #[expect(clippy::new_without_default, reason = "it has an effect")]
    pub fn new() -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        crate::host::filters::enter();
        Self(())
    }

    /// Bytes kept now.
    pub fn bytes() -> usize {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        return crate::host::filters::bytes();
        #[cfg(not(any(feature = "flex", feature = "ndarray")))]
        0
    }
}

impl Drop for KeptFilters {
    fn drop(&mut self) {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        crate::host::filters::leave();
    }
}
