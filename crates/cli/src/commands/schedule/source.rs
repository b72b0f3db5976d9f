//! Where a schedule comes from: a name, a file or a directory.

use std::path::Path;

use anyhow::{Context, Result, bail};
use sfumato_nets::pipeline::{Pipeline, Scheduler};
use sfumato_schedule::{NoiseSchedule, Prediction, ScheduleConfig, ScheduleError};
use sfumato_train::TrainConfig;

use crate::args::UsageError;

/// Betas of an explicit schedule that a title can hold.
const LISTED: usize = 6;

/// A schedule as it was asked for, not yet known to be valid.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// What to call it.
    pub(super) label: String,
    pub(super) config: ScheduleConfig,
    /// Whether a model's file asks for it to be rescaled so that nothing is left at its end.
    zero_terminal_snr: bool,
    /// What the network predicts, where the source says so.
    pub(super) prediction: Option<Prediction>,
}

impl Source {
    /// Finds out what `text` means, and sets the number of steps if one is given.
    pub(super) fn find(text: &str, steps: Option<usize>) -> Result<Self> {
        let path = Path::new(text);
        let mut source = if path.is_dir() {
            Self::directory(path)?
        } else if path.is_file() || matches!(path.extension().and_then(|e| e.to_str()), Some("toml" | "json")) {
            Self::file(path)?
        } else {
            Self::named(text)?
        };
        if let Some(steps) = steps {
            source.config = source.config.with_steps(steps).map_err(|error| UsageError(error.to_string()))?;
        }
        let ending = if source.zero_terminal_snr { ", rescaled to zero terminal SNR" } else { "" };
        let description = describe(&source.config) + ending;
        source.label = if source.label.is_empty() { description } else { format!("{} ({description})", source.label) };
        Ok(source)
    }

    /// All of them, in order.
    pub(super) fn find_all(texts: &[String], steps: Option<usize>) -> Result<Vec<Self>> {
        texts.iter().map(|text| Self::find(text, steps)).collect()
    }

    /// The schedule, if the description gives one.
    pub(super) fn schedule(&self) -> Result<NoiseSchedule, ScheduleError> {
        let schedule = self.config.build()?;
        if self.zero_terminal_snr { schedule.with_zero_terminal_snr() } else { Ok(schedule) }
    }

    /// The same, with the source in the error.
    pub(super) fn build(&self) -> Result<NoiseSchedule> {
        self.schedule().with_context(|| format!("schedule {}", self.label))
    }

    fn named(text: &str) -> Result<Self> {
        let config = text.parse::<ScheduleConfig>().map_err(|error| {
            let hint = match error {
                ScheduleError::UnknownSchedule { .. } => "; nor is there a file or directory of that name",
                _ => "",
            };
            UsageError(format!("{error}{hint}"))
        })?;
        Ok(Self { label: String::new(), config, zero_terminal_snr: false, prediction: None })
    }

    fn directory(path: &Path) -> Result<Self> {
        let run = path.join("config.toml");
        if run.is_file() {
            return Self::file(&run);
        }
        Ok(Self::of_model(path, Pipeline::open(path)?.spec.scheduler))
    }

    fn file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = || path.display().to_string();
        if path.extension().is_some_and(|extension| extension == "json") {
            let value: serde_json::Value = serde_json::from_str(&text).with_context(shown)?;
            if value.get("_class_name").is_none() {
                bail!("{}: expected a scheduler_config.json of diffusers, which has a \"_class_name\"", path.display());
            }
            return Ok(Self::of_model(path, Scheduler::from_json(&value).with_context(shown)?));
        }
        // A schedule's own table, or a whole run's.
        if text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("kind")) {
            let config = toml::from_str(&text).with_context(shown)?;
            return Ok(Self { label: shown(), config, zero_terminal_snr: false, prediction: None });
        }
        let diffusion = TrainConfig::read(path)?.diffusion;
        let prediction = Some(diffusion.parameterization.into());
        Ok(Self { label: shown(), config: diffusion.schedule, zero_terminal_snr: false, prediction })
    }

    fn of_model(path: &Path, scheduler: Scheduler) -> Self {
        Self {
            label: path.display().to_string(),
            config: scheduler.schedule,
            zero_terminal_snr: scheduler.zero_terminal_snr,
            prediction: Some(scheduler.parameterization.into()),
        }
    }
}

/// The schedule in a line: a long list of betas by its length.
fn describe(config: &ScheduleConfig) -> String {
    match config {
        ScheduleConfig::Explicit(list) if list.betas.len() > LISTED => format!("explicit: {} betas", list.betas.len()),
        config => config.to_string(),
    }
}
