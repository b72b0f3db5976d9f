//! What is read of a model for its description: every weight once, and the state of its training.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use sfumato_kernels::Backend;
use sfumato_model::{
    params::{FileParams, WeightsMismatch},
    pipeline::{AnyConfig, Pipeline},
    tensor_file::{Dtype, WeightFiles},
};
use sfumato_nets::{
    SourceError,
    params::{Init, ParamSource},
};
use sfumato_train::{TrainConfig, TrainState};

use crate::backend::Work;

/// What the weights turned out to be.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// Size of all tensors in the file.
    pub(super) bytes: u64,
    /// Tensors of each element type.
    pub(super) types: BTreeMap<&'static str, usize>,
    /// Names of matrices and kernels that are zero everywhere.
    pub(super) zeros: Vec<String>,
    /// Where file and configuration disagree.
    pub(super) mismatch: Option<WeightsMismatch>,
}

/// Builds the network with its weights, as sampling would, and lets it go again.
pub(super) struct Inspecting {
    pub(super) pipeline: Pipeline,
}

impl Work for Inspecting {
    type Output = Weights;

    fn run<B: Backend>(self, device: B::Device) -> Result<Weights> {
        let mut weights = Weights::default();
        let files = WeightFiles::open(self.pipeline.weights())?;
        for info in files.names().filter_map(|name| files.info(name)) {
            weights.bytes += (info.shape.iter().product::<usize>() * info.dtype.size()) as u64;
            *weights.types.entry(type_name(info.dtype)).or_default() += 1;
        }
        let mut source = Watched { params: self.pipeline.params()?, zeros: Vec::new() };
        let built = match &self.pipeline.spec.config {
            AnyConfig::UNet(config) => config.build::<B>(&mut source, &device).map(drop),
            AnyConfig::Mlp(config) => config.build::<B>(&mut source, &device).map(drop),
            // Only its own program knows which tensors it has.
            AnyConfig::Own(_) => Ok(()),
        };
        match built {
            Ok(()) => {}
            Err(error) => match WeightsMismatch::of(&error) {
                Some(mismatch) => weights.mismatch = Some(mismatch.clone()),
                None => return Err(error.into()),
            },
        }
        weights.zeros = source.zeros;
        Ok(weights)
    }
}

fn type_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "F64",
        Dtype::F32 => "F32",
        Dtype::F16 => "F16",
        Dtype::BF16 => "BF16",
        Dtype::Other(_) => "another type",
    }
}

/// Parameters from a file, looked at on their way into the network.
struct Watched {
    params: FileParams,
    zeros: Vec<String>,
}

impl ParamSource for Watched {
    fn values(&mut self, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
        let values = self.params.values(name, shape, init);
        // Biases are often zero; a matrix never is once it was trained.
        if shape.len() > 1 && !values.is_empty() && values.iter().all(|&value| value == 0.0) {
            self.zeros.push(name.to_owned());
        }
        values
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        self.params.finish()
    }
}

/// How far a checkpoint's training has come, and what it would go on with.
#[derive(Debug)]
pub(super) struct Training {
    pub(super) state: TrainState,
    /// Decay of the moving average, if the configuration could be read.
    pub(super) ema_decay: Option<f64>,
    /// Files without which training cannot go on.
    pub(super) missing: Vec<PathBuf>,
}

impl Training {
    /// Reads `training/`, if there is one.
    pub(super) fn read(model: &Path) -> Result<Option<Self>> {
        let dir = model.join("training");
        if !dir.join("state.json").is_file() {
            return Ok(None);
        }
        let state = TrainState::read(model)?;
        let files = ["config.toml", "weights.safetensors", "optimizer.safetensors"].map(|file| dir.join(file));
        let missing = files.into_iter().filter(|file| !file.is_file()).collect();
        let ema_decay = TrainConfig::read(&dir.join("config.toml")).ok().map(|config| config.optimizer.ema_decay);
        Ok(Some(Self { state, ema_decay, missing }))
    }
}
