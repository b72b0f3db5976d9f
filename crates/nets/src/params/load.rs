//! Parameters into a module that exists already.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};

use super::{Init, ParamSource};
use crate::NetError;

/// `module` with the parameters of `source`, by the names of its fields. For networks of one's own, which are not made by a
/// [`Builder`](super::Builder): a source that [knows no values yet](ParamSource::is_stored) leaves the module as it was made.
///
/// # Examples
/// ```
/// use burn::{backend::Flex, nn::LinearConfig};
/// use sfumato_nets::params::{RandomParams, load, named_parameters};
///
/// let layer = LinearConfig::new(2, 3).init::<Flex>(&Default::default());
/// let before = named_parameters(&layer);
/// let layer = load(layer, &mut RandomParams::new(0))?;
/// assert_eq!(named_parameters(&layer), before);
/// # Ok::<(), sfumato_nets::NetError>(())
/// ```
///
/// # Errors
/// [`NetError::Source`] with what the source reports: of a file, every tensor that did not match.
pub fn load<B: Backend, M: Module<B>>(module: M, source: &mut dyn ParamSource) -> Result<M, NetError> {
    if !source.is_stored() {
        return Ok(module);
    }
    let mut mapper = Load { source, path: Vec::new() };
    let module = module.map(&mut mapper);
    source.finish().map_err(NetError::Source)?;
    Ok(module)
}

struct Load<'a> {
    source: &'a mut dyn ParamSource,
    path: Vec<String>,
}

impl<B: Backend> ModuleMapper<B> for Load<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let shape = param.val().dims();
        let values = self.source.values(&self.path.join("."), &shape, Init::Kept);
        // A source that has none says so when it is finished.
        if values.len() != shape.iter().product::<usize>() {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let loaded = Tensor::from_data(TensorData::new(values, shape), &tensor.device());
        let loaded = if tensor.is_require_grad() { loaded.require_grad() } else { loaded };
        Param::from_mapped_value(id, loaded, mapper)
    }
}
