//! Everything that decides a run, in one TOML file.
//!
//! Layers, later ones winning: the defaults, a preset, a file, flags of the command line. The result is written whole to
//! `runs/NAME/config.toml` before the first step.

mod length;
mod model;
mod presets;
mod room;
mod sized;
mod syntax;

pub use model::{MlpSpec, ModelConfig, UNetSpec};
pub use presets::{DEFAULT_PRESET, PRESETS, Preset};
pub use room::least_to_predict;
pub use sized::{DEFAULT_MINUTES, Length};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sfumato_data::{Background, Dataset, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, Split, ValueRange};
use sfumato_files::read_text;
use sfumato_model::pipeline::AnyConfig;
use sfumato_process::{Loss, ModelVariance, Objective, Parameterization, bound::Decoder, times::Times};
use sfumato_schedule::{CheckConditions, Finding, ScheduleConfig, Severity, probability::LikelihoodCdf};

use crate::{PlanPoint, TrainError, error::IoContext};

/// Most examples in a batch, and most samples in a grid: far above use, low enough that products of sizes cannot overflow.
const MOST: usize = 1 << 20;

/// A whole training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of every random number of the run.
    pub seed: u64,
    /// Where the data comes from.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// The chain and what the network predicts.
    pub diffusion: DiffusionConfig,
    /// What is trained towards.
    pub objective: ObjectiveConfig,
    /// How the weights move.
    pub optimizer: OptimizerConfig,
    /// How long, and what is written when.
    pub training: TrainingConfig,
    /// Sample grids made while training.
    pub samples: SamplesConfig,
}

/// Where the data comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `fashion-mnist-mini`, `cifar10`, `folder:PATH`, …
    pub dataset: DatasetSpec,
    /// Directory with the files of a named data set; found or downloaded where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Size to which images are resized and cropped: `64`, or `[64, 128]` for height and width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB) for images of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// What transparent images are laid on: `white` if nothing is said, `black`, `#rrggbb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    /// Where the classes of a folder's images come from: `auto` if nothing is said, `folders`, `file-names`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsFrom>,
    /// Which numbers of an array are black and white, as in `0..1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<ValueRange>,
    /// Mirror images left to right at random.
    pub flip: bool,
    /// Stop at the first unreadable image instead of leaving it out.
    pub strict: bool,
}

/// The chain and what the network predicts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffusionConfig {
    /// What the network's output means.
    pub parameterization: Parameterization,
    /// The variance of the reverse steps; `learned-range` and `learned` give the network twice the outputs.
    pub variance: ModelVariance,
    /// The noise schedule.
    pub schedule: ScheduleConfig,
}

/// What is trained towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// The loss; left out, `simple` for a fixed variance and `hybrid` for a learned one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// How the steps of a batch are drawn.
    pub times: Times,
}

/// Adam with linear warm-up, global-norm clipping and an exponential moving average of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises linearly from 0.
    pub warmup_steps: u64,
    /// What the learning rate does after the warm-up.
    pub decay: LearningRateDecay,
    /// Step after which warm-up and decay begin: 0, or where the run went on with another learning rate.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_step: u64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay (AdamW); 0 is Adam.
    pub weight_decay: f64,
    /// The gradient's global norm is cut to this; 0 leaves it.
    pub clip_norm: f64,
    /// Ceiling of the moving average's decay; at step `s` (from 0) it is `min(ema_decay, (1 + s) / (10 + s))`.
    pub ema_decay: f64,
}

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRateDecay {
    /// Stays.
    #[default]
    Constant,
    /// Falls to 0 at the last step along half a cosine.
    Cosine,
}

/// How long, and what is written when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps of the whole run.
    pub steps: u64,
    /// Examples per step.
    pub batch_size: usize,
    /// Ends the run after so many minutes of training; 0 for no limit. A rate that falls is laid over the steps that fit.
    pub max_minutes: f64,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints; one is written at the end in any case.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept, the newest; 0 keeps all.
    pub keep_checkpoints: usize,
    /// What the run itself has written down of the steps that fit into `max_minutes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<PlanPoint>,
}

/// Sample grids made while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplesConfig {
    /// Steps between grids; 0 makes one at the end only.
    pub every: u64,
    /// Samples in a grid.
    pub num: usize,
    /// Steps of the sampler: ancestral sampling over so many of the schedule's steps.
    pub steps: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dataset: DatasetSpec::FashionMnistMini,
            dir: None,
            image_size: None,
            channels: None,
            background: None,
            labels: None,
            range: None,
            flip: false,
            strict: false,
        }
    }
}

impl DataConfig {
    /// How the split is loaded that a run of this configuration trains on.
    pub fn load_options(&self, seed: u64) -> LoadOptions {
        LoadOptions {
            split: Split::Train,
            image_size: self.image_size,
            channels: self.channels,
            background: self.background.unwrap_or_default(),
            labels: self.labels.unwrap_or_default(),
            range: self.range,
            strict: self.strict,
            data_dir: self.dir.clone(),
            seed,
            ..LoadOptions::default()
        }
    }
}

impl Default for OptimizerConfig {
    /// Ho et al. (2020), Appendix B: Adam, 2e-4, 5000 steps of warm-up, norm 1, EMA 0.9999.
    fn default() -> Self {
        Self {
            learning_rate: 2e-4,
            warmup_steps: 5000,
            decay: LearningRateDecay::Constant,
            start_step: 0,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            ema_decay: 0.9999,
        }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 100_000,
            batch_size: 64,
            max_minutes: 0.0,
            log_every: 10,
            checkpoint_every: 1000,
            keep_checkpoints: 3,
            plan: Vec::new(),
        }
    }
}

impl Default for SamplesConfig {
    fn default() -> Self {
        Self { every: 1000, num: 64, steps: 50 }
    }
}

impl TrainConfig {
    /// Reads a preset or the defaults, a file over it, and single values (a path of keys and a value) over that.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be read; [`TrainError::ConfigSyntax`] for TOML errors, unknown keys and
    /// wrong types, with the file, the line and the key; [`TrainError::UnknownPreset`].
    pub fn layered(
        preset: Option<&str>,
        file: Option<&Path>,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        let mut table = match preset {
            Some(name) => parse(Preset::find(name)?.toml, &format!("preset {name}"))?,
            None => toml::Table::new(),
        };
        let mut origin = preset.map_or_else(|| "defaults".to_owned(), |name| format!("preset {name}"));
        if let Some(path) = file {
            let text = read_text(path).context("read", path)?;
            origin = path.display().to_string();
            overlay(&mut table, parse(&text, &origin)?);
            let mut whole = table.clone();
            complete_model(&mut whole);
            if let Err(error) = whole.try_into::<Self>() {
                // Read from the text itself, errors carry line numbers; they lack keys, which this one has. What is wrong with
                // the network shows in the text only if it says its kind.
                let key = syntax::key_of(&error);
                return Err(match toml::from_str::<Self>(&text) {
                    Err(placed) if !placed.message().contains("missing field") => {
                        syntax::error(&origin, &placed, key.as_deref())
                    }
                    _ => syntax::error(&origin, &error, None),
                });
            }
        }
        Self::over(table, &origin, overrides)
    }

    /// Single values over a table that came from `origin`.
    fn over(
        mut table: toml::Table,
        origin: &str,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        for (keys, value) in overrides {
            let nested = keys
                .iter()
                .rev()
                .fold(value.clone(), |value, key| toml::Table::from_iter([(key.clone(), value)]).into());
            if let toml::Value::Table(nested) = nested {
                overlay(&mut table, nested);
            }
        }
        let with_set = if overrides.is_empty() { "" } else { " with --set" };
        complete_model(&mut table);
        table.try_into().map_err(|error| syntax::error(&format!("{origin}{with_set}"), &error, None))
    }

    /// Reads a complete configuration, as written by [`to_toml`](Self::to_toml).
    ///
    /// # Errors
    /// As [`layered`](Self::layered).
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        Self::layered(None, Some(path), &[])
    }

    /// The whole configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration has string keys and plain values only")
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] with the key, the value and what would be valid; [`TrainError::Schedule`].
    pub fn validate(&self) -> Result<(), TrainError> {
        let OptimizerConfig { learning_rate, beta_1, beta_2, epsilon, weight_decay, clip_norm, ema_decay, .. } =
            self.optimizer;
        let TrainingConfig { steps, batch_size, max_minutes, log_every, checkpoint_every, .. } = self.training;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let not_negative = |x: f64| x >= 0.0 && x.is_finite();
        check("optimizer.learning_rate", learning_rate, positive(learning_rate), "a number above 0")?;
        check("optimizer.beta_1", beta_1, (0.0..1.0).contains(&beta_1), "a number in [0, 1)")?;
        check("optimizer.beta_2", beta_2, (0.0..1.0).contains(&beta_2), "a number in [0, 1)")?;
        check("optimizer.epsilon", epsilon, positive(epsilon), "a number above 0")?;
        check("optimizer.weight_decay", weight_decay, not_negative(weight_decay), "0 or a number above it")?;
        check("optimizer.clip_norm", clip_norm, not_negative(clip_norm), "0 (no clipping) or a number above it")?;
        check("optimizer.ema_decay", ema_decay, (0.0..1.0).contains(&ema_decay), "a number in [0, 1)")?;
        check("training.steps", steps, steps > 0, "at least 1")?;
        check("training.batch_size", batch_size, (1..=MOST).contains(&batch_size), &format!("1 to {MOST}"))?;
        check("training.max_minutes", max_minutes, not_negative(max_minutes), "0 (no limit) or a number above it")?;
        check("training.log_every", log_every, log_every > 0, "at least 1")?;
        check("training.checkpoint_every", checkpoint_every, checkpoint_every > 0, "at least 1")?;
        check("samples.num", self.samples.num, (1..=MOST).contains(&self.samples.num), &format!("1 to {MOST}"))?;
        let total = self.diffusion.schedule.build()?.steps();
        let sampler_steps = self.samples.steps;
        check(
            "samples.steps",
            sampler_steps,
            (1..=total).contains(&sampler_steps),
            &format!("1 to {total}, the schedule's steps"),
        )?;
        let untrained = self.objective.loss == Some(Loss::Simple) && self.diffusion.variance.learned().is_some();
        check(
            "objective.loss",
            "\"simple\"",
            !untrained,
            &format!("\"hybrid\" or \"vlb\", as nothing else trains the variance {}", self.diffusion.variance.name()),
        )?;
        length::check_plan(&self.training.plan)?;
        self.model.validate()
    }

    /// The loss on `data`: with the decoder for 256 levels where the data has them.
    pub fn objective(&self, data: &dyn Dataset) -> Objective {
        let DiffusionConfig { parameterization, variance, .. } = self.diffusion;
        let usual = if variance.learned().is_some() { Loss::Hybrid } else { Loss::Simple };
        Objective {
            parameterization,
            variance,
            loss: self.objective.loss.unwrap_or(usual),
            decoder: if data.is_discrete() { Decoder::Discretized(LikelihoodCdf::Exact) } else { Decoder::Gaussian },
        }
    }
}

impl TrainConfig {
    /// Checks that the network can be trained on `data`.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] if the network does not fit its shape or its labels.
    pub fn check_data(&self, data: &dyn Dataset) -> Result<(), TrainError> {
        self.network(data).map(drop)
    }

    /// The network that is trained on `data`.
    ///
    /// # Errors
    /// As [`TrainConfig::check_data`].
    pub fn network(&self, data: &dyn Dataset) -> Result<AnyConfig, TrainError> {
        let variance = self.diffusion.variance;
        match &self.model {
            ModelConfig::Unet(spec) => {
                let config = spec.resolve(data, variance)?;
                config.validate().map_err(model::as_written)?;
                Ok(AnyConfig::UNet(config))
            }
            ModelConfig::Mlp(spec) => {
                let config = spec.resolve(data, variance)?;
                config.validate().map_err(model::as_written)?;
                Ok(AnyConfig::Mlp(config))
            }
        }
    }
}

impl TrainConfig {
    /// What is wrong with the noise schedule for `data` and for what the network predicts: warnings, since errors are returned
    /// as such; see [`sfumato_schedule::check`](sfumato_schedule::check()).
    ///
    /// # Errors
    /// [`TrainError::Schedule`] for a description that gives no schedule, [`TrainError::ScheduleUnfit`] for a schedule that
    /// cannot work.
    pub fn check_schedule(&self, data: &dyn Dataset) -> Result<Vec<Finding>, TrainError> {
        let conditions = CheckConditions {
            mean_square: data.mean_square(),
            prediction: self.diffusion.parameterization.into(),
            ..CheckConditions::default()
        };
        let findings = self.diffusion.schedule.build()?.check(&conditions);
        match findings.iter().find(|finding| finding.severity() == Severity::Error) {
            Some(finding) => Err(TrainError::ScheduleUnfit { finding: *finding }),
            None => Ok(findings),
        }
    }
}

/// `Ok` if `valid`, else an error that shows the value and what was expected.
pub(crate) fn check(key: &'static str, value: impl ToString, valid: bool, expected: &str) -> Result<(), TrainError> {
    if valid {
        return Ok(());
    }
    Err(TrainError::ConfigValue { key, value: value.to_string(), expected: expected.to_owned() })
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn parse(text: &str, origin: &str) -> Result<toml::Table, TrainError> {
    text.parse().map_err(|error| syntax::error(origin, &error, None))
}

/// Every key has a default, the kind of the network too: an MLP where its keys are named, else a U-Net.
fn complete_model(table: &mut toml::Table) {
    if let Some(toml::Value::Table(model)) = table.get_mut("model")
        && !model.contains_key("kind")
    {
        let mlp = model.contains_key("hidden") || model.contains_key("layers");
        model.insert("kind".to_owned(), if mlp { "mlp" } else { "unet" }.into());
    }
}

/// Lays `over` on `base`: tables are merged, everything else is replaced. A table that names another `kind` replaces
/// the old one whole, since its keys mean nothing to the new kind.
fn overlay(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if new.get("kind").is_none_or(|kind| old.get("kind") == Some(kind)) =>
            {
                overlay(old, new);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
