//! Where a schedule comes from: a name, a file or a directory.

use std::path::Path;

use anyhow::{Context, Result};
use sfumato_files::read_text;
use sfumato_model::pipeline::Scheduler;
use sfumato_process::Parameterization;
use sfumato_schedule::{Explicit, NoiseSchedule, ScheduleConfig, ScheduleError};
use sfumato_train::TrainConfig;

use crate::args::UsageError;

/// Betas of an explicit schedule that a title can hold.
const LISTED: usize = 6;

/// A schedule as it was asked for, not yet known to be valid.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Source {
    /// What to call it.
    pub(super) label: String,
    /// The schedule, as a model's scheduler has it.
    pub(super) scheduler: Scheduler,
    /// What the network predicts, where the source says so.
    pub(super) prediction: Option<Parameterization>,
    /// Whether it is a model's, which says how it is sampled from.
    pub(super) is_model: bool,
}

impl Source {
    /// Finds out what `text` means, and sets the number of steps if one is given.
    pub(in crate::commands) fn find(text: &str, steps: Option<usize>) -> Result<Self> {
        let path = Path::new(text);
        let mut source = if path.is_dir() {
            Self::directory(path)?
        } else if path.is_file() || matches!(path.extension().and_then(|e| e.to_str()), Some("toml" | "json")) {
            Self::file(path)?
        } else {
            Self::named(text)?
        };
        if let Some(steps) = steps {
            let schedule = source.scheduler.schedule.clone();
            source.scheduler.schedule = schedule.with_steps(steps).map_err(|error| UsageError(error.to_string()))?;
        }
        let description = describe(&source.scheduler);
        source.label = if source.label.is_empty() { description } else { format!("{} ({description})", source.label) };
        Ok(source)
    }

    /// All of them, in order.
    pub(super) fn find_all(texts: &[String], steps: Option<usize>) -> Result<Vec<Self>> {
        texts.iter().map(|text| Self::find(text, steps)).collect()
    }

    /// The description of exactly this schedule: also where a scheduler asks for a described one to be rescaled.
    pub(in crate::commands) fn config(&self) -> Result<ScheduleConfig> {
        let built = self.build()?;
        Ok(match self.scheduler.zero_terminal_snr {
            true => Explicit { betas: built.betas().to_vec() }.into(),
            false => self.scheduler.schedule.clone(),
        })
    }

    /// The schedule, if the description gives one.
    pub(super) fn schedule(&self) -> Result<NoiseSchedule, ScheduleError> {
        self.scheduler.noise_schedule()
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
        Ok(Self::new(String::new(), config, None))
    }

    fn directory(path: &Path) -> Result<Self> {
        let run = path.join("config.toml");
        if run.is_file() {
            return Self::file(&run);
        }
        Self::of_model(path)
    }

    fn file(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::of_model(path);
        }
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        // A schedule's own table, or a whole run's.
        if text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("kind")) {
            let config = toml::from_str(&text).with_context(shown)?;
            return Ok(Self::new(shown(), config, None));
        }
        let diffusion = TrainConfig::read(path)?.diffusion;
        let prediction = Some(diffusion.parameterization);
        Ok(Self::new(shown(), diffusion.schedule, prediction))
    }

    /// The scheduler of a model, wherever in its directory that is, or its file alone.
    fn of_model(path: &Path) -> Result<Self> {
        let (scheduler, file, warnings) = Scheduler::open(path)?;
        for warning in warnings {
            say!("warning: {warning}");
        }
        let label = if file.starts_with(path) { path } else { &file };
        let prediction = Some(scheduler.parameterization);
        Ok(Self { label: label.display().to_string(), scheduler, prediction, is_model: true })
    }

    fn new(label: String, schedule: ScheduleConfig, prediction: Option<Parameterization>) -> Self {
        Self { label, scheduler: Scheduler { schedule, ..Scheduler::default() }, prediction, is_model: false }
    }
}

/// The schedule in a line: a long list of betas by its length.
fn describe(scheduler: &Scheduler) -> String {
    let ending = if scheduler.zero_terminal_snr { ", rescaled to zero terminal SNR" } else { "" };
    match &scheduler.schedule {
        ScheduleConfig::Explicit(list) if list.betas.len() > LISTED => {
            format!("explicit: {} betas{ending}", list.betas.len())
        }
        config => format!("{config}{ending}"),
    }
}
