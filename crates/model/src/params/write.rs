//! Parameters of a module to a file.

use std::{io, path::Path};

use burn::{module::Module, tensor::backend::Backend};
use sfumato_nets::params::parameters;

use crate::tensor_file::{Layout, Precision, TensorFileError, write_stream};

/// Writes all parameters of a module to a safetensors file as diffusers does: `F32`, sorted by name, marked as torch's.
///
/// Tensors leave the device one at a time; the file appears whole or not at all.
///
/// # Errors
/// [`TensorFileError::Io`] if the file cannot be written.
pub fn write_parameters<B: Backend, M: Module<B>>(module: &M, path: &Path) -> Result<(), TensorFileError> {
    write_parameters_as(module, path, Precision::F32)
}

/// As [`write_parameters`], in `precision`.
///
/// # Errors
/// As [`write_parameters`]; a value may also be beyond the range of `precision`.
pub fn write_parameters_as<B: Backend, M: Module<B>>(
    module: &M,
    path: &Path,
    precision: Precision,
) -> Result<(), TensorFileError> {
    let mut handles = parameters(module);
    handles.sort_by(|a, b| a.name.cmp(&b.name));
    let layout: Vec<Layout> =
        handles.iter().map(|handle| Layout { name: handle.name.clone(), shape: handle.shape.clone() }).collect();
    write_stream(path, &[("format", "pt")], precision, &layout, |index, sink| {
        let data = handles[index].tensor.clone().try_into_data().map_err(io::Error::other)?.convert::<f32>();
        sink(data.as_slice::<f32>().expect("the data was just converted to f32"))
    })
}
