//! Parameters that are part of the program.

use half::f16;
use safetensors::{Dtype, SafeTensors};
use sfumato_nets::{
    SourceError,
    params::{Init, ParamSource},
};

/// The tensors of a safetensors file in memory, in half precision.
pub(super) struct Embedded {
    tensors: SafeTensors<'static>,
    missing: Vec<String>,
}

impl Embedded {
    /// The tensors in `bytes`.
    pub(super) fn new(bytes: &'static [u8]) -> Result<Self, SourceError> {
        Ok(Self { tensors: SafeTensors::deserialize(bytes)?, missing: Vec::new() })
    }
}

impl ParamSource for Embedded {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        match self.tensors.tensor(name) {
            Ok(tensor) if tensor.shape() == shape && tensor.dtype() == Dtype::F16 => {
                let halves = tensor.data().as_chunks::<2>().0.iter();
                halves.map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
            }
            _ => {
                self.missing.push(name.to_owned());
                Vec::new()
            }
        }
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        match &self.missing[..] {
            [] => Ok(()),
            missing => Err(format!("the embedded weights are not those of the network: {}", missing.join(", ")).into()),
        }
    }
}
