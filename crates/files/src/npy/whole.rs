//! Whole arrays of `float32`.

use std::path::Path;

use super::header::Header;
use super::{NpyError, NpyReader};
use crate::write_atomically;

/// Reads a `float32` array of any shape: its shape and its values in C order.
///
/// # Errors
/// [`NpyError`], as [`NpyReader::open`] and [`NpyReader::read_f32`].
pub fn read_npy_f32(path: &Path) -> Result<(Vec<usize>, Vec<f32>), NpyError> {
    let reader = NpyReader::open(path)?;
    let shape = reader.shape().iter().map(|&n| n as usize).collect();
    Ok((shape, reader.read_f32()?))
}

/// Writes a `float32` array in C order, as `numpy.save` would.
///
/// # Errors
/// [`NpyError::Count`] if the number of values is not the product of the shape; [`NpyError::Write`].
pub fn write_npy_f32(path: &Path, shape: &[usize], values: &[f32]) -> Result<(), NpyError> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(NpyError::Count { path: path.to_owned(), shape: shape.to_vec(), values: values.len() });
    }
    let shape = shape.iter().map(|&n| n as u64).collect();
    let mut bytes = Header { descr: "<f4".to_owned(), fortran_order: false, shape }.encode();
    bytes.reserve_exact(4 * values.len());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    Ok(write_atomically(path, &bytes)?)
}
