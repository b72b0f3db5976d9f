//! `sfumato schedule check`

use std::io::Write;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sfumato_data::Dataset;
use sfumato_data::{self, LoadOptions};
use sfumato_model::Spacing;
use sfumato_model::sampling::{LateStart, SamplerChoice};
use sfumato_process::Parameterization;
use sfumato_schedule::{CheckConditions, Finding, NoiseSchedule, Severity, check};

use super::source::Source;
use crate::{
    args::{CheckArgs, ConditionArgs, PredictionName, UsageError},
    loaded, say,
};

/// What the schedules are to be used for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    base: CheckConditions,
    /// What the network predicts, if the command line says so.
    prediction: Option<Parameterization>,
}

impl Conditions {
    /// What the arguments say; measures the data if they ask for it.
    pub(super) fn of(args: &ConditionArgs) -> Result<Self> {
        let mean_square = match (&args.dataset, args.mean_square) {
            (Some(spec), _) => {
                let options = LoadOptions {
                    image_size: args.image_size,
                    data_dir: args.data_dir.clone(),
                    ..LoadOptions::default()
                };
                let data = sfumato_data::load(spec, &options).context("cannot load the data")?;
                loaded::tell(&data);
                data.mean_square()
            }
            (None, given) => given.unwrap_or(1.0),
        };
        for (name, value) in [("--mean-square", mean_square), ("--prior-limit", args.prior_limit)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(UsageError(format!("{name} is {value}, expected 0 or a number above it")).into());
            }
        }
        let base = CheckConditions { mean_square, prior_limit: args.prior_limit, ..CheckConditions::default() };
        let prediction = args.prediction.map(|name| match name {
            PredictionName::Epsilon => Parameterization::Epsilon,
            PredictionName::X0 => Parameterization::X0,
            PredictionName::V => Parameterization::V,
        });
        Ok(Self { base, prediction })
    }

    /// The conditions for one schedule, whose source may know what its network predicts.
    pub(super) fn for_source(&self, source: &Source) -> (CheckConditions, Parameterization) {
        let prediction = self.prediction.or(source.prediction).unwrap_or_default();
        (CheckConditions { predicts_noise: prediction == Parameterization::Epsilon, ..self.base }, prediction)
    }

    pub(super) fn mean_square(&self) -> f64 {
        self.base.mean_square
    }
}

/// What was found about one schedule.
struct Verdict {
    label: String,
    conditions: CheckConditions,
    prediction: Parameterization,
    findings: Vec<Finding>,
    /// Why it is no schedule at all, unless a finding says it better.
    refused: Option<String>,
    /// Where a model's own sampler starts, if that is too late.
    late: Option<LateStart>,
    /// What to know about a model's spacing.
    note: Option<String>,
}

impl Verdict {
    fn of(source: &Source, (conditions, prediction): (CheckConditions, Parameterization)) -> Self {
        let (findings, refused) = match source.schedule() {
            Ok(schedule) => (schedule.check(&conditions), None),
            // A table that is no valid schedule can often be explained all the same.
            Err(error) => {
                let findings =
                    source.scheduler.schedule.betas().map_or_else(|_| Vec::new(), |betas| explain(&betas, &conditions));
                let explained = findings.iter().any(|finding| finding.severity() == Severity::Error);
                (findings, (!explained).then(|| error.to_string()))
            }
        };
        let sampled = source.is_model.then_some(&source.scheduler).zip(source.schedule().ok());
        let late = sampled.as_ref().and_then(|(scheduler, schedule)| {
            let choice = SamplerChoice::new(scheduler.sampler()?);
            LateStart::find(&choice, scheduler, schedule).ok()?
        });
        let note = sampled.and_then(|(scheduler, schedule)| leading(scheduler.sampling.spacing, &schedule));
        Self { label: source.label.clone(), conditions, prediction, findings, refused, late, note }
    }

    fn worst(&self) -> Option<Severity> {
        let late = self.late.as_ref().map(|_| Severity::Warning);
        let found = self.findings.iter().map(Finding::severity).chain(late).max();
        if self.refused.is_some() { Some(Severity::Error) } else { found }
    }

    /// Severity and sentence of each finding.
    fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let found = self.findings.iter().map(|finding| (severity(finding), finding.to_string()));
        let late = self.late.iter().map(|late| ("warning", late.to_string()));
        found.chain(late).chain(self.refused.iter().map(|reason| ("error", reason.clone())))
    }

    fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            let mut value = serde_json::to_value(finding).unwrap_or_default();
            value["severity"] = severity(finding).into();
            value["message"] = finding.to_string().into();
            value
        });
        let refused = self
            .refused
            .iter()
            .map(|reason| json!({ "finding": "no-schedule", "severity": "error", "message": reason }));
        let late = self
            .late
            .iter()
            .map(|late| json!({ "finding": "late-start", "severity": "warning", "message": late.to_string() }));
        let note = self.note.iter().map(|note| json!({ "finding": "spacing", "severity": "note", "message": note }));
        json!({
            "schedule": self.label,
            "mean_square": self.conditions.mean_square,
            "prediction": self.prediction,
            "prior_limit": self.conditions.prior_limit,
            "findings": findings.chain(late).chain(refused).chain(note).collect::<Vec<_>>(),
        })
    }
}

pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let sources = Source::find_all(&args.schedules, args.steps)?;
    let conditions = Conditions::of(&args.conditions)?;
    let verdicts: Vec<Verdict> =
        sources.iter().map(|source| Verdict::of(source, conditions.for_source(source))).collect();
    say::result(|out| {
        if args.json {
            let verdicts: Vec<Value> = verdicts.iter().map(Verdict::json).collect();
            serde_json::to_writer_pretty(&mut *out, &verdicts)?;
            return writeln!(out);
        }
        for verdict in &verdicts {
            let (mean_square, prediction) = (verdict.conditions.mean_square, verdict.prediction.name());
            let found = verdict.lines().count();
            let found = match found {
                0 => "nothing is wrong".to_owned(),
                1 => "1 finding".to_owned(),
                n => format!("{n} findings"),
            };
            let use_for = format!("data of mean square {mean_square:.4}, prediction of {prediction}");
            writeln!(out, "{}: {found} ({use_for})", verdict.label)?;
            for (severity, line) in verdict.lines() {
                writeln!(out, "  {severity}: {line}")?;
            }
            if let Some(note) = &verdict.note {
                writeln!(out, "  note: {note}")?;
            }
        }
        Ok(())
    })?;
    let failed = if args.strict { Severity::Warning } else { Severity::Error };
    let count = verdicts.iter().filter(|verdict| verdict.worst().is_some_and(|worst| worst >= failed)).count();
    match (count, verdicts.len()) {
        (0, _) => Ok(()),
        (_, 1) => bail!("the schedule did not pass"),
        (count, all) => bail!("{count} of {all} schedules did not pass"),
    }
}

/// What to know about spacing `leading`, whose steps are `⌊T / S⌋` apart.
fn leading(spacing: Spacing, schedule: &NoiseSchedule) -> Option<String> {
    let steps = schedule.steps();
    let (first, last) = (steps / 2 + 1, steps - 1);
    (spacing == Spacing::Leading && first < last).then(|| {
        format!(
            "with spacing `leading`, {first} to {last} sampling steps start at the step of the same number instead of {steps}; \
             sample such numbers with --spacing trailing"
        )
    })
}

/// The linter's view of betas that are no valid schedule; nothing if not even `alpha_bar` can be had.
fn explain(betas: &[f64], conditions: &CheckConditions) -> Vec<Finding> {
    let products = betas.iter().scan(1.0, |product, beta| {
        *product *= 1.0 - beta;
        Some(*product)
    });
    check(&products.collect::<Vec<f64>>(), conditions)
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
