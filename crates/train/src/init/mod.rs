//! A run that starts from a trained model: which network it trains, and what of the weights it takes.

mod record;
mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sfumato_data::Dataset;
use sfumato_files::files_sha256;
use sfumato_kernels::Backend;
use sfumato_model::{
    Blueprint,
    params::{Transfer, TransferParams, WantedParams},
    pipeline::{AnyConfig, Pipeline},
    tensor_file::WeightFiles,
};
use sfumato_nets::params::RandomParams;

use crate::{
    TrainConfig, TrainError,
    config::{DiffusionConfig, InitConfig, ModelConfig},
    spec::told_classes,
};

pub(crate) use record::write;

/// A trained model whose weights a run starts from, whoever trained it: a directory that opens as a [`Pipeline`].
///
/// Tensors are taken by name where name and shape fit. What the data decides is fitted:
///
/// | what is other | what is done |
/// | --- | --- |
/// | the classes | a class that both know by its name keeps its row; without names, as many classes keep theirs by number. Other classes start as the class that stands for "any", or as the mean of all |
/// | no classes there | every class starts as the network without classes |
/// | no classes here | the class that stands for "any" (or the mean of all) becomes part of the network |
/// | a learned variance here alone | the prediction is taken, the variance is new |
/// | a learned variance there alone | the prediction is taken |
/// | the number of channels | the first and the last layer are new |
#[derive(Clone, Debug)]
pub struct Source {
    pipeline: Pipeline,
    dir: PathBuf,
    sha256: String,
}

impl Source {
    /// Opens the model in `dir` as [`Pipeline::open`] does, and reads all of it for its checksum.
    ///
    /// # Errors
    /// [`TrainError::Init`] if there is no model, or a file of it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, TrainError> {
        Pipeline::open(dir).map_err(|error| unusable(dir, error)).and_then(Self::of)
    }

    /// The same of a model that is open already.
    ///
    /// # Errors
    /// [`TrainError::Init`] if a file of it cannot be read.
    pub fn of(pipeline: Pipeline) -> Result<Self, TrainError> {
        let dir = without_link(pipeline.dir());
        let files = WeightFiles::open(pipeline.weights()).map_err(|error| unusable(&dir, error))?;
        let config = pipeline.weights().with_file_name("config.json");
        let all = std::iter::once(config.as_path()).chain(files.paths().iter().map(PathBuf::as_path));
        let sha256 = files_sha256(all).map_err(|error| unusable(&dir, error))?;
        Ok(Self { pipeline, dir, sha256 })
    }

    /// The model that `init` names, if it is still the same.
    ///
    /// # Errors
    /// [`TrainError::Init`], also if its checksum is another.
    pub fn find(init: &InitConfig) -> Result<Self, TrainError> {
        Self::open(&init.from)?.checked(init)
    }

    /// The same model, if it is still the one that `init` names.
    ///
    /// # Errors
    /// [`TrainError::Init`] if its checksum is another.
    pub fn checked(self, init: &InitConfig) -> Result<Self, TrainError> {
        match &init.sha256 {
            Some(before) if *before != self.sha256 => {
                let reason = format!(
                    "it is not the model that the run is to start from: its SHA-256 is {}, expected {before} (init.sha256); leave \
                     that out to start from what is there now",
                    self.sha256
                );
                Err(TrainError::Init { path: init.from.clone(), reason })
            }
            _ => Ok(self),
        }
    }

    /// The model.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Its directory; of a link such as `runs/NAME/model`, where that leads now.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Checksum of the network: the SHA-256 of what `sha256sum` prints of its `config.json` and its files of weights, in this order, from
    /// within their folder.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What a run records of it.
    pub fn init(&self) -> InitConfig {
        InitConfig { from: self.dir.clone(), sha256: Some(self.sha256.clone()) }
    }

    /// The network and the process in the words of a configuration: the tables `model` and `diffusion`.
    ///
    /// # Errors
    /// [`TrainError::Init`] for a network that another program defines.
    pub fn settings(&self) -> Result<toml::Table, TrainError> {
        let spec = &self.pipeline.spec;
        if let AnyConfig::Own(own) = &spec.config {
            let reason =
                format!("its network is {}, which another program defines: only that can train it", own.class_name);
            return Err(TrainError::Init { path: self.dir.clone(), reason });
        }
        let scheduler = &spec.scheduler;
        let config = TrainConfig {
            model: ModelConfig::like(&spec.config),
            diffusion: DiffusionConfig {
                parameterization: scheduler.parameterization,
                variance: scheduler.variance,
                schedule: scheduler.schedule.clone(),
            },
            ..TrainConfig::default()
        };
        let mut table: toml::Table = config.to_toml().parse().expect("a configuration that was just written");
        table.retain(|key, _| key == "model" || key == "diffusion");
        Ok(table)
    }

    /// What of its weights the network of `blueprint` takes, for a run of `config` on `data`. No weight is read.
    ///
    /// # Errors
    /// [`TrainError::Init`] if that is nothing, or the file of weights is damaged; [`TrainError::Net`] if the network cannot be built.
    pub fn transfer<B, P, const D: usize>(
        &self,
        blueprint: &P,
        config: &TrainConfig,
        data: &dyn Dataset,
        device: &B::Device,
    ) -> Result<Transfer, TrainError>
    where
        B: Backend,
        P: Blueprint<D>,
    {
        let mut wanted = WantedParams::default();
        drop(blueprint.build::<B>(&mut wanted, device)?);
        let target = blueprint.config();
        let told = told_classes(&target, data);
        let rules = rules::rules(&self.pipeline, &target, &told, config.diffusion.variance);
        let transfer = Transfer::new(&self.files()?, &wanted.list, &rules);
        if transfer.is_empty() {
            let reason = format!(
                "none of its tensors has a name and a shape of the network that is to be trained, a {}; its own is a {}",
                target.class_name(),
                self.pipeline.spec.config.class_name()
            );
            return Err(TrainError::Init { path: self.dir.clone(), reason });
        }
        Ok(transfer)
    }

    /// The same for the network that `config` itself describes.
    ///
    /// # Errors
    /// As [`Source::transfer`]; [`TrainError::ConfigValue`] for a network that another program defines, or that does not fit the data.
    pub fn transfer_for<B: Backend>(
        &self,
        config: &TrainConfig,
        data: &dyn Dataset,
        device: &B::Device,
    ) -> Result<Transfer, TrainError> {
        match config.network(data)? {
            AnyConfig::UNet(network) => self.transfer::<B, _, 4>(&network, config, data, device),
            AnyConfig::Mlp(network) => self.transfer::<B, _, 2>(&network, config, data, device),
            AnyConfig::Own(own) => Err(TrainError::own_network(&own.class_name)),
        }
    }

    /// Reads every weight once: a damaged one is found before a run begins.
    ///
    /// # Errors
    /// [`TrainError::Init`] with the tensor.
    pub fn check_weights(&self, transfer: &Transfer) -> Result<(), TrainError> {
        let mut files = self.files()?;
        let names: Vec<String> = files.names().map(str::to_owned).collect();
        for name in names.iter().filter(|name| !transfer.left_out.contains(name)) {
            let values = files.read(name).map_err(|error| unusable(&self.dir, error))?;
            if !values.iter().all(|value| value.is_finite()) {
                let reason = format!("the tensor {name} holds values that are no finite numbers");
                return Err(TrainError::Init { path: self.dir.clone(), reason });
            }
        }
        Ok(())
    }

    /// The parameters that `transfer` takes; the others are those of a network that is new, of this seed.
    pub(crate) fn params(&self, transfer: Transfer, seed: u64) -> Result<TransferParams, TrainError> {
        Ok(TransferParams::new(self.files()?, transfer, RandomParams::new(seed)))
    }

    fn files(&self) -> Result<WeightFiles, TrainError> {
        WeightFiles::open(self.pipeline.weights()).map_err(|error| unusable(&self.dir, error))
    }

    /// What a run of `config` on `data` does otherwise than the model was trained for, a sentence each.
    pub fn differences(&self, config: &TrainConfig, data: &dyn Dataset) -> Vec<String> {
        let (spec, dir) = (&self.pipeline.spec, self.dir.display());
        let scheduler = &spec.scheduler;
        let mut notes = Vec::new();
        let [then, now] = [scheduler.parameterization, config.diffusion.parameterization].map(|what| what.name());
        if then != now {
            notes.push(format!(
                "{dir} was trained to predict {then}, and this run predicts {now}: it has to unlearn that first"
            ));
        }
        if scheduler.schedule != config.diffusion.schedule {
            let (then, now) = (scheduler.describe_schedule(), &config.diffusion.schedule);
            notes.push(format!("{dir} was trained with the noise schedule {then}, and this run uses {now}"));
        } else if scheduler.zero_terminal_snr {
            notes.push(format!(
                "the noise schedule of {dir} is rescaled to end in pure noise (rescale_betas_zero_snr); this run uses it as it is \
                 before that"
            ));
        }
        if let AnyConfig::UNet(network) = &spec.config
            && network.class_embed_type.is_some()
        {
            notes.push(format!(
                "the way in which {dir} is told the class (class_embed_type) is left out; only a table is trained here"
            ));
        }
        match (spec.config.example_shape().as_deref(), data.shape()) {
            (Some(&[_, h, w]), &[_, height, width]) if [h, w] != [height, width] => {
                notes.push(format!("{dir} is for pictures of {h}x{w}, and this run trains on {height}x{width}"));
            }
            _ => {}
        }
        notes
    }
}

fn unusable(dir: &Path, error: impl std::fmt::Display) -> TrainError {
    TrainError::Init { path: dir.to_owned(), reason: error.to_string() }
}

/// Where a link leads now, as a path of the same kind: tomorrow it may lead to another model.
fn without_link(dir: &Path) -> PathBuf {
    // Without a slash at the end, which would be that of what the link leads to.
    let dir = dir.components().as_path();
    match fs::read_link(dir) {
        Ok(target) => dir.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => dir.to_owned(),
    }
}
