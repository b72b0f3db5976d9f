//! A checkpoint as a source of parameters.

use std::collections::BTreeSet;

use sfumato_nets::{
    SourceError,
    params::{Init, ParamSource},
    unet::UNet2DConfig,
};

use super::{
    OpenAiFlags,
    names::{Part, Source, qkv_rows, source},
};
use crate::{
    params::{Misshaped, WeightsMismatch},
    tensor_file::{Dtype, TensorFileError, WeightFiles},
};

/// Hands the tensors of a checkpoint to a network under the names of `UNet2DModel`.
///
/// Everything that does not fit is reported at once, under the checkpoint's own names.
#[derive(Debug)]
pub struct CheckpointParams {
    file: WeightFiles,
    config: UNet2DConfig,
    new_order: bool,
    used: BTreeSet<String>,
    mismatch: WeightsMismatch,
    failure: Option<TensorFileError>,
}

impl CheckpointParams {
    /// The parameters of the network `config`, which came from `flags`, in `file`.
    pub(super) fn new(file: WeightFiles, flags: &OpenAiFlags, config: &UNet2DConfig) -> Self {
        let mismatch = WeightsMismatch { path: file.path().into(), ..Default::default() };
        Self {
            file,
            config: config.clone(),
            new_order: flags.use_new_attention_order,
            used: BTreeSet::new(),
            mismatch,
            failure: None,
        }
    }

    fn find(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let Some(Source { name: stored, part }) = source(&self.config, name) else {
            self.mismatch.missing.push(name.into());
            return Vec::new();
        };
        let Some(tensor) = self.file.info(&stored).cloned() else {
            // Queries, keys and values miss the same tensor.
            if !self.mismatch.missing.contains(&stored) {
                self.mismatch.missing.push(stored);
            }
            return Vec::new();
        };
        let first = self.used.insert(stored.clone());
        let mut expected = shape.to_vec();
        match part {
            Part::Whole => {}
            Part::Linear => expected.push(1),
            Part::Qkv(_) => {
                expected[0] *= 3;
                if shape.len() == 2 {
                    expected.push(1);
                }
            }
        }
        if tensor.shape != expected {
            if first {
                let found = tensor.shape.clone();
                self.mismatch.misshaped.push(Misshaped { name: stored, expected, found });
            }
            return Vec::new();
        }
        if matches!(tensor.dtype, Dtype::Other(_)) {
            if first {
                self.mismatch.not_float.push(stored);
            }
            return Vec::new();
        }
        match self.file.read(&stored) {
            Ok(values) => {
                if first && !values.iter().all(|value| value.is_finite()) {
                    self.mismatch.not_finite.push(stored);
                }
                self.cut(values, part, shape)
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                Vec::new()
            }
        }
    }

    /// The rows of queries, keys or values; everything else as it is.
    fn cut(&self, values: Vec<f32>, part: Part, shape: &[usize]) -> Vec<f32> {
        let Part::Qkv(part) = part else { return values };
        let (channels, row) = (shape[0], shape[1..].iter().product::<usize>());
        let heads = self.config.heads(channels).0;
        let rows = qkv_rows(part, channels, heads, self.new_order);
        rows.into_iter().flat_map(|i| &values[i * row..(i + 1) * row]).copied().collect()
    }
}

impl ParamSource for CheckpointParams {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.find(name, shape)
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        let unused = self.file.names().filter(|&name| !self.used.contains(name));
        self.mismatch.unexpected = unused.map(str::to_owned).collect();
        if self.mismatch.is_empty() { Ok(()) } else { Err(self.mismatch.clone().into()) }
    }
}
