//! Reading a pipeline directory.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sfumato_kernels::Backend;
use sfumato_nets::{ConfigError, mlp::Mlp, unet::UNet2D};

use super::{
    AnyConfig, Facts, Note, PipelineError, PipelineSpec, Scheduler, Warning,
    index::Index,
    layout::{self, Layout},
    null_class, scheduler_class,
    scheduler_keys::is_of_others,
    weights,
};
use crate::{json, params::FileParams};

/// A pipeline directory whose configuration has been read; its weights wait on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Network, scheduler and further facts.
    pub spec: PipelineSpec,
    /// Choices that were made.
    pub notes: Vec<Note>,
    /// What was passed over, and what may be other than it should.
    pub warnings: Vec<Warning>,
    dir: PathBuf,
    config: PathBuf,
    scheduler: Option<PathBuf>,
    weights: PathBuf,
}

impl Pipeline {
    /// Reads the configuration in `dir`: a pipeline directory, with each part in its folder or in the root; the checkpoint of a
    /// trainer or the folder of the network alone, whose scheduler lies in a directory above; a run, whose newest model it
    /// then is.
    ///
    /// # Errors
    /// [`PipelineError`] that names the file if there is no model, or a file is missing, damaged or asks for something that is
    /// not supported.
    pub fn open(dir: &Path) -> Result<Self, PipelineError> {
        let Layout { root, model, index, scheduler, mut notes, mut warnings } = Layout::find(dir)?;

        let path = model.join("config.json");
        let value = json::read(&path)?;
        let config_error = |source| PipelineError::Config { path: path.clone(), source };
        let (config, unknown) = AnyConfig::from_json(&value).map_err(config_error)?;
        let facts = Facts::from_config(&value).map_err(config_error)?;
        null_class::check(&config, &facts).map_err(config_error)?;
        facts.check_names(&config).map_err(config_error)?;
        warnings.extend(unknown.into_iter().map(|key| Warning::UnknownKey { path: path.clone(), key }));

        let scheduler_path = scheduler;
        let scheduler = match &scheduler_path {
            Some(path) => {
                let scheduler = read_scheduler(path, index.as_ref(), &mut warnings)?;
                scheduler.noise_schedule().map_err(|source| PipelineError::Schedule { path: path.clone(), source })?;
                scheduler
            }
            None => {
                warnings.push(Warning::NoScheduler { dir: dir.into() });
                Scheduler::default()
            }
        };
        let weights = weights::find(&model, &mut notes, &mut warnings)?;
        let spec = PipelineSpec { config, scheduler, facts };
        Ok(Self { spec, notes, warnings, dir: root, config: path, scheduler: scheduler_path, weights })
    }

    /// The directory of the model: the one that was opened, or the model in it where that is a run or the like.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file with the network's configuration.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// The file with the scheduler's configuration, if there is one.
    pub fn scheduler_path(&self) -> Option<&Path> {
        self.scheduler.as_deref()
    }

    /// The weights file, or the index of a sharded one.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// Classes that can be asked for by name: all but the one that stands for "any". None of a model without classes.
    pub fn named_classes(&self) -> Option<usize> {
        let AnyConfig::UNet(config) = &self.spec.config else { return None };
        let unnamed = usize::from(self.spec.facts.null_class.is_some());
        config.num_classes().map(|classes| classes.saturating_sub(unnamed))
    }

    /// The parameters, for [`UNet2DConfig::build`](sfumato_nets::unet::UNet2DConfig::build) and its like.
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
        PipelineError::OtherModel { dir: self.dir.clone(), expected, found: found.class_name().to_owned() }
    }
}

impl Scheduler {
    /// Reads the scheduler at `path`: a `scheduler_config.json`, its folder, a pipeline or a part of one. Returns with it
    /// the file and what was passed over. Neither network nor weights need to be there; whether its betas make a noise schedule is
    /// not looked at.
    ///
    /// # Errors
    /// [`PipelineError`] that names the file if there is none, or it is damaged or asks for something that is not supported.
    pub fn open(path: &Path) -> Result<(Self, PathBuf, Vec<Warning>), PipelineError> {
        let mut warnings = Vec::new();
        let (file, index) = if path.is_file() {
            (path.to_owned(), None)
        } else {
            match layout::scheduler(path, &mut Vec::new()) {
                Some(file) => (file, Index::read(&path.join("model_index.json"))?),
                // A run, the directory of several checkpoints, or none of all.
                None => {
                    let Layout { root, index, scheduler, .. } = Layout::find(path)?;
                    let file = scheduler.ok_or(PipelineError::NoScheduler { dir: root })?;
                    (file, index)
                }
            }
        };
        let scheduler = read_scheduler(&file, index.as_ref(), &mut warnings)?;
        Ok((scheduler, file, warnings))
    }
}

/// Keys of which a scheduler's configuration has at least one.
const NAMING: [&str; 8] = [
    "_class_name",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "num_train_timesteps",
    "timesteps",
    "trained_betas",
    "prediction_type",
];

fn read_scheduler(path: &Path, index: Option<&Index>, warnings: &mut Vec<Warning>) -> Result<Scheduler, PipelineError> {
    let mut value = json::read(path)?;
    if let Some(map) = value.as_object().filter(|map| !NAMING.iter().any(|key| map.contains_key(*key)))
        && !map.is_empty()
    {
        let expected = "the class of a scheduler, as a scheduler_config.json of diffusers has it".into();
        let source = ConfigError::Value { key: NAMING[0], value: "not there".into(), expected };
        return Err(PipelineError::Config { path: path.into(), source });
    }
    let indexed = index.and_then(|index| Some((&index.path, index.scheduler.as_deref()?)));
    // Where the file does not say its class, the index does.
    if let (Some((_, class)), Some(map)) = (indexed, value.as_object_mut())
        && map.get("_class_name").is_none_or(Value::is_null)
    {
        map.insert("_class_name".into(), class.into());
    }
    let scheduler =
        Scheduler::from_json(&value).map_err(|source| PipelineError::Config { path: path.into(), source })?;
    if let Some((index, indexed)) =
        indexed.filter(|(_, indexed)| !scheduler_class::same(indexed, &scheduler.class_name))
    {
        let (indexed, used) = (indexed.to_owned(), scheduler.class_name.clone());
        warnings.push(Warning::SchedulerClass { index: index.clone(), indexed, used });
    }
    let passed_over = |(key, value): (&String, &Value)| {
        let (path, key) = (path.into(), key.clone());
        if scheduler.sampler().is_none() {
            let sampler = scheduler.nearest_sampler();
            return Warning::KeyOfMissing { path, key, value: value.to_string(), sampler };
        }
        if is_of_others(&key) {
            return Warning::KeyOfOthers { path, key, value: value.to_string(), class: scheduler.class_name.clone() };
        }
        Warning::UnknownKey { path, key }
    };
    warnings.extend(scheduler.unknown_keys().map(passed_over));
    Ok(scheduler)
}
