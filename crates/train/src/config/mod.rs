//! Everything that decides a run, in one TOML file.
//!
//! Layers, later ones winning: the defaults, a preset, a file, flags of the command line. The result is written whole to
//! `runs/NAME/config.toml` before the first step.

mod averages;
mod data;
mod fit;
mod held_out;
mod init;
mod length;
mod model;
mod objective;
mod optimizer;
mod presets;
mod room;
mod sized;
mod syntax;
mod unet2d;

pub use averages::AveragesConfig;
pub use data::DataConfig;
pub use held_out::HeldOutConfig;
pub use init::InitConfig;
pub use model::{MlpSpec, ModelConfig, OwnSpec, UNetSpec};
pub use objective::ObjectiveConfig;
pub use optimizer::{LearningRateDecay, OptimizerConfig, OptimizerMethod};
pub use presets::{DEFAULT_PRESET, PRESETS, Preset};
pub use room::{ExpectedMemory, least_to_predict};
pub use sized::{DEFAULT_MINUTES, Length};
pub use unet2d::UNet2DSpec;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sfumato_files::read_text;
use sfumato_kernels::Precision;
use sfumato_process::{ModelVariance, Parameterization};
use sfumato_schedule::ScheduleConfig;

use crate::{PlanPoint, TrainError, error::IoContext};

/// Most examples in a batch, and most samples in a grid: far above use, low enough that products of sizes cannot overflow.
const MOST: usize = 1 << 20;

/// A whole training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of every random number of the run.
    pub seed: u64,
    /// The model whose weights the run starts from; without it they are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<InitConfig>,
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
    /// Examples that are not trained on but scored meanwhile.
    #[serde(skip_serializing_if = "HeldOutConfig::is_open")]
    pub held_out: HeldOutConfig,
    /// Averages of the weights for afterwards.
    #[serde(skip_serializing_if = "AveragesConfig::is_off")]
    pub averages: AveragesConfig,
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

/// How long, and what is written when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps of the whole run.
    pub steps: u64,
    /// Examples per step.
    pub batch_size: usize,
    /// Parts of a batch whose gradients are computed one after the other and summed, 1 to `batch_size`: more of them take less memory. The
    /// gradient is the same but for rounding.
    #[serde(skip_serializing_if = "is_one")]
    pub shards: usize,
    /// What convolutions and attention multiply: f32, or bf16 on processors with a unit for it.
    #[serde(skip_serializing_if = "is_f32")]
    pub precision: Precision,
    /// Ends the run after so many minutes of training; 0 for no limit. A rate that falls is laid over the steps that fit.
    pub max_minutes: f64,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints; one is written at the end in any case.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept, the newest; 0 keeps all.
    pub keep_checkpoints: usize,
    /// Whether the checkpoint with the best held-out score is kept besides, and one is written where a score is the best so far.
    pub keep_best: bool,
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

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 100_000,
            batch_size: 64,
            shards: 1,
            precision: Precision::F32,
            max_minutes: 0.0,
            log_every: 10,
            checkpoint_every: 1000,
            keep_checkpoints: 3,
            keep_best: true,
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
        Self::layered_on(toml::Table::new(), preset, file, overrides)
    }

    /// The same, with `base` over the defaults and under everything else, such as a [source's](crate::Source::settings) table. Its network is not
    /// used where the preset or the file has one.
    ///
    /// # Errors
    /// As [`layered`](Self::layered).
    pub fn layered_on(
        base: toml::Table,
        preset: Option<&str>,
        file: Option<&Path>,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        let mut table = base;
        if let Some(name) = preset {
            lay_whole(&mut table, parse(Preset::find(name)?.toml, &format!("preset {name}"))?);
        }
        let mut origin = preset.map_or_else(|| "defaults".to_owned(), |name| format!("preset {name}"));
        if let Some(path) = file {
            let text = read_text(path).context("read", path)?;
            origin = path.display().to_string();
            let mut over = parse(&text, &origin)?;
            objective::unify(&mut over);
            objective::unify(&mut table);
            // A file over a preset may change a key of its network; that of a source is another one.
            if preset.is_some() {
                overlay(&mut table, over)
            } else {
                lay_whole(&mut table, over)
            };
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
    fn over(table: toml::Table, origin: &str, overrides: &[(Vec<String>, toml::Value)]) -> Result<Self, TrainError> {
        Self::with_all(table.clone(), overrides).map_err(|error| {
            let with_set = if overrides.is_empty() { "" } else { " with --set" };
            let origin = format!("{origin}{with_set}");
            let message = error.to_string();
            // The one without which there is no such error.
            let is_cause = |i: &usize| {
                let others: Vec<_> =
                    overrides.iter().enumerate().filter(|(j, _)| j != i).map(|(_, one)| one.clone()).collect();
                Self::with_all(table.clone(), &others).err().is_none_or(|other| other.to_string() != message)
            };
            match (0..overrides.len()).find(is_cause) {
                Some(i) => syntax::error_of_value(&origin, &error, &overrides[i].0.join(".")),
                None => syntax::error(&origin, &error, None),
            }
        })
    }

    /// The table with single values over it.
    fn with_all(mut table: toml::Table, overrides: &[(Vec<String>, toml::Value)]) -> Result<Self, toml::de::Error> {
        objective::unify(&mut table);
        for (keys, value) in overrides {
            let nested = keys
                .iter()
                .rev()
                .fold(value.clone(), |value, key| toml::Table::from_iter([(key.clone(), value)]).into());
            if let toml::Value::Table(mut nested) = nested {
                objective::unify(&mut nested);
                overlay(&mut table, nested);
            }
        }
        complete_model(&mut table);
        table.try_into()
    }

    /// Reads a complete configuration, as written by [`to_toml`](Self::to_toml).
    ///
    /// # Errors
    /// As [`layered`](Self::layered).
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        Self::read_with(path, &[])
    }

    /// The same with single values over it, as [`layered`](Self::layered) has them.
    ///
    /// # Errors
    /// As [`layered`](Self::layered).
    pub fn read_with(path: &Path, overrides: &[(Vec<String>, toml::Value)]) -> Result<Self, TrainError> {
        let mut config = Self::layered(None, Some(path), overrides)?;
        // A run of an older version has held nothing out, and goes on so.
        if config.held_out == HeldOutConfig::default() {
            config.held_out = HeldOutConfig::OFF;
        }
        Ok(config)
    }

    /// The whole configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration has string keys and plain values only")
    }

    /// Checks that every path can be written into `config.toml`.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] for one that is not UTF-8.
    pub fn check_paths(&self) -> Result<(), TrainError> {
        let paths = [("init.from", self.init.as_ref().map(|init| &init.from)), ("data.dir", self.data.dir.as_ref())];
        paths.into_iter().filter_map(|(key, path)| Some((key, path?))).try_for_each(|(key, path)| {
            check(key, path.display(), path.to_str().is_some(), "a path in UTF-8, as config.toml is")
        })
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] with the key, the value and what would be valid; [`TrainError::Schedule`].
    pub fn validate(&self) -> Result<(), TrainError> {
        let TrainingConfig { steps, batch_size, shards, max_minutes, log_every, checkpoint_every, .. } = self.training;
        let not_negative = |x: f64| x >= 0.0 && x.is_finite();
        self.check_paths()?;
        self.optimizer.validate()?;
        check("training.steps", steps, steps > 0, "at least 1")?;
        check("training.batch_size", batch_size, (1..=MOST).contains(&batch_size), &format!("1 to {MOST}"))?;
        let expected = format!("1 to {batch_size}, the examples of a batch (training.batch_size)");
        check("training.shards", shards, (1..=batch_size).contains(&shards), &expected)?;
        check("training.max_minutes", max_minutes, not_negative(max_minutes), "0 (no limit) or a number above it")?;
        check("training.log_every", log_every, log_every > 0, "at least 1")?;
        check("training.checkpoint_every", checkpoint_every, checkpoint_every > 0, "at least 1")?;
        check("samples.num", self.samples.num, (1..=MOST).contains(&self.samples.num), &format!("1 to {MOST}"))?;
        let schedule = self.diffusion.schedule.build()?;
        let total = schedule.steps();
        let sampler_steps = self.samples.steps;
        check(
            "samples.steps",
            sampler_steps,
            (1..=total).contains(&sampler_steps),
            &format!("1 to {total}, the schedule's steps"),
        )?;
        self.objective.validate(&self.diffusion, &schedule)?;
        self.check_label_dropout()?;
        length::check_plan(&self.training.plan)?;
        self.held_out.validate()?;
        self.averages.validate()?;
        self.model.validate()
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

fn is_one(number: &usize) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_f32(precision: &Precision) -> bool {
    *precision == Precision::F32
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
        let kind = if mlp {
            "mlp"
        } else if model.contains_key("config") {
            "unet2d"
        } else {
            "unet"
        };
        model.insert("kind".to_owned(), kind.into());
    }
}

/// As [`overlay`], but for the network: that of `over` replaces the one of `base` whole.
fn lay_whole(base: &mut toml::Table, over: toml::Table) {
    if over.contains_key("model") {
        base.remove("model");
    }
    overlay(base, over);
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
