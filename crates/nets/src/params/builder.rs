//! The hand that layers build with: a source, a device and the current path.

use burn::{
    module::{Param, ParamId},
    tensor::{Tensor, TensorData, backend::Backend},
};

use super::{Init, ParamSource};
use crate::NetError;

/// Creates parameters from a [`ParamSource`] while keeping track of the path in the network.
///
/// The path of a parameter here is by construction the path that a Burn visitor sees, since both follow the field names.
pub struct Builder<'a, B: Backend> {
    source: &'a mut dyn ParamSource,
    device: &'a B::Device,
    path: Vec<String>,
    dropouts: u32,
}

impl<'a, B: Backend> Builder<'a, B> {
    /// Starts at the root of a network on `device`.
    pub fn new(source: &'a mut dyn ParamSource, device: &'a B::Device) -> Self {
        Self { source, device, path: Vec::new(), dropouts: 0 }
    }

    /// Builds the module that lives in field `name` (or at index `name` of a list).
    pub fn within<T>(&mut self, name: impl ToString, build: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_string());
        let module = build(self);
        self.path.pop();
        module
    }

    /// Builds the list of modules that lives in field `name`.
    pub fn list<S, T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = S>,
        mut build: impl FnMut(&mut Self, S) -> T,
    ) -> Vec<T> {
        self.within(name, |b| {
            items.into_iter().enumerate().map(|(index, item)| b.within(index, |b| build(b, item))).collect()
        })
    }

    /// The parameter in field `name` of the current module.
    pub fn param<const D: usize>(&mut self, name: &str, shape: [usize; D], init: Init) -> Param<Tensor<B, D>> {
        let path = self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        let values = self.source.values(&path, &shape, init);
        if values.len() == shape.iter().product::<usize>() {
            Param::from_data(TensorData::new(values, shape), self.device)
        } else {
            self.placeholder(shape)
        }
    }

    /// A parameter that never comes to life: the source has failed, and `finish` will say so.
    fn placeholder<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<B, D>> {
        let empty = |device: &B::Device, _| Tensor::zeros([0; D], device);
        Param::uninitialized(ParamId::new(), empty, self.device.clone(), false, shape.into())
    }

    /// The number of the next dropout layer.
    pub fn next_dropout(&mut self) -> u32 {
        self.dropouts += 1;
        self.dropouts - 1
    }

    /// Ends the construction.
    ///
    /// # Errors
    /// [`NetError::Source`] with what the source reports: of a file, every tensor that did not match.
    pub fn finish(&mut self) -> Result<(), NetError> {
        self.source.finish().map_err(NetError::Source)
    }
}
