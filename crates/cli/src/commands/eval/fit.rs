//! `--fit`: better variances and better steps for a model, from one pass over training examples.

use std::{
    io::Write,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sfumato_data::{Dataset, LoadOptions, LoadedDataset, Part, Split};
use sfumato_evaluate::{FitPlan, fit};
use sfumato_kernels::Backend;
use sfumato_model::{Model, fitted::ModelFit, pipeline::Pipeline};
use sfumato_process::{
    bound::{BoundError, BoundNoise, Progress},
    fit::{Fit, MeasurePlan, VarianceRule, measured_steps},
};
use sfumato_schedule::{BestSteps, NoiseSchedule, evenly_spaced, probability::nats_to_bits};

use super::{
    held_out,
    plan::{self, Scored},
};
use crate::{
    args::{EvalArgs, UsageError},
    environment,
    progress::EvalProgress,
    say,
};

/// Steps are measured at most this fraction of the schedule apart if nothing is said.
const NODES: usize = 100;
/// Numbers of steps that the table shows.
const SHOWN: [usize; 6] = [5, 10, 20, 50, 100, 250];

/// A model that has been fitted, and what belongs to the report.
pub(super) struct Fitted {
    fit: ModelFit,
    /// The model's own variance, and those of the fit.
    rules: [VarianceRule; 3],
    rows: Vec<Row>,
    seconds: f64,
    evaluations: u64,
}

/// Refuses what cannot work, before any work.
pub(super) fn check(args: &EvalArgs, model: &Pipeline) -> Result<()> {
    model.check_fittable()?;
    let total = model.spec.scheduler.noise_schedule()?.steps();
    if let Some(stride) = args.fit_stride.filter(|stride| !(1..=total).contains(stride)) {
        let possible = format!("the model's schedule has {total} steps, so 1 to {total} are possible");
        return Err(UsageError(format!("--fit-stride {stride}: {possible}")).into());
    }
    sfumato_files::check_writable(&model.fit_path())
        .context("--fit writes into the model's directory; a copy of the directory can be fitted in its place")
}

/// Measures, writes the fit, and reads what follows from it. Nothing is written if it is stopped before an example is complete.
pub(super) fn measure<B: Backend>(
    args: &EvalArgs,
    model: &Pipeline,
    device: &B::Device,
    stop: &AtomicBool,
) -> Result<Option<Fitted>> {
    let scored = Scored::of(args);
    let seed = args.score.estimate.seed;
    let part = Part { num: args.fit_examples as usize, seed: Some(seed), checksum: true };
    let options = LoadOptions { split: Split::Train, part: Some(part), ..held_out::load_options(scored, model)? };
    let data = plan::load_split(scored, model, options)
        .and_then(|data| held_out::without(scored, model, data))
        .and_then(|data| plan::match_classes(scored, model, data))
        .with_context(|| format!("--fit: the training split of {} is what a model is fitted on", args.dataset))?;
    let plan = plan_of(args, model, &data)?;
    let evaluations = plan.num * plan.measure.steps.len() * plan.measure.draws;
    plan::check_batch(scored, model, &data, evaluations)?;
    say!(
        "fitting on {} training examples at {} steps, {evaluations} evaluations of the network",
        plan.num,
        plan.measure.steps.len()
    );
    let start = Instant::now();
    let loaded = Model::<B>::load(model.clone(), device)?.in_precision(args.machine.precision());
    let mut shown = EvalProgress::new(evaluations as u64);
    let mut done = 0;
    let mut observe = |progress: Progress| {
        done = progress.evaluations;
        shown.update(done, &format!("{} of {} examples", progress.examples, plan.num));
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let measured = fit(&loaded, &plan, &data, &mut observe);
    shown.finish();
    let measured = match measured {
        Err(sfumato_model::ModelError::Bound(BoundError::Stopped { .. })) => {
            say!("stopped before there was a fit; nothing was written");
            return Ok(None);
        }
        measured => measured.context("cannot fit the model")?,
    };
    if measured.examples < plan.num as u64 {
        say!("stopped after {} of {} examples: the fit is made of those", measured.examples, plan.num);
    }
    let described = describe(args, &plan, &data);
    let fit = model.write_fit(measured, described)?;
    let own = model.spec.scheduler.variance.fixed().unwrap_or_default().into();
    let rules = [own, VarianceRule::Analytic, VarianceRule::Optimal];
    let rows = rows(&fit.fit, rules, &model.spec.scheduler.noise_schedule()?);
    Ok(Some(Fitted { fit, rules, rows, seconds: start.elapsed().as_secs_f64(), evaluations: done }))
}

fn plan_of(args: &EvalArgs, model: &Pipeline, data: &LoadedDataset) -> Result<FitPlan<'static>> {
    let scored = Scored::of(args);
    let total = model.spec.scheduler.noise_schedule()?.steps();
    let steps = measured_steps(total, args.fit_stride.unwrap_or(total.div_ceil(NODES)));
    let seed = args.score.estimate.seed;
    let (decoder, draws) = (plan::decoder(scored, data)?, usize::from(args.score.estimate.draws));
    Ok(FitPlan {
        measure: MeasurePlan { decoder, steps, draws, noise: BoundNoise::Seeded(seed) },
        condition: plan::condition(scored, model, data)?,
        num: (args.fit_examples as usize).min(data.part().map_or(data.len(), <[usize]>::len)),
        seed,
        batch_size: args.score.estimate.batch_size as usize,
    })
}

/// What was measured, for the file.
fn describe(args: &EvalArgs, plan: &FitPlan<'_>, data: &LoadedDataset) -> Map<String, Value> {
    let value = json!({
        "dataset": args.dataset,
        "split": data.split(),
        "dataset_sha256": data.sha256(),
        "dimensions": data.example_len(),
        "seed": plan.seed,
        "draws": plan.measure.draws,
        "condition": plan::condition_json(plan.condition),
        "environment": environment::describe_run(&args.machine),
    });
    value.as_object().cloned().unwrap_or_default()
}

impl Fitted {
    /// The table on stdout.
    pub(super) fn print(&self) -> Result<()> {
        say::result(|out| out.write_all(self.table().as_bytes()))
    }

    /// What belongs into the result's file.
    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| row.json(self.rules)).collect();
        json!({
            "file": self.fit.path,
            "examples": self.fit.fit.measured().examples,
            "nodes": self.fit.fit.measured().nodes.len(),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "bits_per_dim": rows,
        })
    }

    fn table(&self) -> String {
        let measured = self.fit.fit.measured();
        let unit = if measured.decoder.is_discrete() { "bits/dim" } else { "bits/dim of a density" };
        let head: String =
            self.rules.iter().map(|rule| format!("  {:>23}", format!("{}, even / best", rule.name()))).collect();
        let mut lines = vec![
            format!("{:<10} {}", "fit", self.fit.path.display()),
            format!(
                "{:<10} {} training examples of {}, {} steps measured",
                "measured",
                measured.examples,
                self.fit.data.get("dataset").and_then(Value::as_str).unwrap_or("unknown data"),
                measured.nodes.len()
            ),
            String::new(),
            format!("The bound by these terms, {unit}:"),
            format!("{:>6}{head}", "steps"),
        ];
        for row in &self.rows {
            let cells: String =
                row.cells.iter().map(|[even, best]| format!("  {:>23}", format!("{even:.4} / {best:.4}"))).collect();
            lines.push(format!("{:>6}{cells}", row.steps));
        }
        lines.push(String::new());
        lines.push(
            "--variance analytic, --variance optimal and --spacing best of sample, eval and compare take this fit."
                .into(),
        );
        lines.push(format!("{} evaluations of the network in {:.1} s.", self.evaluations, self.seconds));
        lines.join("\n") + "\n"
    }
}

/// The numbers of steps that are shown, with the bound of their chains.
fn rows(fit: &Fit, rules: [VarianceRule; 3], schedule: &NoiseSchedule) -> Vec<Row> {
    let total = schedule.steps();
    let shorter = SHOWN.into_iter().filter(|&count| count < total);
    let most = shorter.clone().max().unwrap_or(1);
    let best = rules.map(|rule| fit.best_steps(rule, most).ok());
    let row = |steps: usize| {
        let best = best.iter().map(|best| best.as_ref().filter(|_| steps < total));
        let cells = rules.into_iter().zip(best).map(|(rule, best)| cell(fit, rule, schedule, best, steps)).collect();
        Row { steps, cells }
    };
    shorter.chain(std::iter::once(total)).map(row).collect()
}

/// Bits/dim of the chains of so many steps, for each rule with even and with the best steps.
struct Row {
    steps: usize,
    cells: Vec<[f64; 2]>,
}

impl Row {
    fn json(&self, rules: [VarianceRule; 3]) -> Value {
        let mut value = json!({ "steps": self.steps });
        for (rule, [even, best]) in rules.iter().zip(&self.cells) {
            value[rule.name()] = json!({ "even": even, "best": best });
        }
        value
    }
}

/// The bound with even and with the best steps; the same where there is no choice.
fn cell(fit: &Fit, rule: VarianceRule, schedule: &NoiseSchedule, best: Option<&BestSteps>, count: usize) -> [f64; 2] {
    let bits = |steps: &[usize]| fit.bound(rule, steps).map_or(f64::NAN, nats_to_bits);
    let even = evenly_spaced(schedule.steps(), count).map_or(f64::NAN, |steps| bits(&steps));
    let best = best.and_then(|best| best.steps(count)).map_or(even, |steps| bits(&steps));
    [even, best]
}
