//! Parameters out of a module, by name.

use std::{io, path::Path};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};

use crate::tensor_file::{Layout, NamedTensor, Precision, TensorFileError, write_stream};

/// All parameters of a module in the order of its fields, in host memory, as `f32`.
///
/// The names are the paths of the fields: for the networks of this crate, the names that diffusers uses.
///
/// # Panics
/// If the device fails while it is read, as all of Burn's reads do.
pub fn named_parameters<B: Backend, M: Module<B>>(module: &M) -> Vec<NamedTensor> {
    handles(module)
        .into_iter()
        .map(|handle| NamedTensor { values: host(handle.tensor), name: handle.name, shape: handle.shape })
        .collect()
}

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
    let mut handles = handles(module);
    handles.sort_by(|a, b| a.name.cmp(&b.name));
    let layout: Vec<Layout> =
        handles.iter().map(|handle| Layout { name: handle.name.clone(), shape: handle.shape.clone() }).collect();
    write_stream(path, &[("format", "pt")], precision, &layout, |index, sink| {
        let data = handles[index].tensor.clone().try_into_data().map_err(io::Error::other)?.convert::<f32>();
        sink(data.as_slice::<f32>().expect("the data was just converted to f32"))
    })
}

/// A parameter still on its device, flattened.
struct Handle<B: Backend> {
    name: String,
    shape: Vec<usize>,
    tensor: Tensor<B, 1>,
}

fn host<B: Backend>(tensor: Tensor<B, 1>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}

fn handles<B: Backend, M: Module<B>>(module: &M) -> Vec<Handle<B>> {
    struct Collect<B: Backend> {
        path: Vec<String>,
        handles: Vec<Handle<B>>,
    }
    impl<B: Backend> ModuleVisitor<B> for Collect<B> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let tensor = param.val().detach();
            let shape = tensor.dims().to_vec();
            let tensor = tensor.reshape([-1]);
            self.handles.push(Handle { name: self.path.join("."), shape, tensor });
        }
    }
    let mut collect = Collect { path: Vec::new(), handles: Vec::new() };
    module.visit(&mut collect);
    collect.handles
}
