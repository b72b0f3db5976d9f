//! Parameters out of a module, by name.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name, unique in its file.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Values, as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// All parameters of a module in the order of its fields, in host memory, as `f32`.
///
/// The names are the paths of the fields: for the networks of this crate, the names that diffusers uses.
///
/// # Panics
/// If the device fails while it is read, as all of Burn's reads do.
pub fn named_parameters<B: Backend, M: Module<B>>(module: &M) -> Vec<NamedTensor> {
    parameters(module)
        .into_iter()
        .map(|handle| NamedTensor { values: host(handle.tensor), name: handle.name, shape: handle.shape })
        .collect()
}

/// A parameter that is still on its device.
#[derive(Clone, Debug)]
pub struct Parameter<B: Backend> {
    /// The path of its field, as diffusers would call it.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Its values, flattened.
    pub tensor: Tensor<B, 1>,
}

fn host<B: Backend>(tensor: Tensor<B, 1>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}

/// All parameters of a module in the order of its fields, on their device: for what moves them one at a time.
pub fn parameters<B: Backend, M: Module<B>>(module: &M) -> Vec<Parameter<B>> {
    struct Collect<B: Backend> {
        path: Vec<String>,
        handles: Vec<Parameter<B>>,
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
            self.handles.push(Parameter { name: self.path.join("."), shape, tensor });
        }
    }
    let mut collect = Collect { path: Vec::new(), handles: Vec::new() };
    module.visit(&mut collect);
    collect.handles
}
