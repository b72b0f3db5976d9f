//! A run that starts: from a preset, a file, or the default for the pictures at hand.

use std::path::Path;

use anyhow::Result;
use sfumato_data::Dataset;
use sfumato_data::{DatasetSpec, LoadedDataset};
use sfumato_schedule::ScheduleConfig;
use sfumato_train::{
    DEFAULT_PRESET, RunDir, Source, TrainConfig, TrainError,
    config::{DEFAULT_MINUTES, Length, ModelConfig},
    free_run_path,
};

use super::{super::schedule::source::Source as ScheduleSource, apply_flags, init, overrides};
use crate::args::{TrainArgs, UsageError};

/// Fewer pictures than this are learned by heart within minutes.
const FEW: usize = 200;
/// A network whose lowest level is larger sees too little of the picture at once.
const LARGEST_BOTTOM: usize = 16;

/// What the configuration is laid upon.
enum Base {
    /// A preset, a file, or a file over a preset.
    Named { preset: Option<String> },
    /// What suits the data, which has to be seen first.
    Sized,
}

/// The plan of a run that starts.
pub(super) struct NewRun {
    args: Box<TrainArgs>,
    base: Base,
    overrides: Vec<(Vec<String>, toml::Value)>,
    /// The model that it starts from.
    source: Option<Source>,
    /// The noise schedule, where the arguments name one.
    schedule: Option<ScheduleConfig>,
}

impl NewRun {
    /// What the arguments come to; what can be wrong without the data is found here.
    pub(super) fn plan(args: Box<TrainArgs>) -> Result<Self> {
        let overrides = overrides(&args)?;
        let set_dataset = overrides.iter().rev().find(|(key, _)| key.join(".") == "data.dataset");
        let base = match (&args.preset, &args.config, &args.dataset) {
            (Some(name), _, _) => Base::Named { preset: Some(name.clone()) },
            (None, Some(_), _) => Base::Named { preset: None },
            // A plane wants an MLP.
            (None, None, Some(DatasetSpec::Toy(_))) => Base::Named { preset: Some("swiss-roll".to_owned()) },
            (None, None, Some(DatasetSpec::FashionMnistMini)) => {
                Base::Named { preset: Some(DEFAULT_PRESET.to_owned()) }
            }
            (None, None, Some(_)) => Base::Sized,
            (None, None, None) => match set_dataset.and_then(|(_, value)| value.as_str()) {
                Some(text) if text.starts_with("toy:") || text == DEFAULT_PRESET => {
                    Base::Named { preset: Some(DEFAULT_PRESET.to_owned()) }
                }
                Some(_) => Base::Sized,
                None => Base::Named { preset: Some(DEFAULT_PRESET.to_owned()) },
            },
        };
        let source = init::open(&args, &overrides)?;
        let named = |text: &String| ScheduleSource::find(text, None)?.config();
        let schedule = args.schedule.as_ref().map(named).transpose()?;
        let new = Self { args, base, overrides, source, schedule };
        match new.config_without_data()? {
            Some(config) => config.validate()?,
            None => drop(new.data_settings()?),
        }
        Ok(new)
    }

    /// Whether the configuration is only to be shown.
    pub(super) fn print_only(&self) -> bool {
        self.args.print_config
    }

    /// The model that the run starts from.
    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The whole configuration, where it can be known without the data.
    pub(super) fn whole_without_data(&self) -> Result<Option<TrainConfig>> {
        // Whether classes are learned depends on the data too.
        if self.source.is_some() { Ok(None) } else { self.config_without_data() }
    }

    /// The configuration, where it does not depend on the data but for the classes of a model that the run starts from.
    fn config_without_data(&self) -> Result<Option<TrainConfig>> {
        match &self.base {
            Base::Sized => Ok(None),
            Base::Named { preset } => {
                let settings = self.settings()?;
                let config = match preset {
                    // Nobody has asked for it.
                    Some(name) if self.args.preset.is_none() => {
                        TrainConfig::preset_under(name, settings, &self.overrides)?
                    }
                    _ => TrainConfig::layered_on(
                        settings,
                        preset.as_deref(),
                        self.args.config.as_deref(),
                        &self.overrides,
                    )?,
                };
                self.with_flags(config).map(Some)
            }
        }
    }

    /// What the model that the run starts from says of its network and its process.
    fn settings(&self) -> Result<toml::Table> {
        Ok(self.source.as_ref().map(Source::settings).transpose()?.unwrap_or_default())
    }

    /// A configuration that is right about the data: enough to load it.
    pub(super) fn data_settings(&self) -> Result<TrainConfig> {
        match self.config_without_data()? {
            Some(config) => Ok(config),
            None => self.with_flags(TrainConfig::layered_on(self.settings()?, None, None, &self.overrides)?),
        }
    }

    /// The configuration for `data`, and where it comes from.
    pub(super) fn config(&self, data: &LoadedDataset) -> Result<(TrainConfig, String)> {
        let (mut config, mut origin) = self.config_alone(data)?;
        let Some(source) = &self.source else { return Ok((config, origin)) };
        let dir = source.dir().display();
        let says_classes = self.args.class_conditional
            || self.args.preset.is_some()
            || self.args.config.is_some()
            || self.sets("model.class_conditional");
        if config.model.class_conditional() && data.classes().is_none() && !says_classes {
            say!("note: {} has no labels, so that this run learns no classes; {dir} did", data.name());
            config.model.forget_classes();
        }
        origin += &format!("; network and process are those of {dir} where nothing else is said");
        Ok((config, origin))
    }

    fn config_alone(&self, data: &LoadedDataset) -> Result<(TrainConfig, String)> {
        if let Some(config) = self.config_without_data()? {
            let preset = match &self.base {
                Base::Named { preset: Some(name) } => Some(format!("preset {name}")),
                _ => None,
            };
            let file = self.args.config.as_ref().map(|path| path.display().to_string());
            let origin = preset.into_iter().chain(file).collect::<Vec<_>>().join(" and ");
            return Ok((config, origin));
        }
        let set =
            |key: &str| self.overrides.iter().rev().find(|(path, _)| path.join(".") == key).map(|(_, value)| value);
        let steps = set("training.steps").and_then(toml::Value::as_integer).and_then(|steps| u64::try_from(steps).ok());
        let minutes = set("training.max_minutes")
            .and_then(|minutes| minutes.as_float().or_else(|| minutes.as_integer().map(|minutes| minutes as f64)));
        let length = Length { steps: self.args.steps.or(steps), minutes: self.args.minutes.or(minutes) };
        let config = TrainConfig::sized_under(self.settings()?, data, length, &self.overrides)?;
        let config = self.with_flags(config)?;
        let origin = match data.shape() {
            [_, height, width] => {
                format!("default for {height}x{width} pictures, as no --preset or --config was named")
            }
            _ => "preset swiss-roll, as the data are points".to_owned(),
        };
        if data.len() < FEW && data.shape().len() == 3 {
            say!(
                "note: {} pictures are few: the model will learn them by heart and draw little else; some hundreds are needed for new ones",
                data.len()
            );
        }
        if let (&[_, height, width], ModelConfig::Unet(spec), None) = (data.shape(), &config.model, &self.source) {
            let lowest = height.min(width) >> (spec.channels.len() - 1);
            // Whoever has chosen the levels knows it.
            if lowest > LARGEST_BOTTOM && !self.sets("model.channels") {
                let halvings = spec.channels.len() - 1;
                let times = if halvings == 1 { "once".to_owned() } else { format!("{halvings} times") };
                say!(
                    "note: pictures of {height}x{width} can be halved only {times}; with sides that are multiples of 8 or 16, as by \
                     --image-size {}, the network is faster and sees more of the picture at once",
                    (height.min(width) / 16 * 16).max(16)
                );
            }
        }
        if length == Length::default() && config.training.max_minutes == DEFAULT_MINUTES {
            say!(
                "note: the run ends after {DEFAULT_MINUTES} minutes of training; --minutes M or --steps N sets another end"
            );
        }
        Ok((config, origin))
    }

    /// Makes the run's directory.
    pub(super) fn create_dir(&self, config: &TrainConfig, environment: &serde_json::Value) -> Result<RunDir> {
        if let Some(out) = &self.args.out {
            return Ok(RunDir::create(out, config, environment)?);
        }
        let name = match (&self.base, &self.args.dataset) {
            (Base::Named { preset: Some(preset) }, None) => preset.clone(),
            _ => run_name(&config.data.dataset),
        };
        loop {
            match RunDir::create(&free_run_path(&name), config, environment) {
                // Another process has just taken the name: the next one is free.
                Err(TrainError::Held { .. } | TrainError::RunExists { .. }) => {}
                created => return Ok(created?),
            }
        }
    }

    /// Whether `--set` names this key.
    fn sets(&self, key: &str) -> bool {
        self.overrides.iter().any(|(path, _)| path.join(".") == key)
    }

    fn with_flags(&self, mut config: TrainConfig) -> Result<TrainConfig> {
        let args = &self.args;
        apply_flags(&mut config, args);
        if let Some(schedule) = &self.schedule {
            config.diffusion.schedule = schedule.clone();
        }
        if let Some(source) = &self.source {
            config.init = Some(source.init());
        }
        if self.source.is_some() || self.schedule.is_some() {
            // This chain may have fewer steps than the grids of the default.
            if args.config.is_none() && !self.sets("samples.steps") {
                config.samples.steps = config.samples.steps.min(config.diffusion.schedule.steps());
            }
        }
        config.check_paths()?;
        // The file may be that of a run which went on with another rate: a new one counts from its first step.
        config.optimizer.start_step = 0;
        // And its plan is for its own time limit; without a new one, the steps that it did are done again, to the same bits.
        let sets_length = self.sets("training.steps") || self.sets("training.max_minutes");
        if args.steps.is_some() || args.minutes.is_some() || sets_length {
            config.training.plan.clear();
        }
        config.data.image_size = args.image_size.or(config.data.image_size);
        config.data.channels = args.channels.or(config.data.channels);
        config.data.background = args.background.or(config.data.background);
        config.data.labels = args.labels.or(config.data.labels);
        config.data.range = args.range.or(config.data.range);
        if let Some(variance) = args.variance {
            config.diffusion.variance = variance.into();
        }
        config.objective.loss = args.loss.map(Into::into).or(config.objective.loss);
        if args.class_conditional && !config.model.set_class_conditional() {
            return Err(UsageError("--class-conditional: only a U-Net learns classes".to_owned()).into());
        }
        Ok(config)
    }
}

/// A directory name for a run on `dataset`: what its last part is called.
fn run_name(dataset: &DatasetSpec) -> String {
    let text = dataset.to_string();
    let path = Path::new(text.split_once(':').map_or(text.as_str(), |(_, rest)| rest));
    let name = path.file_stem().map_or("run".into(), |name| name.to_string_lossy());
    name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}
