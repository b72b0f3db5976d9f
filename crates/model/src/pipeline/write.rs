//! Writing a pipeline directory.

use std::{fs, path::Path};

use burn::{module::Module, tensor::backend::Backend};
use serde_json::json;
use sfumato_files::FileError;

use super::{AnyConfig, Facts, PipelineError, Scheduler, facts};
use crate::{
    json,
    params::write_parameters_as,
    tensor_file::{NamedTensor, Precision, TensorFileError, write_tensors},
};

/// Name of the weights file in `unet/`.
pub const WEIGHTS_FILE: &str = "diffusion_pytorch_model.safetensors";

/// Where the scheduler's configuration is.
const SCHEDULER_FILE: &str = "scheduler/scheduler_config.json";

/// The version of diffusers whose format is written.
pub(super) const DIFFUSERS_VERSION: &str = "0.35.2";

/// Everything about a model but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSpec {
    /// Structure of the network.
    pub config: AnyConfig,
    /// The process it is for.
    pub scheduler: Scheduler,
    /// What diffusers has no key for.
    pub facts: Facts,
}

impl PipelineSpec {
    /// Writes a pipeline directory with the parameters of `net` as weights.
    ///
    /// Every file appears whole or not at all, `model_index.json` last: a directory that has one is complete. Missing
    /// directories are made; other files in `dir` stay, a `README.md` of somebody else too.
    ///
    /// # Errors
    /// [`PipelineError`] that names the file that cannot be written, or the schedule that cannot be built.
    pub fn write<B: Backend, M: Module<B>>(&self, dir: &Path, net: &M) -> Result<(), PipelineError> {
        self.write_as(dir, net, Precision::F32)
    }

    /// As [`PipelineSpec::write`], with weights in `precision`.
    ///
    /// # Errors
    /// As [`PipelineSpec::write`]; a weight may also be beyond the range of `precision`.
    pub fn write_as<B: Backend, M: Module<B>>(
        &self,
        dir: &Path,
        net: &M,
        precision: Precision,
    ) -> Result<(), PipelineError> {
        self.write_with(dir, |path| write_parameters_as(net, path, precision))
    }

    /// As [`PipelineSpec::write`], with weights from host memory.
    ///
    /// # Errors
    /// As [`PipelineSpec::write`].
    pub fn write_tensors(&self, dir: &Path, weights: &[NamedTensor]) -> Result<(), PipelineError> {
        self.write_with(dir, |path| write_tensors(path, &[("format", "pt")], weights))
    }

    fn write_with(
        &self,
        dir: &Path,
        weights: impl FnOnce(&Path) -> Result<(), TensorFileError>,
    ) -> Result<(), PipelineError> {
        let scheduler_path = dir.join(SCHEDULER_FILE);
        let scheduler_json = self.scheduler.to_json();
        let scheduler_json =
            scheduler_json.map_err(|source| PipelineError::Schedule { path: scheduler_path.clone(), source })?;
        let (model, scheduler) = (dir.join("unet"), dir.join("scheduler"));
        for path in [&model, &scheduler] {
            fs::create_dir_all(path).map_err(|source| PipelineError::Io {
                path: path.clone(),
                action: "create",
                source,
            })?;
        }
        if let Err(error) = weights(&model.join(WEIGHTS_FILE)) {
            // As if nothing had been tried: only directories that are empty can be removed so.
            let _ = (fs::remove_dir(&model), fs::remove_dir(&scheduler));
            return Err(error.into());
        }

        let mut config = self.config.to_json();
        config.insert("_diffusers_version".into(), DIFFUSERS_VERSION.into());
        if let Some(facts) = self.facts.to_json() {
            config.insert(facts::KEY.into(), facts);
        }
        json::write(&model.join("config.json"), config)?;

        json::write(&scheduler_path, scheduler_json)?;
        self.write_card(dir, dir).map_err(|FileError { action, path, source }| PipelineError::Io {
            path,
            action,
            source,
        })?;

        let index = json!({
            "_class_name": "DDPMPipeline",
            "_diffusers_version": DIFFUSERS_VERSION,
            "scheduler": ["diffusers", self.scheduler.class_name],
            "unet": [self.config.library(), self.config.class_name()],
        });
        let index = index.as_object().cloned().unwrap_or_default();
        Ok(json::write(&dir.join("model_index.json"), index)?)
    }
}
