//! The type of numbers that a network computes in: that of its parameters.

use burn::tensor::{Tensor, backend::Backend};

/// `x` in the type of `weight`: what does not come from the caller starts in the backend's own.
pub(crate) fn in_type_of<B: Backend, const D: usize, const E: usize>(
    x: Tensor<B, D>,
    weight: &Tensor<B, E>,
) -> Tensor<B, D> {
    if x.dtype() == weight.dtype() { x } else { x.cast(weight.dtype()) }
}
