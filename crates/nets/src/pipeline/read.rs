//! Reading a pipeline directory.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sfumato_kernels::Backend;

use super::{AnyConfig, Facts, PipelineError, PipelineSpec, Scheduler, Warning, json, write::WEIGHTS_FILE};
use crate::{ConfigError, mlp::Mlp, params::FileParams, unet::UNet2D};

/// Names that weights go by, in the order of preference.
const WEIGHTS: [&str; 6] = [
    WEIGHTS_FILE,
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.bf16.safetensors",
    "diffusion_pytorch_model.safetensors.index.bf16.json",
];

/// A pipeline directory whose configuration has been read; its weights wait on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Network, scheduler and further facts.
    pub spec: PipelineSpec,
    /// What was passed over.
    pub warnings: Vec<Warning>,
    dir: PathBuf,
    weights: PathBuf,
}

impl Pipeline {
    /// Reads the configuration in `dir`: a pipeline directory, or a flat one with `config.json` and weights side by side.
    ///
    /// # Errors
    /// [`PipelineError`] that names the file if there is no model, or a file is missing, damaged or asks for something that is
    /// not supported.
    pub fn open(dir: &Path) -> Result<Self, PipelineError> {
        let layout = Layout::find(dir)?;
        let mut warnings = Vec::new();

        let path = layout.model.join("config.json");
        let value = json::read(&path)?;
        let config_error = |source| PipelineError::Config { path: path.clone(), source };
        let (config, unknown) = AnyConfig::from_json(&value).map_err(config_error)?;
        let facts = Facts::from_config(&value).map_err(config_error)?;
        check_null_class(&config, &facts).map_err(config_error)?;
        warnings.extend(unknown.into_iter().map(|key| Warning::UnknownKey { path: path.clone(), key }));

        let scheduler = match &layout.scheduler {
            Some(path) => {
                let value = json::read(path)?;
                let scheduler = Scheduler::from_json(&value)
                    .map_err(|source| PipelineError::Config { path: path.clone(), source })?;
                scheduler.noise_schedule().map_err(|source| PipelineError::Schedule { path: path.clone(), source })?;
                let unknown = scheduler.unknown_keys().cloned();
                warnings.extend(unknown.map(|key| Warning::UnknownKey { path: path.clone(), key }));
                scheduler
            }
            None => {
                warnings.push(Warning::NoScheduler { dir: dir.into() });
                Scheduler::default()
            }
        };
        let weights = find_weights(&layout.model)?;
        Ok(Self { spec: PipelineSpec { config, scheduler, facts }, warnings, dir: dir.into(), weights })
    }

    /// The directory that was opened.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The weights file, or the index of a sharded one.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// The parameters, for [`UNet2DConfig::build`](crate::unet::UNet2DConfig::build) and its like.
    ///
    /// # Errors
    /// [`PipelineError::Weights`] if the file is damaged.
    pub fn params(&self) -> Result<FileParams, PipelineError> {
        Ok(FileParams::open(&self.weights)?)
    }

    /// Builds the U-Net with its weights.
    ///
    /// # Errors
    /// [`PipelineError::OtherModel`] if it is none; [`PipelineError::Net`] if file and configuration disagree.
    pub fn load_unet<B: Backend>(&self, device: &B::Device) -> Result<UNet2D<B>, PipelineError> {
        match &self.spec.config {
            AnyConfig::UNet(config) => Ok(config.build(&mut self.params()?, device)?),
            other => Err(self.other_model("UNet2DModel", other)),
        }
    }

    /// Builds the multilayer perceptron with its weights.
    ///
    /// # Errors
    /// As [`Pipeline::load_unet`].
    pub fn load_mlp<B: Backend>(&self, device: &B::Device) -> Result<Mlp<B>, PipelineError> {
        match &self.spec.config {
            AnyConfig::Mlp(config) => Ok(config.build(&mut self.params()?, device)?),
            other => Err(self.other_model("SfumatoMLP", other)),
        }
    }

    fn other_model(&self, expected: &'static str, found: &AnyConfig) -> PipelineError {
        PipelineError::OtherModel { dir: self.dir.clone(), expected, found: found.class_name() }
    }
}

/// Where the parts of a pipeline are.
struct Layout {
    model: PathBuf,
    scheduler: Option<PathBuf>,
}

impl Layout {
    fn find(dir: &Path) -> Result<Self, PipelineError> {
        // A better message than "not found" for each of its files.
        std::fs::read_dir(dir).map_err(|source| PipelineError::Io { path: dir.into(), action: "open", source })?;
        let index = dir.join("model_index.json");
        if index.exists() {
            check_index(&index, &json::read(&index)?)?;
        }
        let nested = dir.join("unet");
        let model = if index.exists() || nested.join("config.json").exists() {
            nested
        } else if dir.join("config.json").exists() {
            dir.into()
        } else {
            let run = dir.join("model").join("model_index.json").exists();
            let hint = if run { " (it is a run; its newest model is the directory `model` in it)" } else { "" };
            return Err(PipelineError::NoModel { dir: dir.into(), hint });
        };
        let places = [dir.join("scheduler").join("scheduler_config.json"), dir.join("scheduler_config.json")];
        Ok(Self { model, scheduler: places.into_iter().find(|path| path.exists()) })
    }
}

/// Refuses pipelines with more parts than a network and a scheduler: their samples would not be the network's.
fn check_index(path: &Path, index: &Value) -> Result<(), PipelineError> {
    let Some(map) = index.as_object() else {
        let source = ConfigError::NotAnObject { found: index.to_string() };
        return Err(PipelineError::Config { path: path.into(), source });
    };
    for (component, class) in map {
        let name = class.get(1).and_then(Value::as_str);
        let fits = match component.as_str() {
            private if private.starts_with('_') => true,
            "unet" => matches!(name, Some("UNet2DModel" | "SfumatoMLP")),
            "scheduler" => name.is_some(),
            // Settings of the pipeline, and components that are left out.
            _ => !class.is_array() || class == &serde_json::json!([null, null]),
        };
        if !fits {
            let (component, class) = (component.clone(), class.to_string());
            return Err(PipelineError::Component { path: path.into(), component, class });
        }
    }
    Ok(())
}

fn check_null_class(config: &AnyConfig, facts: &Facts) -> Result<(), ConfigError> {
    let classes = match config {
        AnyConfig::UNet(config) => config.num_class_embeds.unwrap_or(0),
        AnyConfig::Mlp(_) => 0,
    };
    match facts.null_class {
        Some(label) if label >= classes => {
            let expected = format!("a `null_class` below num_class_embeds = {classes}");
            Err(ConfigError::Value { key: "_sfumato", value: format!("{{\"null_class\":{label}}}"), expected })
        }
        _ => Ok(()),
    }
}

fn find_weights(model: &Path) -> Result<PathBuf, PipelineError> {
    if let Some(path) = WEIGHTS.iter().map(|name| model.join(name)).find(|path| path.exists()) {
        return Ok(path);
    }
    let hint = if model.join("diffusion_pytorch_model.bin").exists() {
        ", only diffusion_pytorch_model.bin: save it again in diffusers with safe_serialization=True"
    } else {
        ""
    };
    Err(PipelineError::NoWeights { dir: model.into(), hint })
}
