//! Two models are scored, in turns.

use std::{
    fs,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use sfumato_data::{Dataset, DatasetSpec, LoadedDataset};
use sfumato_evaluate::{Condition, Contender, EvalPlan, PairError, PairProgress, PairedBound, Side, evaluate_pair};
use sfumato_kernels::Backend;
use sfumato_model::{
    Model,
    pipeline::{Labels, Pipeline},
};
use sfumato_process::bound::{Bound, ExampleTerms, Mean};

use super::{Comparison, Extent, both, conclude, pair_rows, told_rows};
use crate::{
    args::CompareModelsArgs,
    backend::{Work, with_backend},
    commands::eval::{
        held_out,
        plan::{self, Scored},
        report::Report,
        weights_sha256,
        words::{decoder_name, row},
    },
    environment, loaded,
    progress::EvalProgress,
    signals,
};

pub(super) fn run(args: CompareModelsArgs, dataset: DatasetSpec) -> Result<()> {
    let models = both([&args.a, &args.b], |dir| loaded::open_model(dir))?;
    let command = Command { args, dataset, models, stop: Arc::default() };
    command.check()?;
    let stop = signals::stop_flag()?;
    with_backend(&command.args.machine.clone(), Command { stop, ..command })
}

struct Command {
    args: CompareModelsArgs,
    dataset: DatasetSpec,
    models: [Pipeline; 2],
    stop: Arc<AtomicBool>,
}

impl Work for Command {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        conclude(&self.args, &self.compare::<B>(&device)?)
    }
}

impl Command {
    /// What is scored, of each model.
    fn scored(&self) -> [Scored<'_>; 2] {
        let Self { args, dataset, .. } = self;
        let checksum = args.json.is_some();
        [&args.a, &args.b].map(|dir| Scored {
            dir,
            dataset,
            args: &args.score,
            machine: &args.machine,
            noise: None,
            checksum,
        })
    }

    /// Refuses what cannot be compared, before the data is loaded.
    fn check(&self) -> Result<()> {
        let [a, b] = &self.models;
        let [first, second] = self.scored();
        plan::check(first, a)?;
        plan::check(second, b)?;
        plan::check_fit(first, a)?;
        plan::check_fit(second, b)?;
        let [shape_a, shape_b] = both([a, b], plan::shape)?;
        if shape_a != shape_b {
            bail!(
                "A, {}, draws examples of shape {shape_a:?}, but B, {}, of shape {shape_b:?}: bits/dim of different examples cannot \
                 be compared",
                first.dir.display(),
                second.dir.display()
            );
        }
        // A model that knows no classes has nothing to ignore.
        let [knows_a, knows_b] = both([a, b], |model| Ok(model.labels()? != Labels::None))?;
        if knows_a || !knows_b {
            plan::check_labels(first, a)?;
        }
        if knows_b {
            plan::check_labels(second, b)?;
        }
        Ok(())
    }

    fn compare<B: Backend>(&self, device: &B::Device) -> Result<Comparison> {
        let scored = self.scored();
        let [a, b] = &self.models;
        // Here and not before: pictures are decoded on the threads that the arguments ask for.
        let data = plan::load_data(scored[0], a)?;
        if scored[1].of_held_out() {
            held_out::check_other(scored[1], b, &data)?;
        }
        let data = both([0, 1], |i| plan::match_classes(scored[i], &self.models[i], data.clone()))?;
        let plans = both([0, 1], |i| plan::plan(scored[i], &self.models[i], &data[i], None))?;
        let weights = both([a, b], weights_sha256)?;
        let start = Instant::now();
        let models = both([a, b], |model| {
            Ok(Model::<B>::load(model.clone(), device)?.in_precision(self.args.machine.precision()))
        })?;
        let terms = self.score(&models, &plans, &data)?;
        let seconds = start.elapsed().as_secs_f64();
        let paired = PairedBound::new(&terms[0], &terms[1]).context("there are no examples to compare")?;
        let bounds = Side::BOTH.map(|side| bound(side, &paired, &plans, data[0].example_len()));
        let reports = [0, 1].map(|i| Report {
            scored: scored[i],
            model: &self.models[i],
            weights_sha256: weights[i].clone(),
            data: &data[i],
            plan: &plans[i],
            bound: &bounds[i],
        });
        self.tell_stop(&reports);
        let evaluations = bounds.iter().map(|bound| bound.evaluations).sum();
        let same_weights = self.same_weights(&weights);
        Ok(Comparison {
            rows: rows(&reports, &weights, same_weights),
            described: reports.each_ref().map(describe),
            terms,
            dimensions: data[0].example_len(),
            discrete: plans[0].bound.decoder().is_discrete(),
            same_steps: plans[0].bound.visits_as(&plans[1].bound),
            continuous: self.args.score.chain.continuous(),
            same_weights,
            extent: Extent {
                dataset: self.dataset.to_string(),
                split: scored[0].split(&data[0]),
                in_split: scored[0].in_split(&data[0]) as u64,
                planned: plans[0].num as u64,
                scored: bounds[0].examples,
            },
            work: Some((evaluations, seconds)),
            environment: environment::describe_run(&self.args.machine),
        })
    }

    fn score<B: Backend>(
        &self,
        models: &[Model<B>; 2],
        plans: &[EvalPlan<'_>; 2],
        data: &[LoadedDataset; 2],
    ) -> Result<[Vec<ExampleTerms>; 2]> {
        let num = plans[0].num;
        let total: usize = plans.iter().map(|plan| num * plan.bound.points_per_example()).sum();
        let all = self.scored()[0].in_split(&data[0]);
        say!("scoring {num} of {all} examples by two models, {total} evaluations of the networks");
        let dimensions = data[0].example_len();
        let mut shown = EvalProgress::new(total as u64);
        let mut observe = |progress: PairProgress| {
            let so_far = progress.difference.map_or_else(String::new, |mean| so_far(mean.bits_per_dim(dimensions)));
            shown.update(progress.evaluations, &format!("{} of {num} examples{so_far}", progress.pairs));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let contenders = [0, 1].map(|i| Contender { model: &models[i], plan: &plans[i], data: &data[i] });
        let found = evaluate_pair(contenders, &mut observe);
        shown.finish();
        found.map_err(|error| match error {
            PairError::Model { side, error } => {
                let dir = match side {
                    Side::A => &self.args.a,
                    Side::B => &self.args.b,
                };
                anyhow::Error::new(error).context(format!("{side}, {}: nothing was written", dir.display()))
            }
            other => anyhow!("{other}: nothing was written"),
        })
    }

    fn tell_stop(&self, reports: &[Report<'_>; 2]) {
        let [report, _] = reports;
        if report.stopped() {
            say!(
                "stopped after {} of {} examples, which are compared; they are {}",
                report.bound.examples,
                report.plan.num,
                if self.args.score.data.in_order {
                    "the first of the data, which need not stand for the rest"
                } else {
                    "a random part of the data"
                }
            );
        }
    }

    /// Whether both have the same weights, by their checksums, or by their place where a checksum says little.
    fn same_weights(&self, checksums: &[Option<String>; 2]) -> Option<bool> {
        match checksums {
            [Some(a), Some(b)] => Some(a == b),
            [None, None] => {
                let [a, b] = self.models.each_ref().map(|model| fs::canonicalize(model.weights()).ok());
                (a.is_some() && a == b).then_some(true)
            }
            _ => None,
        }
    }
}

fn so_far(difference: Mean) -> String {
    match difference.standard_error {
        Some(error) => format!(", B - A {:.4} ± {error:.4} bits/dim", difference.mean),
        None => String::new(),
    }
}

/// The bound of one of two models over the examples that both have scored; its steps are not told.
fn bound(side: Side, paired: &PairedBound, plans: &[EvalPlan<'_>; 2], dimensions: usize) -> Bound {
    let plan = &plans[side as usize];
    let [prior, diffusion, decoder, total] =
        [paired.prior, paired.diffusion, paired.decoder, paired.total].map(|part| match side {
            Side::A => part.a,
            Side::B => part.b,
        });
    Bound {
        dimensions,
        examples: total.count,
        evaluations: total.count * plan.bound.points_per_example() as u64,
        decoder_kind: plan.bound.decoder(),
        prior,
        diffusion,
        decoder,
        total,
        steps: Vec::new(),
        levels: Vec::new(),
        each: Vec::new(),
    }
}

fn describe(report: &Report<'_>) -> Value {
    let parts = [report.subject(), report.setting()];
    Value::Object(parts.into_iter().flat_map(|part| part.as_object().cloned().unwrap_or_default()).collect())
}

/// What was compared: in one row where both models agree, else in one for each.
fn rows(reports: &[Report<'_>; 2], weights: &[Option<String>; 2], same_weights: Option<bool>) -> Vec<String> {
    let [a, b] = reports;
    let mut rows = vec![row("A", a.named()), row("B", b.named())];
    if same_weights == Some(true) {
        let checksum = weights[0].as_ref().map_or_else(String::new, |checksum| format!(" (SHA-256 {checksum})"));
        rows.push(row("weights", format!("the same in A and B{checksum}")));
    }
    rows.push(row("data", a.examples()));
    rows.extend(a.part().map(|part| row("examples", part)));
    rows.extend(a.data.resizing().map(|resizing| row("resized", resizing.to_string())));
    rows.extend(pair_rows("chain", reports.each_ref().map(Report::chain)));
    rows.extend(pair_rows("estimate", reports.each_ref().map(Report::estimate)));
    rows.push(row("decoder", decoder_name(a.plan.bound.decoder()).to_owned()));
    let labels = reports.each_ref().map(|report| report.plan.condition == Condition::Labels);
    rows.extend(told_rows(reports.each_ref().map(Report::condition), labels));
    rows
}
