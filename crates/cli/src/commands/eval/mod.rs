//! `sfumato eval`

mod distances;
mod fit;
mod flow;
pub(super) mod held_out;
pub(super) mod plan;
mod regret;
pub(super) mod report;
pub(super) mod words;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distances::Measurement;
use fit::Fitted;
use plan::Scored;
use regret::{Measured, Prepared};
use serde_json::{Value, json};
use sfumato_data::{Dataset, LoadedDataset};
use sfumato_evaluate::{EvalPlan, Order, evaluate, evaluate_part, gathered};
use sfumato_files::file_sha256;
use sfumato_kernels::Backend;
use sfumato_model::{Model, pipeline::Pipeline, tensor_file::WeightFiles};
use sfumato_process::bound::{Bound, Progress};
use sfumato_train::ranks::{Ranks, Same};

use crate::{
    args::{EvalArgs, UsageError},
    backend::{Work, with_backend},
    chart, environment, group, loaded,
    progress::EvalProgress,
    signals,
};

pub(crate) fn run(args: EvalArgs, ranks: &dyn Ranks) -> Result<()> {
    let model = group::together(ranks, opened(&args, ranks))?;
    let stop = signals::stop_flag_of(ranks)?;
    with_backend(&args.machine.clone(), Command { args, model, stop, ranks })
}

/// The model, with everything checked that can be wrong before the work.
fn opened(args: &EvalArgs, ranks: &dyn Ranks) -> Result<Option<Pipeline>> {
    let more = args.fit || args.samples.is_some() || args.regret.is_some() || args.flow.flow || args.no_bound;
    if !ranks.is_alone() && more {
        let words = "on several ranks the bound alone is computed: leave --fit, --samples, --regret, --flow and --no-bound to a call on one rank";
        return Err(UsageError(words.to_owned()).into());
    }
    distances::check(args)?;
    let model = args.model.as_deref().map(|dir| loaded::open_model_with(dir, args.null_class)).transpose()?;
    if args.flow.flow {
        flow::check(args)?;
    }
    if let Some(model) =
        model.as_ref().filter(|_| !args.no_bound || args.regret.is_some() || args.fit || args.flow.flow)
    {
        plan::check_model(model)?;
        plan::check_labels(Scored::of(args), model)?;
    }
    if let Some(model) = model.as_ref().filter(|_| args.fit) {
        fit::check(args, model)?;
    }
    if let (Some(model), false) = (&model, args.no_bound) {
        plan::check(Scored::of(args), model)?;
    }
    // The fit that is made first will do.
    if let Some(model) = model.as_ref().filter(|_| (!args.no_bound || args.flow.flow) && !args.fit) {
        plan::check_fit(Scored::of(args), model)?;
    }
    // Before the work, so that an impossible place costs nothing.
    let writes = ranks.leads();
    for path in [args.curve.as_deref(), regret_picture(args)].into_iter().flatten() {
        chart::Format::of(path)?;
        if writes {
            sfumato_files::check_writable(path)?;
        }
    }
    if let Some(path) = args.json.as_ref().filter(|_| writes) {
        sfumato_files::check_writable(path)?;
    }
    Ok(model)
}

/// Where the regret is drawn.
fn regret_picture(args: &EvalArgs) -> Option<&Path> {
    args.regret.as_ref().and_then(|path| path.as_deref())
}

/// The work of the command, for whichever backend.
struct Command<'a> {
    args: EvalArgs,
    model: Option<Pipeline>,
    stop: Arc<AtomicBool>,
    ranks: &'a dyn Ranks,
}

impl Work for Command<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { args, model, stop, ranks } = self;
        // First, so that what follows is measured with it.
        let fitted = match &model {
            Some(model) if args.fit => fit::measure::<B>(&args, model, &device, &stop)?,
            _ => None,
        };
        if args.fit && fitted.is_none() {
            return Ok(());
        }
        if stop.load(Ordering::SeqCst) {
            // The fit of the examples that were measured is written; what else was asked for is not begun.
            return Others { fitted: fitted.as_ref(), ..Others::default() }.alone(&args, None);
        }
        let measure = |source| distances::measure::<B>(&args, source, model.as_ref(), &device, &stop);
        let distances = args.samples.as_ref().map(measure).transpose()?;
        // Nobody asks where no file is written.
        let kept = model.as_ref().filter(|_| args.json.is_some());
        let weights = kept.map(weights_sha256).transpose()?.flatten();
        let Some(model) = model.filter(|_| !args.no_bound || args.regret.is_some() || args.flow.flow) else {
            let others = Others { fitted: fitted.as_ref(), distances: distances.as_ref(), ..Others::default() };
            return others.alone(&args, weights);
        };
        // Here and not before: pictures are decoded on the threads that the arguments ask for. And both before the work, since
        // neither may fail after it.
        let regret = args.regret.as_ref().map(|_| Prepared::new(&args, &model)).transpose()?;
        let scored = Scored::of(&args);
        let read = || {
            let data = plan::match_classes(scored, &model, plan::load_data(scored, &model)?)?;
            let noise = args.noise.as_deref().map(sfumato_files::read_npy_f32).transpose()?;
            Ok((data, noise))
        };
        if args.no_bound {
            let data = if args.flow.flow { Some(read()?.0) } else { None };
            let flow = data.map(|data| flow::measure::<B>(&args, &model, &data, &device, &stop)).transpose()?.flatten();
            let loaded = Model::<B>::load(model, &device)?.in_precision(args.machine.precision());
            let measured = regret.map(|regret| regret.measure(&args, &loaded, &stop)).transpose()?.flatten();
            let others = Others {
                fitted: fitted.as_ref(),
                distances: distances.as_ref(),
                flow: flow.as_ref(),
                regret: measured.as_ref(),
            };
            return others.alone(&args, weights);
        }
        let (data, noise) = group::together(ranks, read())?;
        if !ranks.is_alone() {
            group::check(ranks, args.machine.backend, facts(&args, &model, &data)?)?;
        }
        Scoring { args, model, weights, data, noise, stop, fitted, distances, regret, ranks }.run::<B>(&device)
    }
}

/// What is measured beside the bound.
#[derive(Default)]
struct Others<'a> {
    fitted: Option<&'a Fitted>,
    distances: Option<&'a Measurement>,
    flow: Option<&'a flow::Measured>,
    regret: Option<&'a Measured>,
}

impl Others<'_> {
    /// The results where no bound was computed.
    fn alone(&self, args: &EvalArgs, weights_sha256: Option<String>) -> Result<()> {
        let mut json = json!({ "model": args.model, "weights_sha256": weights_sha256, "dataset": args.dataset });
        self.add(&mut json);
        json["environment"] = environment::describe_run(&args.machine);
        let kept = self.keep(args, &json);
        kept.and(self.print())
    }

    fn add(&self, json: &mut Value) {
        if let Some(fitted) = self.fitted {
            json["fit"] = fitted.json();
        }
        if let Some(distances) = self.distances {
            json["distances"] = distances.json();
        }
        if let Some(flow) = self.flow {
            json["flow"] = flow.json();
        }
        if let Some(regret) = self.regret {
            json["regret"] = regret.json();
        }
    }

    /// Writes the files that were asked for.
    fn keep(&self, args: &EvalArgs, json: &Value) -> Result<()> {
        if let Some(path) = &args.json {
            sfumato_files::write_atomically(path, format!("{json:#}\n").as_bytes())?;
        }
        match (self.regret, regret_picture(args)) {
            (Some(regret), Some(path)) => regret.draw(path),
            _ => Ok(()),
        }
    }

    fn is_empty(&self) -> bool {
        self.fitted.is_none() && self.distances.is_none() && self.flow.is_none() && self.regret.is_none()
    }

    /// The tables, with a line between them.
    fn print(&self) -> Result<()> {
        let mut printed = false;
        let mut gap = || if std::mem::replace(&mut printed, true) { out!("") } else { Ok(()) };
        if let Some(fitted) = self.fitted {
            gap()?;
            fitted.print()?;
        }
        if let Some(distances) = self.distances {
            gap()?;
            distances.print()?;
        }
        if let Some(flow) = self.flow {
            gap()?;
            flow.print()?;
        }
        if let Some(regret) = self.regret {
            gap()?;
            regret.print()?;
        }
        Ok(())
    }
}

/// A model and the data that it is scored on.
struct Scoring<'a> {
    args: EvalArgs,
    model: Pipeline,
    weights: Option<String>,
    data: LoadedDataset,
    noise: Option<(Vec<usize>, Vec<f32>)>,
    stop: Arc<AtomicBool>,
    fitted: Option<Fitted>,
    distances: Option<Measurement>,
    regret: Option<Prepared>,
    ranks: &'a dyn Ranks,
}

/// What has to be the same on every rank.
fn facts(args: &EvalArgs, model: &Pipeline, data: &LoadedDataset) -> Result<Vec<Same>> {
    let words = format!("{:?} {:?} {:?}", args.score, args.null_class, args.machine.precision());
    Ok(vec![
        Same { what: "the arguments", value: words },
        Same { what: "the weights", value: model.weights_sha256()?.join(" ") },
        Same { what: "the data", value: format!("{} examples, SHA-256 {}", data.len(), data.sha256()) },
    ])
}

impl Scoring<'_> {
    fn run<B: Backend>(&self, device: &B::Device) -> Result<()> {
        let plan = self.plan()?;
        let start = Instant::now();
        let model = Model::<B>::load(self.model.clone(), device)?.in_precision(self.args.machine.precision());
        let bound = self.score(&model, &plan)?;
        let Some(bound) = bound else { return Ok(()) };
        let elapsed = start.elapsed();
        let report = report::Report {
            scored: Scored::of(&self.args),
            model: &self.model,
            weights_sha256: self.weights.clone(),
            data: &self.data,
            plan: &plan,
            bound: &bound,
        };
        let stopped = bound.examples < plan.num as u64;
        if stopped {
            say!(
                "stopped after {} of {} examples, which are reported; they are {}",
                bound.examples,
                plan.num,
                match plan.order {
                    Order::Random { .. } => "a random part of the data",
                    Order::First => "the first of the data, which need not stand for the rest",
                }
            );
        }
        // What fails here does not take the bound along.
        let (flow, flow_failed) = kept(self.flow::<B>(device));
        let (regret, regret_failed) = kept(self.regret(&model));
        let others = Others {
            fitted: self.fitted.as_ref(),
            distances: self.distances.as_ref(),
            flow: flow.as_ref(),
            regret: regret.as_ref(),
        };
        // If one result cannot be written, the others still are.
        let written = self.keep(&report, &others, elapsed);
        let printed = report
            .print(elapsed)
            .and_then(|()| if others.is_empty() { Ok(()) } else { out!("").and_then(|()| others.print()) });
        flow_failed.and(regret_failed).and(written).and(printed)
    }

    /// The likelihood by the flow, if it is wanted.
    fn flow<B: Backend>(&self, device: &B::Device) -> Result<Option<flow::Measured>> {
        if !self.args.flow.flow {
            return Ok(None);
        }
        if self.stop.load(Ordering::SeqCst) {
            say!("the likelihood by the flow was not computed");
            return Ok(None);
        }
        flow::measure::<B>(&self.args, &self.model, &self.data, device, &self.stop)
    }

    /// The regret, if it is wanted.
    fn regret<B: Backend>(&self, model: &Model<B>) -> Result<Option<Measured>> {
        let Some(prepared) = &self.regret else { return Ok(None) };
        // Also during the flow.
        if self.stop.load(Ordering::SeqCst) {
            say!("the regret was not measured");
            return Ok(None);
        }
        prepared.measure(&self.args, model, &self.stop)
    }

    /// Writes the files that were asked for.
    fn keep(&self, report: &report::Report<'_>, others: &Others<'_>, elapsed: Duration) -> Result<()> {
        let mut json = report.json(elapsed);
        others.add(&mut json);
        let kept = others.keep(&self.args, &json);
        let drawn = self.args.curve.as_deref().map_or(Ok(()), |path| report.draw(path));
        kept.and(drawn)
    }

    fn plan(&self) -> Result<EvalPlan<'_>> {
        let noise = self.noise.as_ref().map(|(shape, values)| (&shape[..], &values[..]));
        plan::plan(Scored::of(&self.args), &self.model, &self.data, noise)
    }

    /// The bound, on rank 0.
    fn score<B: Backend>(&self, model: &Model<B>, plan: &EvalPlan<'_>) -> Result<Option<Bound>> {
        let evaluations = plan.num * plan.bound.points_per_example();
        let all = Scored::of(&self.args).in_split(&self.data);
        say!("scoring {} of {all} examples, {evaluations} evaluations of the network", plan.num);
        let mut shown = EvalProgress::new(evaluations as u64);
        let mut observe = |progress: Progress| {
            shown.update(progress.evaluations, &format!("{} of {} examples", progress.examples, plan.num));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let failed = || format!("{}: nothing was written", self.args.model_dir().display());
        if self.ranks.is_alone() {
            let bound = evaluate(model, plan, &self.data, &mut observe);
            shown.finish();
            return bound.map(Some).with_context(failed);
        }
        let (rank, ranks) = (self.ranks.rank(), self.ranks.size());
        let terms = evaluate_part(model, plan, &self.data, (rank, ranks), &mut observe);
        shown.finish();
        let terms = group::together(self.ranks, terms.with_context(failed))?;
        let all = self.ranks.gather(&terms);
        if !self.ranks.leads() {
            return Ok(None);
        }
        gathered(plan, &self.data, &all)
            .with_context(|| format!("stopped before an example was complete; {}", failed()))
            .map(Some)
    }
}

/// A result, and the error where there is none.
fn kept<T>(found: Result<Option<T>>) -> (Option<T>, Result<()>) {
    match found {
        Ok(found) => (found, Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// Which weights these are: `runs/NAME/model` leads to others tomorrow. None of a sharded file, whose index says little.
pub(super) fn weights_sha256(model: &Pipeline) -> Result<Option<String>> {
    let weights = model.weights();
    if weights.extension().is_none_or(|extension| extension != "safetensors") || WeightFiles::parts(weights)?.len() > 1
    {
        return Ok(None);
    }
    file_sha256(weights).map(Some).with_context(|| format!("cannot read {}", weights.display()))
}
