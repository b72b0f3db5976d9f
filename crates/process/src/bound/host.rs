//! Tensors read back as `f64`.

use burn::tensor::{Tensor, backend::Backend};

use super::BoundError;

/// The values in row-major order.
pub(crate) fn read<B: Backend, const D: usize>(x: Tensor<B, D>) -> Result<Vec<f64>, BoundError> {
    let data = x.try_into_data().map_err(|error| BoundError::Device { reason: error.to_string() })?;
    Ok(data.iter::<f64>().collect())
}

/// `Σ (a - b)²`, summed in order.
pub(super) fn squared_distance(a: &[f64], b: impl Iterator<Item = f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
