//! Per-example coefficients from the `f64` tables, shaped so that they broadcast over a batch.

use burn::tensor::{Tensor, TensorCreationOptions, TensorData, backend::Backend};

/// `values[i]` for example `i`, as `[batch, 1, …, 1]`; narrowed from `f64` only here.
///
/// `options` is a device, or a device with the element type of the tensor that the coefficients meet.
pub(crate) fn coefficients<B: Backend, const D: usize>(
    values: impl Iterator<Item = f64>,
    options: impl Into<TensorCreationOptions<B>>,
) -> Tensor<B, D> {
    let values: Vec<f64> = values.collect();
    let mut shape = [1; D];
    shape[0] = values.len();
    Tensor::from_data(TensorData::new(values, shape), options)
}

/// Checks that there is one step for each example of the batch.
///
/// # Panics
/// If the lengths differ: a mistake in the calling code.
#[track_caller]
pub(crate) fn check_steps<B: Backend, const D: usize>(x: &Tensor<B, D>, t: &[usize]) {
    let batch = x.dims()[0];
    assert_eq!(t.len(), batch, "one step is needed for each of the {batch} examples, {} were given", t.len());
}

/// Checks that two batches that meet have one shape: a tensor with one channel, or one example, would be broadcast over the other.
///
/// # Panics
/// If the shapes differ: a mistake in the calling code.
#[track_caller]
pub(crate) fn check_shapes<B: Backend, const D: usize>(a: (&str, &Tensor<B, D>), b: (&str, &Tensor<B, D>)) {
    let (shape_a, shape_b) = (a.1.dims(), b.1.dims());
    assert_eq!(shape_a, shape_b, "{} and {} must have the same shape", a.0, b.0);
}
