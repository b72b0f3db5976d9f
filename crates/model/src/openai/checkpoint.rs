//! A checkpoint with the model that its flags describe.

use std::path::Path;

use sfumato_kernels::Backend;
use sfumato_nets::{NetError, unet::UNet2D};

use super::{CheckpointParams, Model, ModelError, OpenAiFlags};
use crate::{
    pipeline::{AnyConfig, Facts, PipelineError, PipelineSpec},
    state_names::OPENAI,
    tensor_file::{TensorFileError, WeightFiles},
};

/// Classes of a class-conditional model whose file has no table of them: both projects' `NUM_CLASSES`.
const CLASSES: usize = 1000;
/// Channels of a model whose file has no first convolution.
const CHANNELS: usize = 3;

/// An open checkpoint and the model that it is of.
#[derive(Debug)]
pub struct Checkpoint {
    /// Network and chain.
    pub model: Model,
    /// Choices that were made among what the file holds, a sentence each.
    pub notes: Vec<String>,
    params: CheckpointParams,
}

/// Why a checkpoint cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The flags describe nothing that can be expressed here.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Checkpoint {
    /// Opens `path`: a file of `torch.save`, or of safetensors. The numbers of classes and of image channels, which no flag gives, are the file's.
    ///
    /// # Errors
    /// [`CheckpointError`] if the file is damaged or the flags describe something that cannot be expressed.
    pub fn open(path: &Path, flags: &OpenAiFlags) -> Result<Self, CheckpointError> {
        let file = WeightFiles::open_for(path, OPENAI)?;
        let size = |name: &str, axis: usize| file.info(name)?.shape.get(axis).copied();
        let classes = size("label_emb.weight", 0).unwrap_or(CLASSES);
        let channels = size("input_blocks.0.0.weight", 1).unwrap_or(CHANNELS);
        let model = flags.model(classes, channels)?;
        let notes = file.notes().to_vec();
        let params = CheckpointParams::new(file, flags, &model.config);
        Ok(Self { model, notes, params })
    }

    /// Builds the network with the checkpoint's weights.
    ///
    /// # Errors
    /// [`NetError::Source`] with every tensor that does not fit the flags, or with the one that cannot be read.
    pub fn load<B: Backend>(&mut self, device: &B::Device) -> Result<UNet2D<B>, NetError> {
        self.model.config.build(&mut self.params, device)
    }

    /// Writes the model as a pipeline directory, with the network that [`Checkpoint::load`] built.
    ///
    /// # Errors
    /// As [`PipelineSpec::write`].
    pub fn write<B: Backend>(&self, dir: &Path, net: &UNet2D<B>, facts: Facts) -> Result<(), PipelineError> {
        let Model { config, scheduler, .. } = &self.model;
        let spec = PipelineSpec { config: AnyConfig::UNet(config.clone()), scheduler: scheduler.clone(), facts };
        spec.write(dir, net)
    }
}
