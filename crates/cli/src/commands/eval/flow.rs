//! `--flow`: the likelihood by the probability-flow ODE.

use std::{
    io::Write,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use serde_json::{Value, json};
use sfumato_data::{Dataset, LoadedDataset};
use sfumato_evaluate::{FlowEval, flow};
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError, pipeline::Pipeline};
use sfumato_process::{
    bound::Mean,
    flow::{
        ExampleLikelihood, FlowError, FlowLikelihood, FlowPlan, FlowProgress, ProbeKind, Solver, Start, Steps, Trace,
    },
};
use sfumato_schedule::probability::bits_per_dim;

use super::{
    plan::{self, Scored},
    words::{mean_json, row, word},
};
use crate::{
    args::{DequantizationName, EvalArgs, TraceName, UsageError},
    progress::EvalProgress,
    say,
};

/// Numbers in an example up to which the trace is exact if nothing is said: each costs an evaluation.
const EXACT: usize = 8;
/// Parts of a path that the progress counts.
const PARTS: f64 = 1000.0;

/// A likelihood, and what it depends on.
pub(super) struct Measured {
    likelihood: FlowLikelihood,
    plan: FlowEval,
    seconds: f64,
    /// What it was measured on, for people.
    subject: [String; 2],
    json: Value,
}

/// Refuses what cannot be meant, before the data is loaded.
pub(super) fn check(args: &EvalArgs) -> Result<()> {
    let usage = |text: String| Err(UsageError(text).into());
    let chain = &args.score.chain;
    if let Some(steps) = chain.count() {
        return usage(format!(
            "--steps {steps}: --flow is about all steps that the model was trained on; leave --steps out, or say --steps continuous"
        ));
    }
    if let Some(spacing) = chain.spacing {
        return usage(format!(
            "--spacing {spacing}: --flow has all steps of the model, and none to spread; leave --spacing out"
        ));
    }
    if let Some(noise) = &args.noise {
        return usage(format!(
            "--noise {}: a recording holds the noise of the chain's steps, and --flow has none; its noise follows from --seed",
            noise.display()
        ));
    }
    match (args.flow.trace, args.flow.probes) {
        (Some(TraceName::Exact), Some(probes)) => {
            usage(format!("--probes {probes}: --trace exact has no random probes; leave one of the two out"))
        }
        _ => Ok(()),
    }
}

/// Measures; nothing if the work is stopped before there is anything to report.
pub(super) fn measure<B: Backend>(
    args: &EvalArgs,
    model: &Pipeline,
    data: &LoadedDataset,
    device: &B::Device,
    stop: &AtomicBool,
) -> Result<Option<Measured>> {
    let scored = Scored::of(args);
    let plan = plan_of(args, model, data)?;
    let (num, start) = (plan.num, Instant::now());
    say!("computing the likelihood of {num} of {} examples by the flow", scored.in_split(data));
    let loaded = Model::<Autodiff<B>>::load(model.clone(), device)?.in_precision(args.machine.precision());
    let mut shown = EvalProgress::new((PARTS * num as f64) as u64);
    let mut observe = |progress: FlowProgress| {
        let done = PARTS * num as f64 * progress.share;
        let message = format!("{} of {num} examples, {} evaluations", progress.examples, progress.evaluations);
        shown.update(done as u64, &message);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = flow(&loaded, &plan, data, &mut observe);
    shown.finish();
    match found {
        Err(ModelError::Flow(FlowError::Stopped { .. })) => {
            say!("stopped before there was a likelihood to report");
            Ok(None)
        }
        Err(error) => Err(error).context("cannot compute the likelihood by the flow"),
        Ok(likelihood) => Ok(Some(measured(args, model, data, plan, likelihood, start.elapsed().as_secs_f64()))),
    }
}

fn plan_of(args: &EvalArgs, model: &Pipeline, data: &LoadedDataset) -> Result<FlowEval> {
    let scored = Scored::of(args);
    let (num, order) = plan::examples(scored, data)?;
    let estimate = &args.score.estimate;
    let start = match (data.is_discrete(), args.flow.dequantization) {
        (true, None | Some(DequantizationName::Uniform)) => Start::Uniform,
        (false, None) => Start::Density,
        (_, Some(DequantizationName::FirstStep)) => Start::FirstStep(plan::decoder(scored, data)?),
        (false, Some(DequantizationName::Uniform)) => bail!(
            "--dequantization uniform: the examples of {} are no 8-bit values, so that there is no level to spread them over",
            args.dataset
        ),
    };
    let trace = trace(args, data.example_len())?;
    let steps = match args.flow.flow_steps {
        Some(steps) => Steps::Fixed(steps as usize),
        None => Steps::Adaptive { tolerance: args.flow.tolerance },
    };
    let solver = Solver { method: args.flow.flow_solver.into(), steps };
    let flow = FlowPlan { start, trace, solver, draws: usize::from(estimate.draws), seed: estimate.seed };
    plan::check_batch(
        scored,
        model,
        data,
        num.saturating_mul(flow.draws).saturating_mul(trace.rows(data.example_len())),
    )?;
    Ok(FlowEval {
        chain: plan::chain_choice(scored).of(model)?,
        flow,
        condition: plan::condition(scored, model, data)?,
        num,
        order,
        batch_size: estimate.batch_size as usize,
    })
}

fn trace(args: &EvalArgs, dimensions: usize) -> Result<Trace> {
    let count = args.flow.probes.unwrap_or(1) as usize;
    let probes = |kind| Trace::Probes { kind, count };
    Ok(match args.flow.trace {
        Some(TraceName::Exact) => Trace::Exact,
        Some(TraceName::Rademacher) => probes(ProbeKind::Rademacher),
        Some(TraceName::Gaussian) => probes(ProbeKind::Gaussian),
        None if dimensions <= EXACT && args.flow.probes.is_none() => Trace::Exact,
        None => probes(ProbeKind::Rademacher),
    })
}

fn measured(
    args: &EvalArgs,
    model: &Pipeline,
    data: &LoadedDataset,
    plan: FlowEval,
    likelihood: FlowLikelihood,
    seconds: f64,
) -> Measured {
    let scored = Scored::of(args);
    let name = format!("{} ({})", args.model_dir().display(), model.spec.config.class_name());
    let done = likelihood.each.len();
    let stopped = if done < plan.num { format!(" (stopped after {done} of {})", plan.num) } else { String::new() };
    let examples = format!(
        "{}, {} split, {done} of {} examples {:?}{stopped}",
        scored.dataset,
        scored.split(data),
        scored.in_split(data),
        data.shape()
    );
    let mut json = json(&plan, &likelihood);
    json["split"] = scored.split(data).into();
    json["dataset_sha256"] = data.sha256().into();
    json["seconds"] = seconds.into();
    Measured { likelihood, plan, seconds, subject: [name, examples], json }
}

impl Measured {
    /// What belongs into the result's file.
    pub(super) fn json(&self) -> Value {
        self.json.clone()
    }

    /// The table on stdout.
    pub(super) fn print(&self) -> Result<()> {
        say::result(|out| out.write_all(self.table().as_bytes()))
    }

    fn table(&self) -> String {
        let Self { likelihood, plan, seconds, .. } = self;
        let dimensions = likelihood.dimensions;
        let [model, examples] = &self.subject;
        let mut lines = vec![
            row("flow", model.clone()),
            row("data", examples.clone()),
            row("start", start_words(plan.flow.start).to_owned()),
            row("divergence", trace_words(plan.flow.trace, plan.flow.draws, plan.flow.seed)),
            row("solver", solver_words(plan.flow.solver)),
            String::new(),
            format!("{:<22} {:>14} {:>12} {:>12}", "-ln p", "nats", "bits/dim", "± bits/dim"),
        ];
        for (name, mean) in parts(likelihood) {
            let bits = mean.bits_per_dim(dimensions);
            let error = bits.standard_error.map_or_else(|| "-".to_owned(), |error| format!("{error:.5}"));
            lines.push(format!("{name:<22} {:>14.4} {:>12.5} {error:>12}", mean.mean, bits.mean));
        }
        lines.push(String::new());
        lines.push("± is the standard error over the examples; chance in noise and probes is part of it.".to_owned());
        let of_chance = [("the probes", likelihood.probe_error), ("noise and probes", likelihood.draw_error)];
        for (what, error) in of_chance {
            let error = error.filter(|error| *error > 0.0).map(|error| bits_per_dim(error, dimensions));
            lines.extend(error.map(|error| format!("For just these examples {what} make {error:.5} bits/dim of it.")));
        }
        lines.push(format!(
            "The solver's error is about {:.1e} bits/dim or less.",
            bits_per_dim(likelihood.solver_error, dimensions)
        ));
        lines.extend((!plan.flow.start.is_discrete()).then(|| {
            "The data is continuous: this is a density, and is not comparable with bits/dim of 8-bit data.".to_owned()
        }));
        lines.push(format!("{} evaluations of the network with a gradient in {seconds:.1} s.", likelihood.evaluations));
        lines.join("\n") + "\n"
    }
}

fn parts(likelihood: &FlowLikelihood) -> [(&'static str, Mean); 4] {
    let FlowLikelihood { prior, volume, offset, total, .. } = *likelihood;
    [("prior, -ln N(x_T)", prior), ("divergence, integral", volume), ("start", offset), ("total", total)]
}

fn start_words(start: Start) -> &'static str {
    match start {
        Start::Density => "the data as x_1, without noise",
        Start::Uniform => "8-bit data with uniform noise, one level wide, as x_1",
        Start::FirstStep(_) => "x_1 with the noise of step 1, and the chain's decoder L_0",
    }
}

fn trace_words(trace: Trace, draws: usize, seed: u64) -> String {
    let draws = format!("; {draws} draw{}, seed {seed}", if draws == 1 { "" } else { "s" });
    match trace {
        Trace::Exact => format!("exact trace{draws}"),
        Trace::Probes { kind, count } => {
            format!("Hutchinson's estimator, {count} {} probe{}{draws}", word(&kind), if count == 1 { "" } else { "s" })
        }
    }
}

fn solver_words(Solver { method, steps }: Solver) -> String {
    let method = word(&method);
    match steps {
        Steps::Adaptive { tolerance } => format!("{method}, adaptive, tolerance {tolerance:e}"),
        Steps::Fixed(steps) => format!("{method}, {steps} step{} of equal length", if steps == 1 { "" } else { "s" }),
    }
}

fn json(plan: &FlowEval, likelihood: &FlowLikelihood) -> Value {
    let FlowPlan { start, trace, solver, draws, seed } = plan.flow;
    let dimensions = likelihood.dimensions;
    let [prior, divergence, of_start, total] = parts(likelihood).map(|(_, mean)| mean_json(mean, dimensions));
    let bits = |error: f64| bits_per_dim(error, dimensions);
    let (tolerance, steps) = match solver.steps {
        Steps::Adaptive { tolerance } => (Some(tolerance), None),
        Steps::Fixed(steps) => (None, Some(steps)),
    };
    let (trace, probes) = match trace {
        Trace::Exact => ("exact".to_owned(), None),
        Trace::Probes { kind, count } => (word(&kind), Some(count)),
    };
    json!({
        "start": match start {
            Start::Density => "density",
            Start::Uniform => "uniform",
            Start::FirstStep(_) => "first-step",
        },
        "discrete": start.is_discrete(),
        "trace": trace,
        "probes": probes,
        "solver": solver.method,
        "tolerance": tolerance,
        "steps": steps,
        "draws": draws,
        "seed": seed,
        "condition": plan::condition_json(plan.condition),
        "batch_size": plan.batch_size,
        "dimensions": dimensions,
        "examples": likelihood.each.len(),
        "examples_planned": plan.num,
        "stopped": likelihood.each.len() < plan.num,
        "evaluations": likelihood.evaluations,
        "total": total,
        "prior": prior,
        "divergence": divergence,
        "start_term": of_start,
        "probe_error_bits_per_dim": likelihood.probe_error.map(bits),
        "draw_error_bits_per_dim": likelihood.draw_error.map(bits),
        "solver_error_bits_per_dim": bits(likelihood.solver_error),
        "each": each(&likelihood.each),
    })
}

/// Each example's terms in nats.
fn each(each: &[ExampleLikelihood]) -> Value {
    let column = |part: fn(&ExampleLikelihood) -> f64| each.iter().map(part).collect::<Vec<_>>();
    json!({
        "example": each.iter().map(|example| example.example).collect::<Vec<_>>(),
        "prior": column(|example| example.prior),
        "divergence": column(|example| example.volume),
        "start_term": column(|example| example.offset),
        "probe_error": each.iter().map(|example| example.probe_error).collect::<Vec<_>>(),
        "solver_error": column(|example| example.solver_error),
        "evaluations": each.iter().map(|example| example.evaluations).collect::<Vec<_>>(),
    })
}
