//! `sfumato eval`

mod distances;
pub(super) mod plan;
pub(super) mod report;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distances::Measurement;
use plan::Scored;
use sfumato_data::Dataset;
use sfumato_data::LoadedDataset;
use sfumato_evaluate::{EvalPlan, Order, evaluate};
use sfumato_files::file_sha256;
use sfumato_kernels::Backend;
use sfumato_model::{Model, pipeline::Pipeline};
use sfumato_process::bound::{Bound, Progress};

use crate::{
    args::EvalArgs,
    backend::{Work, with_backend},
    chart, loaded,
    progress::EvalProgress,
    signals,
};

pub(crate) fn run(args: EvalArgs) -> Result<()> {
    distances::check(&args)?;
    let model = args.model.as_deref().map(loaded::open_model).transpose()?;
    if let (Some(model), false) = (&model, args.no_bound) {
        let scored = Scored::of(&args);
        plan::check(scored, model)?;
        plan::check_labels(scored, model)?;
        args.curve.as_deref().map(chart::Format::of).transpose()?;
    }
    // Before the work, so that an impossible place costs nothing.
    for path in [&args.json, &args.curve].into_iter().flatten() {
        sfumato_files::check_writable(path)?;
    }
    let stop = signals::stop_flag()?;
    with_backend(&args.machine.clone(), Command { args, model, stop })
}

/// The work of the command, for whichever backend.
struct Command {
    args: EvalArgs,
    model: Option<Pipeline>,
    stop: Arc<AtomicBool>,
}

impl Work for Command {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { args, model, stop } = self;
        let measure = |source| distances::measure::<B>(&args, source, model.as_ref(), &device, &stop);
        let distances = args.samples.as_ref().map(measure).transpose()?;
        match (model, distances) {
            (Some(model), distances) if !args.no_bound => {
                // Here and not before: pictures are decoded on the threads that the arguments ask for.
                let scored = Scored::of(&args);
                let data = plan::match_classes(scored, &model, plan::load_data(scored, &model)?)?;
                let noise = args.noise.as_deref().map(sfumato_files::read_npy_f32).transpose()?;
                Scoring { args, model, data, noise, stop, distances }.run::<B>(&device)
            }
            (_, Some(distances)) => {
                if let Some(path) = &args.json {
                    let json = format!("{:#}\n", distances.json_alone(&args));
                    sfumato_files::write_atomically(path, json.as_bytes())?;
                }
                distances.print()
            }
            (_, None) => Ok(()),
        }
    }
}

/// A model and the data that it is scored on.
struct Scoring {
    args: EvalArgs,
    model: Pipeline,
    data: LoadedDataset,
    noise: Option<(Vec<usize>, Vec<f32>)>,
    stop: Arc<AtomicBool>,
    distances: Option<Measurement>,
}

impl Scoring {
    fn run<B: Backend>(&self, device: &B::Device) -> Result<()> {
        let plan = self.plan()?;
        let weights_sha256 = self.weights_sha256()?;
        let start = Instant::now();
        let model = Model::<B>::load(self.model.clone(), device)?;
        let bound = self.score(&model, &plan)?;
        let elapsed = start.elapsed();
        let report = report::Report {
            scored: Scored::of(&self.args),
            model: &self.model,
            weights_sha256,
            data: &self.data,
            plan: &plan,
            bound: &bound,
        };
        if bound.examples < plan.num as u64 {
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
        // If one result cannot be written, the others still are.
        let kept = self.keep(&report, elapsed);
        let printed = report.print(elapsed).and_then(|()| match &self.distances {
            Some(distances) => out!("").and_then(|()| distances.print()),
            None => Ok(()),
        });
        kept.and(printed)
    }

    /// Writes the files that were asked for.
    fn keep(&self, report: &report::Report<'_>, elapsed: Duration) -> Result<()> {
        if let Some(path) = &self.args.json {
            let mut json = report.json(elapsed);
            if let Some(distances) = &self.distances {
                json["distances"] = distances.json();
            }
            let json = format!("{json:#}\n");
            sfumato_files::write_atomically(path, json.as_bytes())?;
        }
        match &self.args.curve {
            Some(path) => report.draw(path),
            None => Ok(()),
        }
    }

    fn plan(&self) -> Result<EvalPlan<'_>> {
        let noise = self.noise.as_ref().map(|(shape, values)| (&shape[..], &values[..]));
        plan::plan(Scored::of(&self.args), &self.model, &self.data, noise)
    }

    /// Nobody asks where no file is written.
    fn weights_sha256(&self) -> Result<Option<String>> {
        if self.args.json.is_some() { weights_sha256(&self.model) } else { Ok(None) }
    }

    fn score<B: Backend>(&self, model: &Model<B>, plan: &EvalPlan<'_>) -> Result<Bound> {
        let evaluations = plan.num * plan.bound.points_per_example();
        say!("scoring {} of {} examples, {evaluations} evaluations of the network", plan.num, self.data.len());
        let mut shown = EvalProgress::new(evaluations as u64);
        let mut observe = |progress: Progress| {
            shown.update(progress.evaluations, &format!("{} of {} examples", progress.examples, plan.num));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let bound = evaluate(model, plan, &self.data, &mut observe);
        shown.finish();
        bound.with_context(|| format!("{}: nothing was written", self.args.model_dir().display()))
    }
}

/// Which weights these are: `runs/NAME/model` leads to others tomorrow. None of a sharded file, whose index says little.
pub(super) fn weights_sha256(model: &Pipeline) -> Result<Option<String>> {
    let weights = model.weights();
    if weights.extension().is_none_or(|extension| extension != "safetensors") {
        return Ok(None);
    }
    file_sha256(weights).map(Some).with_context(|| format!("cannot read {}", weights.display()))
}
